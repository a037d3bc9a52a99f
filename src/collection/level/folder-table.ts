/**
 * A row of numbers for every folder, in blocks of `ROWS` folders: its parent, the root of its release, its first subfolder
 * (a folder's subfolders have consecutive ids, in the order of its record), and the page its record lies in, and where.
 *
 *     block   u32 × n  of each column, in the order of `FolderColumns`
 */
import { aligned, damaged, type IndexDatabase, KIND, keyOf, type Put } from './index-database.ts';

const ROWS = 1024;
/** As a parent: the folder is a root. As a release: it is in none. */
export const NONE = 0xffffffff;
/** As a parent: there is no folder, because the scan skipped it. */
export const ABSENT = 0xfffffffe;

export interface FolderRow {
  readonly parent: number;
  readonly release: number;
  readonly firstSubfolder: number;
  readonly page: number;
  /** Bytes. */
  readonly offset: number;
  readonly length: number;
}

export type FolderColumns = Readonly<Record<keyof FolderRow, Uint32Array>>;

const COLUMNS = 6;

export function* tablePuts(
  generation: number,
  count: number,
  { parent, release, firstSubfolder, page, offset, length }: FolderColumns,
): Generator<Put> {
  for (let from = 0; from < count; from += ROWS) {
    const n = Math.min(ROWS, count - from);
    const block = new Uint32Array(n * COLUMNS);
    for (const [i, column] of [parent, release, firstSubfolder, page, offset, length].entries()) {
      block.set(column.subarray(from, from + n), n * i);
    }
    yield { type: 'put', key: keyOf(generation, KIND.table, from / ROWS), value: new Uint8Array(block.buffer) };
  }
}

/** Blocks that are read at once: 6 MB. */
const BLOCKS_AT_ONCE = 256;

/** The table, read as a whole: a block is 24 kB, those of 5 million files in 400,000 folders are 10 MB. */
export class FolderTable {
  readonly #count: number;
  readonly #blocks: readonly Uint32Array[];

  static async open(db: IndexDatabase, generation: number, count: number): Promise<FolderTable> {
    const numbers = Array.from({ length: Math.ceil(count / ROWS) }, (_, number) => number);
    const blocks: Uint32Array[] = [];
    for (let from = 0; from < numbers.length; from += BLOCKS_AT_ONCE) {
      const values = await db.read(generation, KIND.table, numbers.slice(from, from + BLOCKS_AT_ONCE));
      for (const value of values) {
        const expected = Math.min(ROWS, count - blocks.length * ROWS) * COLUMNS * 4;
        if (value?.byteLength !== expected) throw damaged('a block of the folder table is missing');
        blocks.push(new Uint32Array(aligned(value)));
      }
    }
    return new FolderTable(count, blocks);
  }

  private constructor(count: number, blocks: readonly Uint32Array[]) {
    this.#count = count;
    this.#blocks = blocks;
  }

  /** The row of a folder; undefined if there is no such folder. */
  row(folder: number): FolderRow | undefined {
    if (!Number.isInteger(folder) || folder < 0 || folder >= this.#count) return undefined;
    const block = this.#blocks[Math.floor(folder / ROWS)];
    if (block === undefined) return undefined;
    const n = block.length / COLUMNS;
    const at = folder % ROWS;
    const parent = block[at] ?? ABSENT;
    if (parent === ABSENT) return undefined;
    const column = (number: number): number => block[n * number + at] ?? 0;
    return {
      parent,
      release: column(1),
      firstSubfolder: column(2),
      page: column(3),
      offset: column(4),
      length: column(5),
    };
  }
}
