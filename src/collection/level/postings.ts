/**
 * Postings: rows (k1, k2, folder, file), sorted by (k1, k2), one kind for each question the index answers.
 * They lie in numbered blocks of `ROWS` rows; a directory holds the first (k1, k2) of every block, so that a question is
 * two binary searches and one or two reads. A row is 24 bytes; the directory of 5 million rows is 300 kB.
 *
 *     block       f64 × n  k1 | f64 × n  k2 | u32 × n  folder | u32 × n  file
 *     directory   f64  rows   | f64 × blocks  k1 | f64 × blocks  k2
 */
import { aligned, damaged, type IndexDatabase, KIND, keyOf, type PostingKind, type Put } from './index-database.ts';

const ROWS = 256;
const DIRECTORY = 0xffffffff;
/** The directory of no rows. */
const NO_ROWS = new Uint8Array(8);

export interface PostingColumns {
  readonly k1: Float64Array | Uint32Array;
  readonly k2: Float64Array | Uint32Array;
  readonly folder: Uint32Array;
  readonly file: Uint32Array;
}

const DIGIT_BITS = 11;
const DIGITS = 1 << DIGIT_BITS;

/**
 * Sorts `rows` by (k1, k2), in place or in an array of the same size: a radix sort, which keeps equal rows in their
 * order. Keys are not negative, so doubles sort as their bits do. Between two digits (some 30 ms for 5 million rows)
 * `pause` lets others have the thread.
 */
export async function sortedRows(
  columns: PostingColumns,
  rows: Uint32Array,
  pause: () => Promise<void>,
): Promise<Uint32Array> {
  let sorted: Uint32Array = rows;
  let spare: Uint32Array = new Uint32Array(rows.length);
  for (const column of [columns.k2, columns.k1]) {
    const stride = column instanceof Float64Array ? 2 : 1;
    const words = new Uint32Array(column.buffer, column.byteOffset, column.length * stride);
    for (let word = 0; word < stride; word++) {
      for (let shift = 0; shift < 32; shift += DIGIT_BITS) {
        if (sortByDigit(words, stride, word, shift, sorted, spare)) [sorted, spare] = [spare, sorted];
        await pause();
      }
    }
  }
  return sorted;
}

/** Sorts by one digit. Returns false if all rows have the same one: nothing was moved then. */
function sortByDigit(
  words: Uint32Array,
  stride: number,
  word: number,
  shift: number,
  from: Uint32Array,
  to: Uint32Array,
): boolean {
  const starts = new Uint32Array(DIGITS);
  const mask = DIGITS - 1;
  const { length } = from;
  let digit = 0;
  for (let i = 0; i < length; i++) {
    digit = ((words[(from[i] ?? 0) * stride + word] ?? 0) >>> shift) & mask;
    starts[digit] = (starts[digit] ?? 0) + 1;
  }
  if (starts[digit] === length) return false;
  let start = 0;
  for (let at = 0; at < DIGITS; at++) {
    const n = starts[at] ?? 0;
    starts[at] = start;
    start += n;
  }
  for (let i = 0; i < length; i++) {
    const row = from[i] ?? 0;
    digit = ((words[row * stride + word] ?? 0) >>> shift) & mask;
    const at = starts[digit] ?? 0;
    to[at] = row;
    starts[digit] = at + 1;
  }
  return true;
}

/** The records of one kind, the directory last; a generator, so that they never lie in memory all at once. */
export function* postingPuts(
  generation: number,
  kind: PostingKind,
  columns: PostingColumns,
  rows: Uint32Array,
): Generator<Put> {
  const blocks = Math.ceil(rows.length / ROWS);
  const directory = new Float64Array(1 + blocks * 2);
  directory[0] = rows.length;
  for (let block = 0; block < blocks; block++) {
    const from = block * ROWS;
    const n = Math.min(ROWS, rows.length - from);
    const { buffer, k1, k2, folder, file } = blockViews(new ArrayBuffer(n * 24));
    for (let i = 0; i < n; i++) {
      const row = rows[from + i] ?? 0;
      k1[i] = columns.k1[row] ?? 0;
      k2[i] = columns.k2[row] ?? 0;
      folder[i] = columns.folder[row] ?? 0;
      file[i] = columns.file[row] ?? 0;
    }
    directory[1 + block] = k1[0] ?? 0;
    directory[1 + blocks + block] = k2[0] ?? 0;
    yield { type: 'put', key: keyOf(generation, kind, block), value: new Uint8Array(buffer) };
  }
  yield { type: 'put', key: keyOf(generation, kind, DIRECTORY), value: new Uint8Array(directory.buffer) };
}

interface Block {
  readonly buffer: ArrayBuffer;
  readonly k1: Float64Array;
  readonly k2: Float64Array;
  readonly folder: Uint32Array;
  readonly file: Uint32Array;
}

function blockViews(buffer: ArrayBuffer): Block {
  const n = Math.floor(buffer.byteLength / 24);
  return {
    buffer,
    k1: new Float64Array(buffer, 0, n),
    k2: new Float64Array(buffer, n * 8, n),
    folder: new Uint32Array(buffer, n * 16, n),
    file: new Uint32Array(buffer, n * 20, n),
  };
}

