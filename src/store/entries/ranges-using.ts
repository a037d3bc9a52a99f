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

/** In order, and apart from each other. Of very many, what lies between some counts as named. */
export async function rangesUsing(
  parts: { readonly db: Database; readonly tree: Tree },
  source: number,
  entries: readonly number[],
): Promise<readonly SourceRange[]> {
  const ranges = new Ranges(MOST);
  for (const entry of entries) {
    for await (const files of filesUsing(parts, source, entry)) {
      for (const { ino } of files) {
        for (const extent of parts.tree.extents(ino)) {
          if (extent.source === source) ranges.add({ offset: extent.sourceOffset, length: extent.length });
        }
      }
    }
  }
  return ranges.list();
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
