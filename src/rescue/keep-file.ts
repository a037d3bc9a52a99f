/** Makes one kept file in a folder of ours, by sharing or copying, in a thread that waits for its calls. */
import {
  type BigIntStats,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  rmdirSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { errnoOf, messageOf } from '../errors.ts';
import type { DataPiece, ShareCalls } from '../native/share.ts';
import { type FileIdentity, identityOf } from '../source/identity.ts';
import { READ, type Readers } from '../source/readers.ts';
import { at, makeFolder, NotOurs, openFolder, using } from './held.ts';
import type { KeptRange, NotKept, PinKind } from './kept-files.ts';
import { threadClockMs } from './thread-clock.ts';

const COPIED_AT_ONCE = 1024 * 1024;
/** What a writer waits for is shared in parts: the kernel writes what is not on the disk yet before it shares it. A call takes 20 µs. */
const SHARED_AT_ONCE = 8 * 1024 * 1024;
/** What st_blocks counts. */
const BLOCK = 512;

/** The room that a file takes, by its `st_blocks`. */
export const bytesTaken = (blocks: number): number => blocks * BLOCK;

/** The longest name of Linux's own file systems, in bytes. */
const NAME_BYTES = 255;

export interface Wanted {
  readonly fd: number;
  /** The name of the folder that is made for it. */
  readonly folder: string;
  readonly path: string;
  readonly identity: FileIdentity;
  readonly ranges: readonly KeptRange[];
  readonly readers: Readers;
  /** The bytes of it that may be copied, and those for which there is room. */
  readonly limit: number;
  readonly left: number;
  readonly pin?: PinKind | undefined;
  /** `ToKeep.until`. */
  readonly until?: number | undefined;
}

/** How far a file was shared or copied: the bytes before `end`. */
interface Taken {
  readonly kind: 'taken';
  readonly shared: boolean;
  readonly end: number;
}

export type Made =
  | {
      readonly kind: 'made';
      readonly name: string;
      readonly identity: FileIdentity;
      readonly shared: boolean;
      readonly missing: number;
      readonly bytes: number;
      readonly original?: FileIdentity;
      readonly unwritten?: boolean;
    }
  /** There is no room for so many bytes. */
  | { readonly kind: 'over'; readonly bytes: number }
  | { readonly kind: 'not kept'; readonly why: NotKept; readonly says: string };

export const CHANGED = { kind: 'not kept', why: 'changed', says: 'changed before it could be kept' } as const;

/**
 * Makes it in `kept`, an open folder: in a folder of its own, under the name of the source. What is not finished is deleted.
 * @throws NotOurs; errors of the disk
 */
export function makeKeptFile(kept: number, wanted: Wanted, calls: ShareCalls): Made {
  if (!isStill(wanted)) return CHANGED;
  return inNewFolder(kept, wanted, (folder, name) => makeIn(folder, name, wanted, calls));
}

/** Has a file made in a folder of its own. If it is not, the folder is deleted. @throws errors of the disk */
export function inNewFolder(kept: number, wanted: Wanted, make: (folder: number, name: string) => Made): Made {
  const { folder } = wanted;
  const name = wanted.path.slice(wanted.path.lastIndexOf('/') + 1).slice(0, NAME_BYTES);
  makeFolder(kept, folder);
  let made: Made | undefined;
  try {
    made = using(openFolder(kept, folder), (held) => make(held, name));
    return made;
  } catch (error) {
    if (errnoOf(error) !== 'ENOSPC' && errnoOf(error) !== 'EDQUOT') throw error;
    return { kind: 'not kept', why: 'room', says: `does not fit on the disk: ${messageOf(error)}` };
  } finally {
    if (made?.kind !== 'made') rmdirSync(at(kept, folder));
  }
}

function makeIn(folder: number, name: string, wanted: Wanted, calls: ShareCalls): Made {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const to = openSync(at(folder, name), flags, 0o600);
  let made: Made | undefined;
  try {
    const taken = shared(to, wanted, calls) ?? copied(to, wanted, calls);
    if (taken.kind !== 'taken') made = taken;
    else made = isStill(wanted) ? kept(name, taken, wanted, sealed(to, wanted, calls)) : CHANGED;
    return made;
  } finally {
    closeSync(to);
    if (made?.kind !== 'made') rmSync(at(folder, name), { force: true });
  }
}

/** The ctime of a kept file means nothing: holes are made of it later. */
function kept(
  name: string,
  { shared, end }: Taken,
  { ranges }: Wanted,
  { identity, bytes }: ReturnType<typeof sealed>,
): Made {
  const missing = ranges.reduce(
    (sum, { offset, length }) => sum + Math.min(length, Math.max(0, offset + length - end)),
    0,
  );
  return { kind: 'made', name, shared, missing, identity: { ...identity, ctimeNs: undefined }, bytes };
}

/** The ctime does not count: a deletion, a rename and a chmod change it, and all that is kept is hashed before it is served. */
export function isStill({ fd, identity }: Wanted): boolean {
  const stats = fstatSync(fd, { bigint: true });
  const { ino, size, mtimeNs } = identityOf(stats);
  return stats.isFile() && ino === identity.ino && size === identity.size && mtimeNs === identity.mtimeNs;
}

/**
 * Shares the file: all of it or, while a writer waits, as far as the time allows. Undefined where that cannot be done. It may be larger
 * than the room that is left, but not where none is left.
 */
function shared(to: number, { fd, identity, left, until }: Wanted, calls: ShareCalls): Made | Taken | undefined {
  const { size } = identity;
  let end = 0;
  if (until === undefined) end = calls.share(fd, to) ? size : 0;
  else {
    while (end < size && (end === 0 || !isOver(until)) && calls.shareRange(fd, to, end, end + SHARED_AT_ONCE)) {
      end = Math.min(size, end + SHARED_AT_ONCE);
    }
  }
  if (end === 0) return undefined;
  return left > 0 ? { kind: 'taken', shared: true, end } : { kind: 'over', bytes: 1 };
}

const isOver = (until: number | undefined): boolean => until !== undefined && threadClockMs() >= until;

/** Copies the ranges, unless they are too much, as far as the time allows. */
function copied(to: number, { fd, identity, ranges, limit, left, until }: Wanted, calls: ShareCalls): Made | Taken {
  const pieces = ranges.flatMap((range) => [...dataOf(fd, range, calls)]);
  const bytes = pieces.reduce((sum, { start, end }) => sum + end - start, 0);
  if (bytes > limit) {
    const says = `can only be copied, and torrents need ${bytes} bytes of it: more than rescue_limit`;
    return { kind: 'not kept', why: 'rescue_limit', says };
  }
  if (bytes > left) return { kind: 'over', bytes };
  ftruncateSync(to, identity.size);
  const buffer = Buffer.allocUnsafe(Math.min(COPIED_AT_ONCE, bytes));
  let before = 0;
  for (const { start, end } of pieces) {
    for (let at = start; at < end; at = before) {
      if (before > 0 && isOver(until)) {
        ftruncateSync(to, before);
        return { kind: 'taken', shared: false, end: before };
      }
      const copy = copyOnce(fd, to, at, end, buffer);
      if (copy === 0) return CHANGED;
      before = at + copy;
    }
  }
  return { kind: 'taken', shared: false, end: identity.size };
}

/** What of a range is no hole. */
function* dataOf(fd: number, { offset, length }: KeptRange, calls: ShareCalls): Generator<DataPiece, void, undefined> {
  const end = offset + length;
  for (let at = offset; at < end; ) {
    const piece = calls.dataIn(fd, at, end);
    if (piece === undefined) return;
    yield piece;
    at = piece.end;
  }
}

/** Copies what is read at once. Gives its length; 0: the file ends there. */
function copyOnce(from: number, to: number, at: number, end: number, buffer: Buffer): number {
  const read = readSync(from, buffer, 0, Math.min(buffer.length, end - at), at);
  for (let done = 0; done < read; ) done += writeSync(to, buffer, done, read - done, at + done);
  return read;
}

/** Gives it the mtime of the source, and to its readers: as in the pool. @throws NotOurs if its mode lets others read it */
export function sealed(
  to: number,
  { identity, readers }: Pick<Wanted, 'identity' | 'readers'>,
  calls: ShareCalls,
): { readonly identity: FileIdentity; readonly bytes: number } {
  calls.setMtime(to, identity.mtimeNs);
  const mode = modeFor(to, readers);
  try {
    fchmodSync(to, mode);
  } catch (error) {
    if (errnoOf(error) !== 'EPERM' && errnoOf(error) !== 'EOPNOTSUPP') throw error;
  }
  const stats: BigIntStats = fstatSync(to, { bigint: true });
  const read = (READ << 3) | READ;
  if ((Number(stats.mode) & read & ~mode) !== 0) throw new NotOurs('the file system gives files no modes');
  return { identity: identityOf(stats), bytes: bytesTaken(Number(stats.blocks)) };
}

function modeFor(to: number, readers: Readers): number {
  if (readers === 'everyone') return 0o444;
  if (readers === 'nobody') return 0o400;
  try {
    fchownSync(to, -1, readers.group);
    return 0o440;
  } catch {
    // We are not in that group.
    return 0o400;
  }
}
