/**
 * The identity of a recorded file: its only declaration, and the only comparison.
 *
 * Inode, size and mtime together name a state of a file. The device counts only if the identity is of this boot: btrfs, NFS,
 * overlay file systems and disks that are plugged in get another number at each boot.
 */
import type { Stats } from 'node:fs';

export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
  /** Bytes. */
  readonly size: number;
  /** The same number as Node's `Stats.mtimeMs`: milliseconds with a fraction. */
  readonly mtimeMs: number;
}

/** A user's file as it was when a plan was made, and the copies that may replace it. */
export interface RecordedSource extends FileIdentity {
  /** Absolute, bytes. */
  readonly path: Buffer;
  /** Numbers of files that hold the same, verified bytes. The types that extend this say which numbers. */
  readonly spares: readonly number[];
}

/** The compared fields: an absent one may have any value. */
export type Recorded = Partial<FileIdentity>;

/**
 * A file that is `size`, `modified` or `replaced` can be hashed; the other reasons leave no file to hash.
 * `unreadable`: a system call failed for another reason than a missing file. `redirected`: the path leads through a symbolic
 * link that is not followed. `outside`: the path lies in no folder that may hold sources.
 */
export type DifferenceCode =
  | 'gone'
  | 'not-regular'
  | 'own-mount'
  | 'unreadable'
  | 'redirected'
  | 'outside'
  | 'size'
  | 'modified'
  | 'replaced';

/** Tells how a file differs from its record. */
export interface Difference {
  readonly code: DifferenceCode;
  /** A predicate, to follow the file's name or "it": `was modified`. */
  readonly says: string;
}

export function identityOf({ dev, ino, size, mtimeMs }: Stats): FileIdentity {
  return { dev, ino, size, mtimeMs };
}

/** Compares a file's statistics with its record. Undefined if they agree. */
export function differenceOf(recorded: Recorded, stats: Stats): Difference | undefined {
  if (!stats.isFile()) {
    const says = stats.isSymbolicLink() ? 'is a symbolic link now' : 'is not a regular file any more';
    return { code: 'not-regular', says };
  }
  const { dev, ino, size, mtimeMs } = recorded;
  if (size !== undefined && stats.size !== size) {
    return { code: 'size', says: `has ${stats.size} bytes now, not ${size}` };
  }
  if (mtimeMs !== undefined && stats.mtimeMs !== mtimeMs) return { code: 'modified', says: 'was modified' };
  if ((ino !== undefined && stats.ino !== ino) || (dev !== undefined && stats.dev !== dev)) {
    return { code: 'replaced', says: 'was replaced by another file' };
  }
  return undefined;
}
