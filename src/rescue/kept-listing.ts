/** What is done with kept files that are there, in a thread that waits for its calls. */
import {
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  renameSync,
  rmdirSync,
  rmSync,
} from 'node:fs';
import { errnoOf } from '../errors.ts';
import type { ShareCalls } from '../native/share.ts';
import { FOUND_FOLDER, OWN_FOLDER } from '../source/own-folder.ts';
import { at, foldersIn, NotOurs, namesIn, openFolder, openOurs, using } from './held.ts';
import { bytesTaken } from './keep-file.ts';
import type { KeptRange } from './kept-files.ts';
import type { CleanAnswer, KeptAt, KeptFound, StateNamed } from './messages.ts';
import { isLikeKept, keptName, MARKER, markerIn, unmark } from './places.ts';

/** No file system has larger blocks. */
const MOST_BLOCK = 64 * 1024;
const OWNER_WRITES = 0o200;
/** Milliseconds in which a file is made in a new folder. */
const UNFINISHED_MS = 60_000;

/** Lists the kept files in an open folder of a state. Old folders with nothing in them are deleted: nobody finished them. */
export function listKept(kept: number, place: string): KeptFound[] {
  return foldersIn(kept).flatMap((folder) => {
    const files = using(openFolder(kept, folder), (held) =>
      namesIn(held).flatMap((name) => {
        const stats = lstatSync(at(held, name), { throwIfNoEntry: false });
        return stats?.isFile() === true ? [{ place, folder, name, bytes: bytesTaken(stats.blocks) }] : [];
      }),
    );
    if (files.length === 0 && isOld(kept, folder)) removeIfEmpty(kept, folder);
    return files;
  });
}

/** Another thread may be about to make a file in a new one. */
function isOld(kept: number, folder: string): boolean {
  const stats = lstatSync(at(kept, folder), { throwIfNoEntry: false });
  return stats !== undefined && Date.now() - stats.ctimeMs > UNFINISHED_MS;
}

/**
 * Lists what is kept for a state in an open place, and moves what was kept for a lost one that had its path. A folder in which
 * nothing is kept any more goes. @throws NotOurs; errors of the disk, ENOENT if there is nothing of ours
 */
export function cleanPlace(placeFd: number, place: string, state: StateNamed): CleanAnswer {
  return using(openOurs(placeFd, OWN_FOLDER, false), (own) => {
    let moved = 0;
    let files: KeptFound[] = [];
    for (const name of foldersIn(own).filter((folder) => isLikeKept(folder, state))) {
      const isOurs = name === keptName(state);
      const opened = openIfOurs(own, name);
      if (opened === undefined) continue;
      using(opened, (kept) => {
        if (isOurs) files = listKept(kept, place);
        else if (markerIn(kept) === state.path) moved += moveToFound(own, kept, listKept(kept, place));
        else return;
        if (namesIn(kept).some((left) => left !== MARKER)) return;
        unmark(kept);
        removeIfEmpty(own, name);
      });
    }
    return { files, moved };
  });
}

function openIfOurs(own: number, name: string): number | undefined {
  try {
    return openOurs(own, name, false);
  } catch (error) {
    if (error instanceof NotOurs) return undefined;
    throw error;
  }
}

/** Moves the folders of kept files: `rebuild` reads them there. */
function moveToFound(own: number, kept: number, files: readonly KeptFound[]): number {
  if (files.length === 0) return 0;
  using(openOurs(own, FOUND_FOLDER, true), (found) => {
    for (const folder of new Set(files.map((file) => file.folder))) renameSync(at(kept, folder), at(found, folder));
    fsyncSync(found);
  });
  return files.length;
}

/** Syncs a kept file, and all folders that lead to it. */
export function syncKept(place: number, kept: number, { folder, name }: KeptAt): void {
  using(openFolder(kept, folder), (held) => {
    using(openFile(held, name), fsyncSync);
    fsyncSync(held);
  });
  using(openFile(kept, MARKER), fsyncSync);
  fsyncSync(kept);
  using(openFolder(place, OWN_FOLDER), fsyncSync);
  try {
    using(openSync(`/proc/self/fd/${place}/.`, constants.O_RDONLY | constants.O_DIRECTORY), fsyncSync);
  } catch (error) {
    // A folder that we may write to, and not read: the file system has written its entries with ours.
    if (errnoOf(error) !== 'EACCES') throw error;
  }
}

/** Makes holes of all but `ranges`. Tells the bytes that are left. */
export function trimKept(
  kept: number,
  { folder, name }: KeptAt,
  ranges: readonly KeptRange[],
  calls: ShareCalls,
): number {
  return using(openFolder(kept, folder), (held) =>
    using(openFile(held, name), (fd) => {
      const before = fstatSync(fd, { bigint: true });
      // It is read-only for its owner as well.
      fchmodSync(fd, Number(before.mode & 0o777n) | OWNER_WRITES);
      try {
        using(openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY), (writable) => {
          punchAround(writable, ranges, Number(before.size), calls);
          calls.setMtime(writable, before.mtimeNs);
        });
      } finally {
        fchmodSync(fd, Number(before.mode & 0o777n));
      }
      return bytesTaken(fstatSync(fd).blocks);
    }),
  );
}

function punchAround(fd: number, ranges: readonly KeptRange[], size: number, calls: ShareCalls): void {
  let start = 0;
  // A hole that ends within the last block would leave it allocated.
  const end = Math.ceil(size / MOST_BLOCK) * MOST_BLOCK;
  for (const { offset, length } of [...ranges, { offset: end, length: 0 }]) {
    if (!calls.punch(fd, start, offset)) return;
    start = offset + length;
  }
}

/** Tells if a kept file is there. @throws errors of the disk */
export function isThere(kept: number, { folder, name }: KeptAt): boolean {
  try {
    return using(
      openFolder(kept, folder),
      (held) => lstatSync(at(held, name), { throwIfNoEntry: false })?.isFile() === true,
    );
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR' || errnoOf(error) === 'ELOOP') return false;
    throw error;
  }
}

/** Deletes a kept file. It may be gone. */
export function dropKept(kept: number, { folder, name }: KeptAt): void {
  using(openFolder(kept, folder), (held) => rmSync(at(held, name), { force: true }));
  removeIfEmpty(kept, folder);
}

function openFile(folder: number, name: string): number {
  if (!lstatSync(at(folder, name)).isFile()) throw new NotOurs(`${name} is not a regular file`);
  return openSync(at(folder, name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
}

function removeIfEmpty(folder: number, name: string): void {
  try {
    rmdirSync(at(folder, name));
  } catch (error) {
    if (errnoOf(error) !== 'ENOTEMPTY' && errnoOf(error) !== 'ENOENT') throw error;
  }
}
