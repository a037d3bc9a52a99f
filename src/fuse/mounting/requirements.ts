/** Checks what FUSE needs: /dev/fuse, and for users other than root a program that mounts for them. */
import { accessSync, closeSync, constants, openSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { AutotorrentError, errnoOf, messageOf } from '../../errors.ts';
import { FUSE_DEVICE } from '../../native/fuse-device.ts';

/**
 * Checks this machine. `helper`: a program that users other than root need.
 * @throws AutotorrentError('MOUNT') if FUSE cannot work here, with what to do
 */
export function checkRequirements(helper?: string): void {
  try {
    closeSync(openSync(FUSE_DEVICE, 'r+'));
  } catch (error) {
    const missing = errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENODEV' || errnoOf(error) === 'ENXIO';
    throw new AutotorrentError('MOUNT', missing ? `${FUSE_DEVICE} is missing` : `${FUSE_DEVICE}: ${messageOf(error)}`, {
      hint: missing
        ? 'As root: modprobe fuse. In a container: --device /dev/fuse --cap-add SYS_ADMIN.'
        : 'The user needs read and write access to it (chmod 666 /dev/fuse is the default of most systems).',
      cause: error,
    });
  }
  if (helper !== undefined) checkHelper(helper);
}

/** @throws AutotorrentError('MOUNT') if a program is missing that mounts for users other than root, and this is one */
export function checkHelper(helper: string): void {
  if (process.getuid?.() === 0 || isInPath(helper)) return;
  throw new AutotorrentError('MOUNT', `${helper} is missing, which mounts for users other than root`, {
    hint: 'Debian, Ubuntu: apt install fuse3. Fedora: dnf install fuse.',
  });
}

function isInPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
