/** The mode of stat(2): the type of a file in its upper bits, the permissions in its lower ones. */
import { PosixError } from '../errors.ts';
import type { FileType } from '../vfs/operations.ts';

export const TYPE_BITS: Readonly<Record<FileType, number>> = {
  fifo: 0o010000,
  character: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  file: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
};
const TYPE_MASK = 0o170000;
export const PERMISSIONS = 0o7777;

/** Gives the type in a mode. A mode without one is that of a file, as for mknod(2). @throws EINVAL */
export function typeOf(mode: number): FileType {
  const bits = mode & TYPE_MASK;
  if (bits === 0) return 'file';
  const found = Object.entries(TYPE_BITS).find(([, type]) => type === bits);
  if (found === undefined) throw new PosixError('EINVAL');
  return found[0] as FileType;
}
