/**
 * Bounds what the archives of one rebuild may add to the index, and what may be read of them, over all walk threads. Archives are
 * hostile: a small file may list a hundred thousand members, and a disk may hold any number of such files.
 */

export interface MemberLimits {
  /** Members in the index. */
  readonly members: number;
  /** KiB of their names. */
  readonly namesKiB: number;
  /** Reads of headers, each of some KiB. */
  readonly reads: number;
}

/** What is said of archives that are left out. */
export const OVER_REBUILD = 'archive left out: the archives of one rebuild would list too much';

/** Some 20 bytes a member are in memory while the index is written, and its name is on the disk. */
export const MEMBER_LIMITS: MemberLimits = { members: 4_000_000, namesKiB: 256 * 1024, reads: 20_000_000 };

/** What is left is shared by all threads: they get `shared`. */
export class MemberBudget {
  readonly shared: SharedArrayBuffer;
  readonly #left: Int32Array;

  /** Begins with limits, or goes on with what another thread shares. */
  constructor(from: MemberLimits | SharedArrayBuffer) {
    this.shared = from instanceof SharedArrayBuffer ? from : new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT);
    this.#left = new Int32Array(this.shared);
    if (!(from instanceof SharedArrayBuffer)) this.#left.set([from.members, from.namesKiB, from.reads]);
  }

  get spent(): boolean {
    return this.#left.some((_, i) => Atomics.load(this.#left, i) <= 0);
  }

  /** Takes room for the members of an archive, and for their names; takes none and returns false if there is not enough. */
  takeMembers(members: number, nameBytes: number): boolean {
    const names = Math.ceil(nameBytes / 1024);
    const enough = Atomics.sub(this.#left, 0, members) >= members;
    const alsoNames = Atomics.sub(this.#left, 1, names) >= names;
    if (enough && alsoNames) return true;
    Atomics.add(this.#left, 0, members);
    Atomics.add(this.#left, 1, names);
    return false;
  }

  /** Counts members that the index keeps, room or not. */
  countKept(members: number): void {
    Atomics.sub(this.#left, 0, members);
  }

  takeReads(reads: number): void {
    Atomics.sub(this.#left, 2, reads);
  }
}
