/**
 * What is known of every folder only when a scan has ended, in blocks of `ROWS` folders: its parent, the root of its
 * release, and its first subfolder (a folder's subfolders have consecutive ids, in the order of its record).
 *
 *     block   u32 × n  parent | u32 × n  release | u32 × n  first subfolder
 */
import { aligned, damaged, type IndexDatabase, KIND, keyOf, type Put } from './index-database.ts';

const ROWS = 1024;
/** As parent: a root; as release: none. */
export const NONE = 0xffffffff;
/** As parent: nothing is there (the scan skipped it). */
export const ABSENT = 0xfffffffe;

export interface FolderRow {
  readonly parent: number;
  readonly release: number;
  readonly firstSubfolder: number;
}

export function* tablePuts(
  generation: number,
  count: number,
  parents: Uint32Array,
  releases: Int32Array,
  firstSubfolders: Uint32Array,
): Generator<Put> {
  for (let from = 0; from < count; from += ROWS) {
    const n = Math.min(ROWS, count - from);
    const block = new Uint32Array(n * 3);
    block.set(parents.subarray(from, from + n), 0);
    block.set(releases.subarray(from, from + n), n); // -1 becomes NONE
    block.set(firstSubfolders.subarray(from, from + n), n * 2);
    yield { type: 'put', key: keyOf(generation, KIND.table, from / ROWS), value: new Uint8Array(block.buffer) };
  }
}

/** A block is 12 kB: those of 5 million files in 400,000 folders are 5 MB, and stay. */
export class FolderTable {
  readonly #db: IndexDatabase;
  readonly #generation: number;
  readonly #count: number;
  readonly #blocks = new Map<number, Uint32Array>();

  constructor(db: IndexDatabase, generation: number, count: number) {
    this.#db = db;
    this.#generation = generation;
    this.#count = count;
  }

  /** Undefined where there is no such folder. */
  async row(folder: number): Promise<FolderRow | undefined> {
    if (!Number.isInteger(folder) || folder < 0 || folder >= this.#count) return undefined;
    const number = Math.floor(folder / ROWS);
    const block = this.#blocks.get(number) ?? (await this.#load(number));
    const n = block.length / 3;
    const at = folder % ROWS;
    const parent = block[at] ?? ABSENT;
    if (parent === ABSENT) return undefined;
    return { parent, release: block[n + at] ?? NONE, firstSubfolder: block[n * 2 + at] ?? 0 };
  }

  async #load(number: number): Promise<Uint32Array> {
    const [value] = await this.#db.read(this.#generation, KIND.table, [number]);
    const expected = Math.min(ROWS, this.#count - number * ROWS) * 12;
    if (value?.byteLength !== expected) throw damaged('a block of the folder table is missing');
    const block = new Uint32Array(aligned(value));
    this.#blocks.set(number, block);
    return block;
  }
}
