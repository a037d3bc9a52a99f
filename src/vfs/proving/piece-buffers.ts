/**
 * The bytes of pieces that were hashed, for the readers that come next, and the memory for the next pieces.
 *
 * Bytes whose hashes agreed are those of the piece for ever, so nothing here becomes wrong. What a client has written over
 * a piece, and what is a gap in it, is never read from here.
 *
 * A reader that got bytes copies them before the event loop goes on: memory is used again no earlier than in its next turn.
 */
import { readBytes, roomIn, sharedReadMemory } from '../../native/read-memory.ts';

/** Bytes of the largest piece that is kept, and of all pieces in work. */
export const MOST_IN_WORK = 64 * 1024 * 1024;
/** Bytes of pieces for the next readers. */
const MOST_KEPT = 48 * 1024 * 1024;
/** Bytes of memory that waits for the next pieces: fresh memory costs a quarter of the hashing. */
const MOST_FREE = 16 * 1024 * 1024;

interface Kept {
  readonly memory: SharedArrayBuffer;
  readonly bytes: Buffer;
}

export class PieceBuffers {
  /** By entry and piece, the longest unused first. */
  readonly #kept = new Map<string, Kept>();
  #free: SharedArrayBuffer[] = [];
  #keptBytes = 0;
  #freeBytes = 0;
  #inWork = 0;

  /** The bytes of a piece, if they are here. */
  get(entry: number, piece: number): Buffer | undefined {
    const key = keyOf(entry, piece);
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    return kept.bytes;
  }

  /** Reports whether another piece may be hashed beside those in work. */
  hasRoom(length: number): boolean {
    return this.#inWork === 0 || this.#inWork + length <= MOST_IN_WORK;
  }

  /** Gives memory for a piece, until `keep` or `giveBack`. Undefined for a piece that is too large to be kept. */
  take(length: number): SharedArrayBuffer | undefined {
    if (length > MOST_IN_WORK) return undefined;
    const i = this.#free.findIndex((memory) => roomIn(memory) >= length && roomIn(memory) <= 2 * length);
    const memory = i < 0 ? sharedReadMemory(length) : this.#free.splice(i, 1)[0]!;
    if (i >= 0) this.#freeBytes -= memory.byteLength;
    this.#inWork += memory.byteLength;
    return memory;
  }

  /** Keeps the first `length` bytes of the memory as those of a piece. */
  keep(entry: number, piece: number, memory: SharedArrayBuffer, length: number): Buffer {
    this.#inWork -= memory.byteLength;
    const bytes = readBytes(memory, length);
    this.#kept.set(keyOf(entry, piece), { memory, bytes });
    this.#keptBytes += memory.byteLength;
    for (const [oldest, { memory }] of this.#kept) {
      if (this.#keptBytes <= MOST_KEPT || this.#kept.size === 1) break;
      this.#kept.delete(oldest);
      this.#keptBytes -= memory.byteLength;
      setImmediate(() => this.#reuse(memory));
    }
    return bytes;
  }

  giveBack(memory: SharedArrayBuffer): void {
    this.#inWork -= memory.byteLength;
    this.#reuse(memory);
  }

  #reuse(memory: SharedArrayBuffer): void {
    if (this.#freeBytes + memory.byteLength > MOST_FREE) return;
    this.#free.push(memory);
    this.#freeBytes += memory.byteLength;
  }

  /** Frees all that is not in work. */
  clear(): void {
    this.#kept.clear();
    this.#free = [];
    this.#keptBytes = 0;
    this.#freeBytes = 0;
  }
}

function keyOf(entry: number, piece: number): string {
  return `${entry} ${piece}`;
}
