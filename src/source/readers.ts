/**
 * Tells who may read a file, apart from its owner and root: the answer that the mount must not exceed.
 *
 * A path can be read by whom the file lets read and each folder above it lets search. That is one of three: everyone, the
 * members of one group, or nobody else. Where the system's answer has more shades (two groups; a mode such as 0604, which
 * shuts out a group alone), this one is the narrower.
 */
import type { Stats } from 'node:fs';

/** Who may read, beside the owner. `group`: a group's id. */
export type Readers = 'everyone' | 'nobody' | { readonly group: number };

const READ = 0o4;
const SEARCH = 0o1;

/** Who may read a file by its own mode. */
export function readersOfFile(stats: Pick<Stats, 'mode' | 'gid'>): Readers {
  return allowed(stats, READ);
}

/** Who may go through a folder by its own mode. */
export function passersOfFolder(stats: Pick<Stats, 'mode' | 'gid'>): Readers {
  return allowed(stats, SEARCH);
}

function allowed({ mode, gid }: Pick<Stats, 'mode' | 'gid'>, bit: number): Readers {
  if ((mode & (bit << 3)) === 0) return 'nobody';
  return (mode & bit) === 0 ? { group: gid } : 'everyone';
}

/** Who is among both. */
export function bothOf(one: Readers, other: Readers): Readers {
  if (one === 'everyone') return other;
  if (other === 'everyone') return one;
  return isSame(one, other) ? one : 'nobody';
}

export function isSame(one: Readers, other: Readers): boolean {
  return one === other || (typeof one === 'object' && typeof other === 'object' && one.group === other.group);
}

/** Reports whether somebody is among `before` and no longer among `now`. */
export function isNarrower(now: Readers, before: Readers): boolean {
  return !isSame(bothOf(now, before), before);
}

/** The bits to take from the mode of a file that shows the group `gid`: reading, and executing, which reads. */
export function hiddenBits(readers: Readers, gid: number): number {
  if (readers === 'everyone') return 0;
  return readers !== 'nobody' && readers.group === gid ? 0o005 : 0o055;
}
