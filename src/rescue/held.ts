/**
 * Folders that are held by descriptors, in a thread that waits for its calls: what `native/held-folder.ts` does, for names that
 * are bytes.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  type Stats,
} from 'node:fs';
import { errnoOf } from '../errors.ts';
import { otherWriters, ownUid } from '../native/accounts.ts';

const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const OTHERS = 0o077;

/** A folder is not used: somebody else could have made what lies in it, or could see it. `message` is a sentence. */
export class NotOurs extends Error {}

/** The path of an entry of an open folder. `name` is one component, a byte string. */
export function at(folder: number, name: string): Buffer {
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name))
    throw new RangeError('not the name of an entry');
  return Buffer.from(`/proc/self/fd/${folder}/${name}`, 'latin1');
}

/** Opens a folder in an open folder, and no link. @throws errors of open(2) */
export function openFolder(folder: number, name: string): number {
  return openSync(at(folder, name), FOLDER);
}

/** Gives what `use` makes of a descriptor, which is closed then. */
export function using<T>(fd: number, use: (fd: number) => T): T {
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Opens a folder of ours in an open folder: this user's, closed to all others, on the same file system.
 * @throws NotOurs; errors of open(2) and mkdir(2)
 */
export function openOurs(folder: number, name: string, make: boolean): number {
  if (make) makeFolder(folder, name);
  const fd = openFolder(folder, name);
  try {
    mustBeOurs(fd, fstatSync(folder), name);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Makes a folder that nobody else may enter. It may be there. @throws errors of mkdir(2) */
export function makeFolder(folder: number, name: string): void {
  try {
    mkdirSync(at(folder, name), { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
}

function mustBeOurs(fd: number, above: Stats, name: string): void {
  const stats = fstatSync(fd);
  if (stats.uid !== ownUid()) throw new NotOurs(`${name} belongs to user ${stats.uid}`);
  if (stats.dev !== above.dev) throw new NotOurs(`${name} is a mount`);
  const writers = otherWriters(stats);
  if (writers !== undefined) throw new NotOurs(`${writers} may write to ${name}`);
  if ((stats.mode & OTHERS) === 0) return;
  fchmodSync(fd, 0o700);
  // File systems without modes may not say that they did nothing.
  if ((fstatSync(fd).mode & OTHERS) !== 0) throw new NotOurs(`${name} cannot be closed to other users`);
}

/** Lists the names in an open folder: byte strings. */
export function namesIn(folder: number): string[] {
  return readdirSync(`/proc/self/fd/${folder}`, { encoding: 'latin1' });
}

/** Lists the folders in an open folder. */
export function foldersIn(folder: number): string[] {
  return namesIn(folder).filter(
    (name) => lstatSync(at(folder, name), { throwIfNoEntry: false })?.isDirectory() === true,
  );
}
