/** The folders of one generation: records, paths and table rows, with small caches. */
import { FolderRecord } from '../scan/folder-record.ts';
import { isInside } from '../scan/mounts.ts';
import { type FolderRow, FolderTable, NONE } from './folder-table.ts';
import { aligned, damaged, type IndexDatabase, KIND } from './index-database.ts';

/** The caches' sizes: bytes of pages, and number of paths. */
const CACHED_BYTES = 32 << 20;
const CACHED_PATHS = 50_000;
/** Records that are read at once. */
export const RECORDS_AT_ONCE = 256;

export class FolderStore {
  readonly #db: IndexDatabase;
  readonly #generation: number;
  readonly #table: FolderTable;
  readonly #pages = new Map<number, ArrayBuffer>();
  readonly #paths = new Map<number, Buffer>();
  #cachedBytes = 0;

  static async open(db: IndexDatabase, generation: number, ids: number): Promise<FolderStore> {
    return new FolderStore(db, generation, await FolderTable.open(db, generation, ids));
  }

  private constructor(db: IndexDatabase, generation: number, table: FolderTable) {
    this.#db = db;
    this.#generation = generation;
    this.#table = table;
  }

  /** The row of a folder; undefined if there is no such folder. */
  row(folder: number): FolderRow | undefined {
    return this.#table.row(folder);
  }

  /** The row of a folder that must be there, as something else in the index names it. */
  knownRow(folder: number): FolderRow {
    const row = this.#table.row(folder);
    if (row === undefined) throw damaged('a folder is missing');
    return row;
  }

  /** The records of folders that must be there; at most `RECORDS_AT_ONCE` of them. */
  async records(folders: readonly number[]): Promise<ReadonlyMap<number, FolderRecord>> {
    const rows = new Map(folders.map((folder) => [folder, this.knownRow(folder)]));
    const pages = await this.#readPages(new Set([...rows.values()].map((row) => row.page)));
    const records = new Map<number, FolderRecord>();
    for (const [folder, { page, offset, length }] of rows) {
      const buffer = pages.get(page);
      if (buffer === undefined) throw damaged('a page of folders is missing');
      records.set(folder, new FolderRecord(buffer, offset, length));
    }
    return records;
  }

  /**
   * Finds a folder of a generation by its path: a root, or one below it. Undefined if there is none.
   * `roots`: the paths of the roots, in the order of their ids. All are byte strings.
   */
  async find(path: string, roots: readonly string[]): Promise<number | undefined> {
    const root = roots.findIndex((one) => isInside(path, one));
    if (root < 0 || this.row(root) === undefined) return undefined;
    let at = root;
    for (const name of path
      .slice(roots[root]?.length)
      .split('/')
      .filter((part) => part !== '')) {
      const record = (await this.records([at])).get(at);
      if (record === undefined) return undefined;
      const index = Array.from({ length: record.subfolders }, (_, i) => record.subfolderName(i)).indexOf(name);
      const next = this.knownRow(at).firstSubfolder + index;
      if (index < 0 || this.row(next) === undefined) return undefined;
      at = next;
    }
    return at;
  }

  /** The absolute paths of folders that must be there. */
  async paths(folders: readonly number[]): Promise<Buffer[]> {
    if (this.#paths.size > CACHED_PATHS) this.#paths.clear();
    // Another call may clear the cache meanwhile: what this one needs is kept here.
    const paths = new Map<number, Buffer>();
    const needed = new Map<number, number>();
    for (const folder of folders) {
      for (let at = folder; at !== NONE && !needed.has(at) && !paths.has(at); ) {
        const cached = this.#paths.get(at);
        if (cached !== undefined) {
          paths.set(at, cached);
          break;
        }
        const { parent } = this.knownRow(at);
        needed.set(at, parent);
        at = parent;
      }
    }
    // A parent's id is smaller than its children's: its path is there when theirs are made.
    const order = [...needed.keys()].toSorted((a, b) => a - b);
    for (let from = 0; from < order.length; from += RECORDS_AT_ONCE) {
      const chunk = order.slice(from, from + RECORDS_AT_ONCE);
      const records = await this.records(chunk);
      for (const folder of chunk) {
        const name = records.get(folder)?.ownName() ?? Buffer.alloc(0);
        const parent = paths.get(needed.get(folder) ?? NONE);
        const path = parent === undefined ? Buffer.from(name) : joinPath(parent, name);
        paths.set(folder, path);
        this.#paths.set(folder, path);
      }
    }
    return folders.map((folder) => {
      const path = paths.get(folder);
      if (path === undefined) throw damaged('a folder has no path');
      return path;
    });
  }

  async #readPages(numbers: ReadonlySet<number>): Promise<ReadonlyMap<number, ArrayBuffer>> {
    const pages = new Map<number, ArrayBuffer>();
    const missing: number[] = [];
    for (const number of numbers) {
      const cached = this.#pages.get(number);
      if (cached === undefined) missing.push(number);
      else pages.set(number, cached);
    }
    if (missing.length === 0) return pages;
    const values = await this.#db.read(this.#generation, KIND.folder, missing);
    for (const [i, value] of values.entries()) {
      if (value === undefined) throw damaged('a page of folders is missing');
      const number = missing[i] ?? 0;
      const page = aligned(value);
      pages.set(number, page);
      if (this.#pages.has(number)) continue;
      this.#pages.set(number, page);
      this.#cachedBytes += page.byteLength;
    }
    this.#forget();
    return pages;
  }

  #forget(): void {
    for (const [oldest, page] of this.#pages) {
      if (this.#cachedBytes <= CACHED_BYTES) break;
      this.#pages.delete(oldest);
      this.#cachedBytes -= page.byteLength;
    }
  }
}

const SLASH = Buffer.from('/');

export function joinPath(folder: Buffer, name: Buffer): Buffer {
  return folder.length === 1 && folder[0] === 0x2f
    ? Buffer.concat([folder, name])
    : Buffer.concat([folder, SLASH, name]);
}

/** The last component of a path; empty for `/`. */
export function baseName(path: Buffer): Buffer {
  return path.subarray(path.lastIndexOf(0x2f) + 1);
}
