/**
 * The table of lent files, in memory that threads share. One thread writes it, any number read it (`lending.ts` has the rules).
 *
 * A slot holds one file, by its inode number; an inode has one slot that it may be in. Its *version* is even while nothing is
 * lent, and odd while a file is; it changes before anything of the slot does. So who reads a version that is odd, then whatever
 * he wants, and then the same version again, has read what belongs together.
 */

/** Slots; a power of two. */
export const SLOTS = 4096;
/** Numbers of a slot. */
export const SLOT = {
  ino: 0,
  size: 1,
  isWhole: 2,
  until: 3,
  descriptors: 4,
  extents: 5,
  count: 6,
  numbers: 8,
} as const;
/** Numbers of a descriptor; `looked`: 0 for a file that nobody else writes to, 1 where a look follows each read. */
export const DESCRIPTOR = { fd: 0, looked: 1, look: 2, numbers: 10 } as const;
/** Numbers of an extent; `descriptor`: its place among the file's, or one of the two below. It ends where the next one begins. */
export const EXTENT = { offset: 0, descriptor: 1, at: 2, numbers: 3 } as const;
/** Zeros. */
export const NO_BYTES = -1;
/** Bytes that are not lent. */
export const NOT_LENT = -2;
/** Threads that count what they read. */
export const READERS = 8;

/** Numbers for descriptors and extents of all files. Memory that was never written to takes no room. */
const ROOM = 2 ** 20;

/** What threads are given. */
export interface SharedTable {
  readonly versions: Int32Array<SharedArrayBuffer>;
  readonly slots: Float64Array<SharedArrayBuffer>;
  readonly room: Float64Array<SharedArrayBuffer>;
  /** Reads and bytes of each reader: two numbers, which that reader alone writes. */
  readonly counts: Float64Array<SharedArrayBuffer>;
}

export function newTable(room = ROOM): SharedTable {
  return {
    versions: new Int32Array(new SharedArrayBuffer(SLOTS * 4)),
    slots: doubles(SLOTS * SLOT.numbers),
    room: doubles(room),
    counts: doubles(READERS * 2),
  };
}

function doubles(count: number): Float64Array<SharedArrayBuffer> {
  return new Float64Array(new SharedArrayBuffer(count * 8));
}

/** The one slot that an inode may be in. */
export function slotOf(ino: number): number {
  return ino % SLOTS;
}

/** Gives a clock in milliseconds that is the same for all threads, at the cost of `performance.now()`. */
export function sharedClock(): () => number {
  const ahead = Number(process.hrtime.bigint()) / 1e6 - performance.now();
  return () => performance.now() + ahead;
}
