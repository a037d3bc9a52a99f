/**
 * Tells who may read a file, apart from its owner and root: the answer that the mount must not exceed.
 *
 * A path can be read by whom the file lets read and each folder above it lets search. That is one of three: everyone, the
 * members of one group, or nobody else. Where the system's answer has more shades (two groups; a mode such as 0604, which
 * shuts out a group alone; an access control list that shuts out a user), this one is the narrower.
 */
import type { Stats } from 'node:fs';

/** Who may read, beside the owner. `group`: a group's id. */
export type Readers = 'everyone' | 'nobody' | { readonly group: number };

/** The bits of a mode that let read a file, and go through a folder. */
export const READ = 0o4;
export const SEARCH = 0o1;

/** Whom a file or folder grants `bit`, by its mode and its access control list, if it has one. */
export function grantedTo(stats: Pick<Stats, 'mode' | 'gid'>, bit: number, list?: Buffer): Readers {
  const { group, others } = list === undefined ? ofMode(stats.mode, bit) : ofList(list, bit);
  if (!group) return 'nobody';
  return others ? 'everyone' : { group: stats.gid };
}

interface Granted {
  /** Granted to all who are not the owner, and not others. */
  readonly group: boolean;
  readonly others: boolean;
}

const ofMode = (mode: number, bit: number): Granted => ({
  group: (mode & (bit << 3)) !== 0,
  others: (mode & bit) !== 0,
});

/** `linux/posix_acl_xattr.h`: a version, then entries of a tag, permissions and an id. */
const VERSION = 2;
const HEADER_BYTES = 4;
const ENTRY_BYTES = 8;
const TAG = { owner: 0x01, user: 0x02, ownGroup: 0x04, group: 0x08, mask: 0x10, others: 0x20 } as const;

/** Users and groups that the list names count like the group: if one is shut out, so are all. */
function ofList(list: Buffer, bit: number): Granted {
  const entries: { tag: number; grants: boolean }[] = [];
  for (let at = HEADER_BYTES; at + ENTRY_BYTES <= list.length; at += ENTRY_BYTES) {
    entries.push({ tag: list.readUInt16LE(at), grants: (list.readUInt16LE(at + 2) & bit) !== 0 });
  }
  if (list.length < HEADER_BYTES || list.readUInt32LE(0) !== VERSION) return { group: false, others: false };
  const every = (...tags: readonly number[]): boolean =>
    entries.every(({ tag, grants }) => !tags.includes(tag) || grants);
  return { group: every(TAG.user, TAG.ownGroup, TAG.group, TAG.mask), others: every(TAG.others) };
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
