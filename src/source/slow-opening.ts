/**
 * Opens a file where openat2 is missing, or has failed without a reason: with more calls, and as safely.
 *
 * The path is opened with O_PATH, which touches nothing: no device, no FIFO. The kernel then says under which path it has
 * what was opened. If that is the path that was asked for, no link led there; and what was opened can be looked at and
 * opened for reading, whatever has its name by now.
 */
import { constants, type Stats } from 'node:fs';
import { errnoOf } from '../errors.ts';
import { O_PATH } from '../native/strict-paths.ts';
import { type Difference, notRegular } from './identity.ts';
import { folderOf } from './paths.ts';
import { close, fstat, lstat, open, readlink, type Steps } from './steps.ts';

/** Opens a path of which no component is a link, with `flags`, if it is a regular file. @throws errors of system calls */
export function* openSlowly(real: Buffer, flags: number): Steps<number | Difference> {
  return yield* throughItself(real, notRegular, flags);
}

/** Opens a folder of which no component of the path is a link. @throws errors of system calls */
export function* openFolderSlowly(real: Buffer, flags: number): Steps<number | Difference> {
  return yield* throughItself(
    real,
    (stats) => (stats.isDirectory() ? undefined : { code: 'gone', says: 'is not a folder' }),
    flags,
  );
}

function* throughItself(
  real: Buffer,
  differs: (stats: Stats) => Difference | undefined,
  flags: number,
): Steps<number | Difference> {
  const pinned = yield* open(real, O_PATH | constants.O_NOFOLLOW);
  try {
    const itself = `/proc/self/fd/${pinned}`;
    const known = yield* readlink(itself);
    if (!known.equals(real)) return (yield* linkOnTheWay(real)) ?? movedTo(known);
    const difference = differs(yield* fstat(pinned));
    if (difference !== undefined) return difference;
    try {
      return yield* open(itself, flags | constants.O_NOATIME);
    } catch (error) {
      // Only the owner and root may set O_NOATIME.
      if (errnoOf(error) !== 'EPERM') throw error;
      return yield* open(itself, flags);
    }
  } finally {
    yield* close(pinned);
  }
}

/** Tells which folder above a path is a link now, if one is. */
export function* linkOnTheWay(real: Buffer): Steps<Difference | undefined> {
  const folders: Buffer[] = [];
  for (let folder = folderOf(real); folder.length > 1; folder = folderOf(folder)) folders.unshift(folder);
  for (const folder of folders) {
    try {
      if (!(yield* lstat(folder)).isSymbolicLink()) continue;
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      return undefined;
    }
    const says = `lies below ${folder.toString()}, which is a symbolic link now: put the folder back, or name the folder that it leads to in [disks]`;
    return { code: 'redirected', says };
  }
  return undefined;
}

function movedTo(known: Buffer): Difference {
  return { code: 'unreadable', says: `cannot be opened: the kernel knows it as ${known.toString()}` };
}