export interface PostingRow {
  readonly k1: number;
  readonly folder: number;
  readonly file: number;
}

/** Blocks in the cache: 1.5 MB. Questions come sorted, so that a block is hardly ever read twice. */
const CACHED_BLOCKS = 256;

export class Postings {
  readonly rows: number;
  readonly #db: IndexDatabase;
  readonly #generation: number;
  readonly #kind: PostingKind;
  readonly #first1: Float64Array;
  readonly #first2: Float64Array;
  readonly #cache = new Map<number, Block>();

  static async open(db: IndexDatabase, generation: number, kind: PostingKind): Promise<Postings> {
    const [found] = await db.read(generation, kind, [DIRECTORY]);
    // Those of an index without a name that was left out, or of an older version, have no record.
    const value = found ?? (kind === KIND.leftOut ? NO_ROWS : undefined);
    if (value === undefined) throw damaged('a directory is missing');
    const directory = new Float64Array(aligned(value.subarray(0, value.length - (value.length % 8))));
    const rows = directory[0] ?? 0;
    if (directory.length !== 1 + Math.ceil(rows / ROWS) * 2) throw damaged('a directory has the wrong length');
    return new Postings(db, generation, kind, directory);
  }

  private constructor(db: IndexDatabase, generation: number, kind: PostingKind, directory: Float64Array) {
    const blocks = (directory.length - 1) / 2;
    this.#db = db;
    this.#generation = generation;
    this.#kind = kind;
    this.rows = directory[0] ?? 0;
    this.#first1 = directory.subarray(1, 1 + blocks);
    this.#first2 = directory.subarray(1 + blocks);
  }

  /** Fetches in one read the blocks in which these keys begin. */
  async prefetch(keys: readonly (readonly [number, number])[]): Promise<void> {
    const wanted = new Set(keys.slice(0, CACHED_BLOCKS).map(([k1, k2]) => this.#blockOf(k1, k2)));
    await this.#load([...wanted].filter((block) => !this.#cache.has(block)));
  }

  /** The number of the first row at or after (k1, k2); `rows` if there is none. */
  async lowerBound(k1: number, k2: number): Promise<number> {
    if (this.rows === 0) return 0;
    const number = this.#blockOf(k1, k2);
    const block = await this.#block(number);
    let low = 0;
    let high = block.k1.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (before(block.k1[middle] ?? 0, block.k2[middle] ?? 0, k1, k2)) low = middle + 1;
      else high = middle;
    }
    return number * ROWS + low;
  }

  async row(number: number): Promise<PostingRow> {
    const block = await this.#block(Math.floor(number / ROWS));
    const at = number % ROWS;
    return { k1: block.k1[at] ?? 0, folder: block.folder[at] ?? 0, file: block.file[at] ?? 0 };
  }

  /** Rows from (k1, low) to (k1, high), both inclusive; the first `most` of them. */
  async range(k1: number, low: number, high: number, most = Number.POSITIVE_INFINITY): Promise<PostingRow[]> {
    const found: PostingRow[] = [];
    for (let number = await this.lowerBound(k1, low); number < this.rows; ) {
      const block = await this.#block(Math.floor(number / ROWS));
      for (let at = number % ROWS; at < block.k1.length; at++, number++) {
        if (block.k1[at] !== k1 || (block.k2[at] ?? 0) > high || found.length >= most) return found;
        found.push({ k1, folder: block.folder[at] ?? 0, file: block.file[at] ?? 0 });
      }
    }
    return found;
  }

  /** The last block whose first row is before (k1, k2), or the first. */
  #blockOf(k1: number, k2: number): number {
    let low = 0;
    let high = this.#first1.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (before(this.#first1[middle] ?? 0, this.#first2[middle] ?? 0, k1, k2)) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  async #block(number: number): Promise<Block> {
    const known = this.#cache.get(number);
    if (known !== undefined) return known;
    // Not from the cache: another question may have pushed it out again.
    const [block] = await this.#load([number]);
    if (block === undefined) throw damaged('a block of postings is missing');
    return block;
  }

  async #load(numbers: readonly number[]): Promise<Block[]> {
    if (numbers.length === 0 || this.rows === 0) return [];
    const values = await this.#db.read(this.#generation, this.#kind, numbers);
    for (const number of this.#cache.keys()) {
      if (this.#cache.size + values.length <= CACHED_BLOCKS) break;
      this.#cache.delete(number);
    }
    return values.map((value, i) => {
      const number = numbers[i] ?? 0;
      const expected = Math.min(ROWS, this.rows - number * ROWS) * 24;
      if (value?.byteLength !== expected) throw damaged('a block of postings is missing');
      const block = blockViews(aligned(value));
      this.#cache.set(number, block);
      return block;
    });
  }
}

function before(a1: number, a2: number, b1: number, b2: number): boolean {
  return a1 < b1 || (a1 === b1 && a2 < b2);
}
