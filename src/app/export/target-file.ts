/**
 * Opens a file of the copy. Only a regular file of this user with this one name is continued: another one may be a hard link
 * to something that the copy must not write to, so it loses its name here, and a new file gets it.
 */
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, unlink } from 'node:fs/promises';
import { errnoOf } from '../../errors.ts';
import { DestinationError } from './destination-error.ts';
import type { Place } from './place.ts';

const MODE = 0o600;
const OPEN = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** What an earlier run left. */
export interface TargetFile {
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
}

/**
 * Finds what an earlier run left of a file; undefined if a new one must be made.
 * @throws DestinationError for anything that is no file; the errors of the disk
 */
export async function findTarget({ folder, name }: Place): Promise<TargetFile | undefined> {
  const at = folder.at(name);
  const stats = await lstat(at, { bigint: true }).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (stats === undefined) return undefined;
  if (!stats.isFile()) throw new DestinationError(`${folder.shown}/${name} is no file`);
  if (stats.nlink === 1n && Number(stats.uid) === process.geteuid?.()) return stats;
  await unlink(at);
  return undefined;
}

/** Opens for reading and writing what `findTarget` found, or makes a new file. Throws the errors of the disk. */
export async function openTarget({ folder, name }: Place, found: TargetFile | undefined): Promise<FileHandle> {
  const at = folder.at(name);
  if (found === undefined) return await open(at, OPEN | constants.O_CREAT | constants.O_EXCL, MODE);
  const file = await open(at, OPEN).catch(async (error: unknown) => {
    if (errnoOf(error) !== 'EACCES') throw error;
    return await withWriting(at);
  });
  try {
    const { ino } = await file.stat({ bigint: true });
    if (ino !== found.ino) throw new DestinationError(`${folder.shown}/${name} was replaced meanwhile`);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Opens a file without write permission, which a finished copy may be. Its source has changed since. */
async function withWriting(at: string): Promise<FileHandle> {
  const readable = await open(at, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    await readable.chmod(MODE);
    return await open(`/proc/self/fd/${readable.fd}`, constants.O_RDWR | constants.O_NONBLOCK);
  } finally {
    await readable.close();
  }
}
