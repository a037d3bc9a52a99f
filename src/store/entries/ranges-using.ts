/** Lists the ranges of a source that files of entries name. */
import type { Database } from '../records/database.ts';
import type { Tree } from '../tree/tree.ts';
import { filesUsing } from './files-using.ts';

/** Bytes of a source. */
export interface SourceRange {
  readonly offset: number;
  readonly length: number;
}

/** Ranges that are in memory at once. */
const MOST = 16_384;
/** Bytes between two ranges that are joined first. */
const NEAR = 4096;

interface SourceRangesParts {
  readonly db: Database;
  readonly tree: Tree;
  /** Lists the entries that use each of some sources. */
  readonly usersOfAll: (ids: Iterable<number>) => Promise<ReadonlyMap<number, readonly number[]>>;
}

/**
 * Finds the ranges of sources. Those of many sources that are asked for at once are found in one walk through the files of their
 * entries.
 */
export class SourceRanges {
  readonly #parts: SourceRangesParts;
  /** Asked for in this turn of the event loop. */
  #asked = new Map<number, Promise<Ranges>>();
  #finding: Promise<ReadonlyMap<number, Ranges>> | undefined;

  constructor(parts: SourceRangesParts) {
    this.#parts = parts;
  }

  /** In order, and apart from each other. Of very many, what lies between some counts as named. */
  async of(source: number): Promise<readonly SourceRange[]> {
    this.#finding ??= new Promise(setImmediate).then(async () => await this.#findAll());
    const finding = this.#finding;
    const ranges = this.#asked.get(source) ?? finding.then((found) => found.get(source) ?? new Ranges(MOST));
    this.#asked.set(source, ranges);
    return (await ranges).list();
  }

  async #findAll(): Promise<ReadonlyMap<number, Ranges>> {
    const found = new Map([...this.#asked.keys()].map((source) => [source, new Ranges(MOST)] as const));
    this.#asked = new Map();
    this.#finding = undefined;
    const users = await this.#parts.usersOfAll(found.keys());
    for (const entry of new Set([...users.values()].flat())) await this.#walk(entry, found);
    return found;
  }

  async #walk(entry: number, found: ReadonlyMap<number, Ranges>): Promise<void> {
    const { db, tree } = this.#parts;
    for await (const files of filesUsing({ db, tree }, found, entry)) {
      for (const { ino } of files) {
        for (const { source, sourceOffset, length } of tree.extents(ino)) {
          found.get(source)?.add({ offset: sourceOffset, length });
        }
      }
    }
  }
}

/** Ranges, `most` at once: beyond, those that lie near each other become one. */
export class Ranges {
  readonly #most: number;
  #ranges: readonly SourceRange[] = [];
  #added: SourceRange[] = [];
  /** Bytes between two ranges that are joined. */
  #near = 0;

  constructor(most: number) {
    this.#most = most;
  }

  add(range: SourceRange): void {
    this.#added.push(range);
    if (this.#ranges.length + this.#added.length > this.#most) this.list();
  }

  /** In order, and apart from each other. */
  list(): readonly SourceRange[] {
    this.#ranges = merged([...this.#ranges, ...this.#added], this.#near);
    this.#added = [];
    while (this.#ranges.length > this.#most / 2) {
      this.#near = Math.max(NEAR, 2 * this.#near);
      this.#ranges = merged(this.#ranges, this.#near);
    }
    return this.#ranges;
  }
}

/** Joins ranges that overlap, or between which lie `near` bytes at most. */
function merged(ranges: readonly SourceRange[], near: number): SourceRange[] {
  const found: { offset: number; length: number }[] = [];
  for (const { offset, length } of ranges.toSorted((a, b) => a.offset - b.offset)) {
    const last = found.at(-1);
    if (last === undefined || offset > last.offset + last.length + near) found.push({ offset, length });
    else last.length = Math.max(last.length, offset + length - last.offset);
  }
  return found;
}
