/**
 * The identity of a recorded file: its only declaration, and the only comparison.
 *
 * Size, mtime and ctime together name a state of a file. The ctime is the kernel's own: no program can set it back. Inode and
 * device are hints: many file systems number anew at each mount. The inode counts where the ctime says nothing: in records
 * of older versions, which have none, and on file systems that keep none.
 */
import type { BigIntStats } from 'node:fs';
import { millisecondsOf } from '../native/timestamp.ts';

export interface FileIdentity {
  /** A hint: another one after each boot, on many file systems. */
  readonly dev: number;
  /** A hint. All 64 bits: mergerfs and others use them. */
  readonly ino: bigint;
  /** Bytes. */
  readonly size: number;
  /** Nanoseconds since 1970. With an unknown ctime: only as exact as `millisecondsOf` gives it. */
  readonly mtimeNs: bigint;
  /** Nanoseconds since 1970. Undefined: not known (a record of an older version), or of no meaning (a file of our own pool). */
  readonly ctimeNs: bigint | undefined;
}

/** The kernel's name of a file within its file system (`name_to_handle_at(2)`). It outlives renames and moves. */
export interface FileHandle {
  readonly type: number;
  readonly bytes: Buffer;
  /** That of the folder in which the file lay: after a restart the kernel knows no path of a file by its own handle. */
  readonly folder?: Omit<FileHandle, 'folder'>;
}

/** A user's file as it was when a plan was made, and the copies that may replace it. */
export interface RecordedSource extends FileIdentity {
  /** Absolute, bytes. */
  readonly path: Buffer;
  /** Numbers of files that hold the same, verified bytes. The types that extend this say which numbers. */
  readonly spares: readonly number[];
  /** Only on file systems where it means something: ext4, XFS, btrfs. It proposes a path, and proves nothing. */
  readonly handle?: FileHandle;
  /** The file system: `uuid:…`, or `mount:TYPE:SOURCE`. */
  readonly disk?: string;
}

/** The compared fields: an absent one may have any value. The device is not compared. */
export type Recorded = Partial<FileIdentity>;

/**
 * A file that is `size`, `modified`, `ctime` or `replaced` can be hashed; the other reasons leave no file to hash.
 * `ctime`: size and mtime agree, only the ctime does not. `replaced`: only the inode does not, where the ctime says nothing.
 * `unreadable`: a system call failed for another reason than a missing file. `redirected`: the path leads through a symbolic
 * link that is not followed. `outside`: the path lies in no folder that may hold sources. `released`: its disk is to be unmounted.
 */
export type DifferenceCode =
  | 'gone'
  | 'not-regular'
  | 'own-mount'
  | 'unreadable'
  | 'redirected'
  | 'outside'
  | 'released'
  | 'size'
  | 'modified'
  | 'ctime'
  | 'replaced';

/** Tells how a file differs from its record. */
export interface Difference {
  readonly code: DifferenceCode;
  /** A predicate, to follow the file's name or "it": `was modified`. */
  readonly says: string;
}

/** What of a record is compared with a file that is found by its path: the ctime or, in a record without one, the inode. */
export function comparedOf({ size, mtimeNs, ctimeNs, ino }: FileIdentity): Recorded {
  return ctimeNs === undefined ? { size, mtimeNs, ino } : { size, mtimeNs, ctimeNs };
}

export function identityOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): FileIdentity {
  return { dev: Number(dev), ino, size: Number(size), mtimeNs, ctimeNs };
}

/** Reports whether two files found are the same state of one file. The device is that of a boot. */
export function isSameIdentity(one: FileIdentity, other: FileIdentity): boolean {
  return (
    one.ino === other.ino && one.size === other.size && one.mtimeNs === other.mtimeNs && one.ctimeNs === other.ctimeNs
  );
}

/** Tells if two files are known to lie on different file systems. */
export function lieApart(one: Pick<RecordedSource, 'disk'>, other: Pick<RecordedSource, 'disk'> | undefined): boolean {
  return one.disk !== undefined && other?.disk !== undefined && one.disk !== other.disk;
}

/** The identity alone, of what has one. */
export function identityIn({ dev, ino, size, mtimeNs, ctimeNs }: FileIdentity): FileIdentity {
  return { dev, ino, size, mtimeNs, ctimeNs };
}

/** Reports whether two files found, wherever they lie, have all in common by which a content is known. */
export function isSameContent(
  one: Pick<FileIdentity, 'size' | 'mtimeNs' | 'ctimeNs'>,
  other: Pick<FileIdentity, 'size' | 'mtimeNs' | 'ctimeNs'>,
): boolean {
  return one.size === other.size && one.mtimeNs === other.mtimeNs && one.ctimeNs === other.ctimeNs;
}

/** Tells if what is there is no regular file. */
export function notRegular(stats: Pick<BigIntStats, 'isFile' | 'isSymbolicLink'>): Difference | undefined {
  if (stats.isFile()) return undefined;
  const says = stats.isSymbolicLink() ? 'is a symbolic link now' : 'is not a regular file any more';
  return { code: 'not-regular', says };
}

/**
 * Compares a regular file with its record. Undefined if they agree. Where the ctime is known and agrees, and the file system
 * keeps one (`FileSystemKind.trueCtime`), a difference `replaced` means nothing: such file systems may number anew.
 */
export function differenceOf(recorded: Recorded, found: FileIdentity): Difference | undefined {
  const { size, mtimeNs, ctimeNs } = recorded;
  if (size !== undefined && found.size !== size) {
    return { code: 'size', says: `has ${found.size} bytes now, not ${size}` };
  }
  if (mtimeNs !== undefined && !isSameTime(recorded, mtimeNs, found.mtimeNs)) {
    return { code: 'modified', says: 'was modified' };
  }
  if (ctimeNs !== undefined && found.ctimeNs !== ctimeNs) {
    return { code: 'ctime', says: 'was changed or replaced, although its mtime is as before' };
  }
  return isSameInode(recorded, found) ? undefined : { code: 'replaced', says: 'was replaced by another file' };
}

/** Compares what one open file was and is: its device and inode are the same. */
export function isSame({ size, mtimeNs, ctimeNs }: FileIdentity, found: FileIdentity): boolean {
  return differenceOf({ size, mtimeNs, ctimeNs }, found) === undefined;
}

/** Older records have the mtime and the inode number as doubles. */
function isSameTime({ ctimeNs }: Recorded, recorded: bigint, found: bigint): boolean {
  if (recorded === found) return true;
  return ctimeNs === undefined && millisecondsOf(recorded) === millisecondsOf(found);
}

function isSameInode({ ino, ctimeNs }: Recorded, found: FileIdentity): boolean {
  if (ino === undefined || found.ino === ino) return true;
  return ctimeNs === undefined && Number(found.ino) === Number(ino);
}
