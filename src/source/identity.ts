/**
 * What makes a file the one that was recorded: the only declaration of it, and the only comparison.
 *
 * Inode, size and mtime together name a state of a file. The device counts only where the identity is of this boot: btrfs,
 * NFS, overlay file systems and disks that are plugged in get another number at each boot.
 */
import type { Stats } from 'node:fs';

export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
  /** Bytes. */
  readonly size: number;
  /** As Node's `Stats.mtimeMs`: milliseconds with a fraction. */
  readonly mtimeMs: number;
}

/** A file of the user's as it was when a plan was made, and the copies that may stand in for it. */
export interface RecordedSource extends FileIdentity {
  /** Absolute, bytes. */
  readonly path: Buffer;
  /** Files that hold the same bytes, verified so. Of what they are the numbers, whoever extends this says. */
  readonly spares: readonly number[];
}

/** What is compared: a member that is absent may be anything. */
export type Recorded = Partial<FileIdentity>;

/**
 * `size`, `modified` and `replaced` leave a file that can be hashed; the others leave none.
 * `unreadable`: a system call failed for another reason than a missing file.
 */
export type DifferenceCode = 'gone' | 'not-regular' | 'own-mount' | 'unreadable' | 'size' | 'modified' | 'replaced';

/** How a file differs from what was recorded. */
export interface Difference {
  readonly code: DifferenceCode;
  /** A predicate: `was modified`. The file, or "it", comes before it. */
  readonly says: string;
}

export function identityOf({ dev, ino, size, mtimeMs }: Stats): FileIdentity {
  return { dev, ino, size, mtimeMs };
}

/** Compares a file, by its statistics, with what was recorded. Undefined where they agree. */
export function differenceOf(recorded: Recorded, stats: Stats): Difference | undefined {
  if (!stats.isFile()) return { code: 'not-regular', says: 'is not a regular file any more' };
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
