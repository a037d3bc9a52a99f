/**
 * The written blocks of an overlay file: one bit per block, in chunks that are records of the store.
 *
 * A block is 4 KiB (`docs/overlay.md` has the reason). A chunk is 4096 blocks: 16 MiB of file in 512 bytes. So a
 * checkpoint rewrites little, and blocks written in random order merge by themselves.
 */
import { damaged } from '../records/record.ts';

export const BLOCK_BYTES = 4096;
const CHUNK_BLOCKS = 4096;
const CHUNK_BYTES = CHUNK_BLOCKS / 8;

/** The record of a chunk with every block written. */
const FULL = Buffer.alloc(0);

export class WrittenBlocks {
  readonly #chunks = new Map<number, Buffer>();
  #changed = new Set<number>();

  /** Loads a chunk from its record. @throws AutotorrentError('STORE') for an impossible one */
  load(chunk: number, record: Buffer): void {
    if (record.length !== 0 && record.length !== CHUNK_BYTES)
      throw damaged('a list of written blocks has a wrong size');
    this.#chunks.set(chunk, record.length === 0 ? Buffer.alloc(CHUNK_BYTES, 0xff) : Buffer.from(record));
  }

  get isEmpty(): boolean {
    return this.#chunks.size === 0;
  }

  has(block: number): boolean {
    const chunk = this.#chunks.get(Math.floor(block / CHUNK_BLOCKS));
    if (chunk === undefined) return false;
    const bit = block % CHUNK_BLOCKS;
    return ((chunk[bit >>> 3] ?? 0) & (1 << (bit & 7))) !== 0;
  }

  /** Finds the first block after `block`, before `limit`, whose state differs; `limit` if there is none. */
  runEnd(block: number, limit: number): number {
    const state = this.has(block);
    const same = state ? 0xff : 0;
    let at = block + 1;
    while (at < limit) {
      const chunk = this.#chunks.get(Math.floor(at / CHUNK_BLOCKS));
      if (chunk === undefined) {
        if (state) return at;
        at = (Math.floor(at / CHUNK_BLOCKS) + 1) * CHUNK_BLOCKS;
        continue;
      }
      const bit = at % CHUNK_BLOCKS;
      const byte = chunk[bit >>> 3] ?? 0;
      if ((bit & 7) === 0 && byte === same) {
        at += 8;
        continue;
      }
      if (((byte & (1 << (bit & 7))) !== 0) !== state) return at;
      at++;
    }
    return limit;
  }

  /** Reports whether all blocks of `[first, end)` are written. */
  hasAll(first: number, end: number): boolean {
    return first >= end || (this.has(first) && this.runEnd(first, end) === end);
  }

  /** Reports whether a block of `[first, end)` is written. */
  hasAny(first: number, end: number): boolean {
    return first < end && (this.has(first) || this.runEnd(first, end) < end);
  }

  /** Marks `[first, end)` as written. */
  add(first: number, end: number): void {
    for (let at = first; at < end; ) {
      const index = Math.floor(at / CHUNK_BLOCKS);
      const chunk = this.#chunks.get(index) ?? Buffer.alloc(CHUNK_BYTES);
      this.#chunks.set(index, chunk);
      this.#changed.add(index);
      const until = Math.min(end, (index + 1) * CHUNK_BLOCKS);
      for (; at < until; at++) {
        const bit = at % CHUNK_BLOCKS;
        chunk[bit >>> 3]! |= 1 << (bit & 7);
      }
    }
  }

  /** Marks `block` and all after it as not written. */
  clearFrom(block: number): void {
    for (const [index, chunk] of this.#chunks) {
      if ((index + 1) * CHUNK_BLOCKS <= block) continue;
      this.#changed.add(index);
      if (index * CHUNK_BLOCKS >= block) {
        this.#chunks.delete(index);
        continue;
      }
      const bit = block % CHUNK_BLOCKS;
      chunk[bit >>> 3]! &= 0xff >>> (8 - (bit & 7));
      chunk.fill(0, (bit >>> 3) + 1);
    }
  }

  /** Lists the written ranges of blocks below `end`, in order, half-open. */
  *ranges(end: number): Generator<readonly [first: number, end: number], void, undefined> {
    for (const index of [...this.#chunks.keys()].toSorted((a, b) => a - b)) {
      const until = Math.min(end, (index + 1) * CHUNK_BLOCKS);
      for (let at = index * CHUNK_BLOCKS; at < until; ) {
        const run = this.runEnd(at, until);
        if (this.has(at)) yield [at, run];
        at = run;
      }
    }
  }

  /** Copies the chunks that changed since the last call; undefined for an empty one. */
  takeChanged(): Map<number, Buffer | undefined> {
    const taken = new Map<number, Buffer | undefined>();
    for (const index of this.#changed) {
      const chunk = this.#chunks.get(index);
      taken.set(
        index,
        chunk === undefined ? undefined : chunk.every((byte) => byte === 0xff) ? FULL : Buffer.from(chunk),
      );
    }
    this.#changed = new Set();
    return taken;
  }

  /** Marks chunks of `takeChanged` as changed again, since they could not be recorded. */
  putBack(chunks: Iterable<number>): void {
    for (const index of chunks) this.#changed.add(index);
  }
}
