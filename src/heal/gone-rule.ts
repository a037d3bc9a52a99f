/**
 * Tells a file that somebody deleted from one that is away with many others: a branch of a pool that is not there, an empty
 * mount point. Nothing says which it is but how many others are gone (docs/sources.md, "Never healed away").
 */
import type { Case } from './case.ts';

/** More sources than these, gone at once, are away and not deleted; so is this share of a disk's. */
export const MOST_GONE = 20;
const MOST_SHARE = 0.05;
/** Sources of a disk that are looked at to find out. */
const SAMPLE = 500;
/** Milliseconds for which an answer counts. */
const FRESH_MS = 5000;

export interface GoneTools {
  /** Lists sources below a folder, in pages: there may be 100,000. */
  readonly sourcesBelow: (folder: Buffer) => AsyncIterable<{ readonly id: number; readonly path: Buffer }>;
  /** Tells if a path leads to a regular file that may be a source. */
  readonly isThere: (path: Buffer) => boolean;
  /** The folders that hold the sources of a case's disk. */
  readonly rootsOf: (one: Case) => Promise<readonly Buffer[]>;
}

interface Count {
  readonly gone: number;
  readonly all: number;
  readonly at: number;
}

export class GoneRule {
  readonly #tools: GoneTools;
  readonly #counts = new Map<string, Count>();
  /** Sources that were settled as lost, or whose deletion was seen: they say nothing about a disk. */
  readonly #explained = new Set<number>();

  constructor(tools: GoneTools) {
    this.#tools = tools;
  }

  /** Notes that nobody need wonder why this source is gone. */
  explain(id: number): void {
    this.#explained.add(id);
  }

  /** Tells how many sources are gone with this one; undefined if these are few. */
  async tooMany(one: Case): Promise<{ readonly gone: number; readonly all: number } | undefined> {
    const roots = await this.#tools.rootsOf(one);
    const key = one.record.disk ?? roots.map((root) => root.toString('latin1')).join('\0');
    let count = this.#counts.get(key);
    if (count === undefined || performance.now() - count.at > FRESH_MS) {
      count = await this.#count(roots);
      this.#counts.set(key, count);
    }
    const { gone, all } = count;
    // One file of a small disk is 5 % of it.
    return gone > MOST_GONE || (gone > 1 && gone >= MOST_SHARE * all) ? { gone, all } : undefined;
  }

  async #count(roots: readonly Buffer[]): Promise<Count> {
    // A sample of a list whose length is not known (reservoir sampling).
    const sample: Buffer[] = [];
    let all = 0;
    for (const root of roots) {
      for await (const { id, path } of this.#tools.sourcesBelow(root)) {
        if (this.#explained.has(id)) continue;
        all++;
        if (sample.length < SAMPLE) sample.push(path);
        else {
          const at = Math.floor(Math.random() * all);
          if (at < SAMPLE) sample[at] = path;
        }
      }
    }
    const missing = sample.filter((path) => !this.#tools.isThere(path)).length;
    const gone = sample.length === all ? missing : Math.round((missing * all) / sample.length);
    return { gone, all, at: performance.now() };
  }
}
