/**
 * Measures the space that the overlay takes on its disk, a few files at a time: the folder may hold 200,000 files, and
 * every command asks for the status. If that takes longer than a moment, the answer is the last result, some seconds
 * old.
 */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { within } from '../within.ts';

const FRESH_MS = 5000;
const PATIENCE_MS = 200;
const AT_ONCE = 32;
/** The unit of `st_blocks` in stat(2). */
const BLOCK_BYTES = 512;

export class OverlayUsage {
  readonly #folder: string;
  #last: number | undefined;
  #countedAt = Number.NEGATIVE_INFINITY;
  /** The duration of the last count, in milliseconds. */
  #took = 0;
  #counting: Promise<void> | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Returns the bytes; undefined while they are not known yet. */
  async bytes(): Promise<number | undefined> {
    // A small overlay is measured each time, so that a write shows at once.
    if (this.#took > PATIENCE_MS && performance.now() - this.#countedAt < FRESH_MS) return this.#last;
    this.#counting ??= this.#count().finally(() => {
      this.#counting = undefined;
    });
    await within(PATIENCE_MS, this.#counting);
    return this.#last;
  }

  async #count(): Promise<void> {
    const began = performance.now();
    let blocks = 0;
    try {
      blocks += await blocksOf(this.#folder, await readdir(this.#folder));
      for (const entry of await readdir(this.#folder, { withFileTypes: true })) {
        if (!entry.isDirectory()) continue;
        const shard = join(this.#folder, entry.name);
        blocks += await blocksOf(shard, await readdir(shard));
      }
    } catch {
      // The folder cannot be read: the next write to it logs more.
      return;
    }
    this.#last = blocks * BLOCK_BYTES;
    this.#countedAt = performance.now();
    this.#took = this.#countedAt - began;
  }
}

async function blocksOf(folder: string, names: readonly string[]): Promise<number> {
  let blocks = 0;
  for (let from = 0; from < names.length; from += AT_ONCE) {
    const slice = names.slice(from, from + AT_ONCE);
    // A file that is gone since takes nothing.
    const stats = await Promise.all(slice.map(async (name) => await lstat(join(folder, name)).catch(() => undefined)));
    for (const stat of stats) blocks += stat?.blocks ?? 0;
  }
  return blocks;
}
