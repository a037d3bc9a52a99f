/**
 * The extents of one virtual file (glossary and invariants: `extent.ts`), located by binary search.
 *
 * Invariants of a map: it never changes; neighbours that continue each other are one extent. Most files are mapped
 * 1:1 and there are a million of them, so one extent lives in three plain fields; more lie interleaved in one
 * Float64Array, 24 bytes an extent.
 */
import { type Extent, GAP, ZEROS } from './extent.ts';

/** Numbers that an extent takes in the table: offset, source, source offset. */
const STRIDE = 3;

export class ExtentMap {
  /** Bytes of the virtual file. */
  readonly length: number;
  /** The number of extents after merging. */
  readonly count: number;
  /** The origin of the first extent: the only one if `count` is 1. */
  readonly #source: number;
  readonly #sourceOffset: number;
  /** Absent if there is only one extent. */
  readonly #table: Float64Array | undefined;

  private constructor(length: number, extents: readonly Extent[]) {
    this.length = length;
    this.count = extents.length;
    this.#source = extents[0]?.source ?? GAP;
    this.#sourceOffset = extents[0]?.sourceOffset ?? 0;
    if (extents.length < 2) return;
    const table = new Float64Array(extents.length * STRIDE);
    let at = 0;
    for (const extent of extents) {
      table[at++] = extent.offset;
      table[at++] = extent.source;
      table[at++] = extent.sourceOffset;
    }
    this.#table = table;
  }

  /** @throws RangeError if `extents` are not in order, do not touch, or do not cover `[0, length)` exactly */
  static from(extents: Iterable<Extent>, length: number): ExtentMap {
    if (!isPosition(length)) throw new RangeError(`a file cannot have ${length} bytes`);
    const merged = coalesce(extents);
    const last = merged.at(-1);
    const covered = last === undefined ? 0 : last.offset + last.length;
    if (covered !== length) throw new RangeError(`the extents cover ${covered} of ${length} bytes`);
    return new ExtentMap(length, merged);
  }

  /** Makes the map of a file whose bytes all come from one place; 0 bytes make an empty map. */
  static single(length: number, source: number, sourceOffset = 0): ExtentMap {
    return ExtentMap.from(length === 0 ? [] : [{ offset: 0, length, source, sourceOffset }], length);
  }

  /**
   * Gives the extents that make up `[offset, offset + length)`, clipped to it, in order. A range beyond the end is cut off,
   * as in a read. @throws RangeError for numbers that are no positions
   */
  slice(offset: number, length: number): Extent[] {
    if (!isPosition(offset) || !isPosition(length)) {
      throw new RangeError(`no range: ${length} bytes from ${offset} on`);
    }
    const end = Math.min(offset + length, this.length);
    if (offset >= end) return [];
    const found: Extent[] = [];
    for (let i = this.#indexAt(offset); i < this.count && this.#offsetOf(i) < end; i++) {
      found.push(this.#clip(i, offset, end));
    }
    return found;
  }

  /** Counts the bytes that come from sources, that are zeros by definition, or that are nowhere. */
  bytesIn(kind: 'sources' | 'zeros' | 'gaps'): number {
    let bytes = 0;
    for (let i = 0; i < this.count; i++) {
      const source = this.#sourceOf(i);
      if (kind === (source === ZEROS ? 'zeros' : source === GAP ? 'gaps' : 'sources')) {
        bytes += this.#offsetOf(i + 1) - this.#offsetOf(i);
      }
    }
    return bytes;
  }

  *[Symbol.iterator](): Generator<Extent, void, undefined> {
    for (let i = 0; i < this.count; i++) yield this.#clip(i, 0, this.length);
  }

  #clip(index: number, from: number, to: number): Extent {
    const begin = this.#offsetOf(index);
    const offset = Math.max(begin, from);
    const source = this.#sourceOf(index);
    const sourceOffset = this.#table?.[index * STRIDE + 2] ?? this.#sourceOffset;
    return {
      offset,
      length: Math.min(this.#offsetOf(index + 1), to) - offset,
      source,
      sourceOffset: source < 0 ? 0 : sourceOffset + (offset - begin),
    };
  }

  /** Finds the last extent that begins at or before `offset`, which lies inside the file. */
  #indexAt(offset: number): number {
    const table = this.#table;
    if (table === undefined) return 0;
    let low = 0;
    let high = this.count - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (table[middle * STRIDE]! <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** `count` stands for the end of the file. */
  #offsetOf(index: number): number {
    if (index === this.count) return this.length;
    return this.#table?.[index * STRIDE] ?? 0;
  }

  #sourceOf(index: number): number {
    return this.#table?.[index * STRIDE + 1] ?? this.#source;
  }
}

/**
 * Merges neighbours that continue each other. @throws RangeError if the extents do not begin at 0, are not in order, do not
 * touch, or if one of them is empty or impossible
 */
export function coalesce(extents: Iterable<Extent>): Extent[] {
  const merged: Extent[] = [];
  let end = 0;
  for (const extent of extents) {
    check(extent, end);
    end += extent.length;
    const last = merged.at(-1);
    if (last !== undefined && continues(last, extent)) {
      merged[merged.length - 1] = { ...last, length: last.length + extent.length };
    } else merged.push(extent);
  }
  return merged;
}

function continues(left: Extent, right: Extent): boolean {
  if (left.source !== right.source) return false;
  return left.source < 0 || left.sourceOffset + left.length === right.sourceOffset;
}

function check(extent: Extent, expected: number): void {
  const { offset, length, source, sourceOffset } = extent;
  const told = `extent of ${length} bytes at ${offset}, from ${sourceOffset} of source ${source}`;
  if (offset !== expected) throw new RangeError(`${told}: the one before it ends at ${expected}`);
  if (!isPosition(length) || length === 0 || !isPosition(offset + length))
    throw new RangeError(`${told}: no such length`);
  if (source === ZEROS || source === GAP) {
    if (sourceOffset !== 0) throw new RangeError(`${told}: zeros and gaps have no source offset`);
  } else if (!isPosition(source) || !isPosition(sourceOffset) || !isPosition(sourceOffset + length)) {
    throw new RangeError(`${told}: no such place`);
  }
}

function isPosition(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
