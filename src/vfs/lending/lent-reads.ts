/** Reads of lent files, for threads (`lending.ts` has the rules). A read allocates nothing. */
import type { BorrowedReads } from '../../native/borrowed-reads.ts';
import { DESCRIPTOR, EXTENT, NO_BYTES, NOT_LENT, type SharedTable, SLOT, sharedClock, slotOf } from './table.ts';

/** The read has to be made by the thread that owns the file. */
export const ASK_THE_OWNER = -1;

/** How much further a read may be put: it is not slow then. */
export const MOVED_BYTES = 32;
const SLOW_BELOW = 32;
const PAGE_BYTES = 4096;

export class LentReads {
  readonly #table: SharedTable;
  readonly #calls: BorrowedReads;
  readonly #buffer: Buffer;
  readonly #reader: number;
  readonly #now = sharedClock();
  /** Where the buffer begins in its page. */
  readonly #begins: number;
  /** The last read lies `MOVED_BYTES` further in the buffer than was asked for. */
  isMoved = false;

  /** `buffer`: that of `calls`. `reader`: one of `READERS`, for whom it counts. */
  constructor(table: SharedTable, calls: BorrowedReads, buffer: Buffer, reader: number) {
    this.#table = table;
    this.#calls = calls;
    this.#buffer = buffer;
    this.#reader = reader;
    this.#begins = calls.address % PAGE_BYTES;
  }

  /**
   * Reads to offset `to` of the buffer, or `MOVED_BYTES` further if that is faster (`isMoved`). Gives the number of bytes, fewer
   * only at the end of the file; or ASK_THE_OWNER.
   */
  read(ino: number, position: number, length: number, to: number): number {
    const { versions, counts } = this.#table;
    const slot = slotOf(ino);
    const version = Atomics.load(versions, slot);
    if ((version & 1) === 0) return ASK_THE_OWNER;
    const bytes = this.#readAs(slot, ino, position, length, to);
    // Not a load: what was read before must not be read after it.
    if (bytes < 0 || Atomics.compareExchange(versions, slot, version, version) !== version) return ASK_THE_OWNER;
    const count = this.#reader * 2;
    counts[count] = counts[count]! + 1;
    counts[count + 1] = counts[count + 1]! + bytes;
    return bytes;
  }

  /** What it reads in the table may be anything, if the version is another one by now. */
  #readAs(slot: number, ino: number, position: number, length: number, to: number): number {
    const { slots, room } = this.#table;
    const at = slot * SLOT.numbers;
    if (slots[at + SLOT.ino] !== ino || this.#now() >= slots[at + SLOT.until]!) return ASK_THE_OWNER;
    const size = slots[at + SLOT.size]!;
    let end = position + length;
    if (end > size) {
      // A file that others write to may have grown.
      if (slots[at + SLOT.isWhole] !== 1 || position >= size) return ASK_THE_OWNER;
      end = size;
    }
    const descriptors = slots[at + SLOT.descriptors]!;
    const extents = slots[at + SLOT.extents]!;
    const count = slots[at + SLOT.count]!;
    let looked = NO_BYTES;
    let done = position;
    this.isMoved = false;
    for (let i = this.#find(extents, count, position); i < count && done < end; i++) {
      const extent = extents + i * EXTENT.numbers;
      const until = i + 1 < count ? Math.min(end, room[extent + EXTENT.numbers + EXTENT.offset]!) : end;
      const bytes = until - done;
      const descriptor = room[extent + EXTENT.descriptor]!;
      if (descriptor === NOT_LENT || !(bytes > 0)) return ASK_THE_OWNER;
      if (descriptor === NO_BYTES) this.#buffer.fill(0, to + done - position, to + until - position);
      else {
        if (looked !== descriptor && looked >= 0 && !this.#isStill(descriptors, looked)) return ASK_THE_OWNER;
        looked = descriptor;
        const fd = room[descriptors + descriptor * DESCRIPTOR.numbers + DESCRIPTOR.fd]!;
        const from = room[extent + EXTENT.at]! + done - room[extent + EXTENT.offset]!;
        if (done === position && this.#isSlow(from, to)) {
          this.isMoved = true;
          to += MOVED_BYTES;
        }
        if (this.#calls.read(fd, to + done - position, bytes, from) !== bytes) return ASK_THE_OWNER;
      }
      done = until;
    }
    if (done !== end || (looked >= 0 && !this.#isStill(descriptors, looked))) return ASK_THE_OWNER;
    return end - position;
  }

  /** `native/read-memory.ts` says why: the destination lies 1 to 31 bytes further in its page than the source in its own. */
  #isSlow(from: number, to: number): boolean {
    const further = (this.#begins + to - from) & (PAGE_BYTES - 1);
    return further > 0 && further < SLOW_BELOW;
  }

  #isStill(descriptors: number, descriptor: number): boolean {
    const { room } = this.#table;
    const at = descriptors + descriptor * DESCRIPTOR.numbers;
    if (room[at + DESCRIPTOR.looked] === 0) return true;
    return this.#calls.isStill(room[at + DESCRIPTOR.fd]!, room, at + DESCRIPTOR.look);
  }

  /** Finds the last extent that begins at or before a position. */
  #find(extents: number, count: number, position: number): number {
    const { room } = this.#table;
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (room[extents + middle * EXTENT.numbers + EXTENT.offset]! <= position) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
