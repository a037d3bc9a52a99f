/** Lists the files of an entry as they are now: as planned, as clients changed them, and what has their names. */
import { type Extent, OVERLAY } from '../../extent/extent.ts';
import type { Timestamp } from '../../native/timestamp.ts';
import type { FileCode } from '../../plan/file-code.ts';
import type { FileStatus } from '../../plan/plan.ts';
import type { Overlay } from '../overlay/overlay.ts';
import type { Database } from '../records/database.ts';
import { fileKey, filesOf, lastNumber } from '../records/key.ts';
import { decodeFile, type FileRecord } from '../records/record.ts';
import type { Tree } from '../tree/tree.ts';
import type { StoredEntry } from './entry.ts';

/** A file of an entry, in the torrent's order. */
export interface StoredFile {
  readonly index: number;
  /** Components below the entry's folder: the torrent's name first. */
  readonly path: readonly string[];
  /** `replaced`: it was deleted, and a client's file has its name now. `moved`: it has another name. */
  readonly state: 'present' | 'moved' | 'deleted' | 'replaced';
  readonly ino: number;
  /** In bytes, as in the torrent. */
  readonly length: number;
  /** The offset of the file's first byte in the torrent; undefined in a store of an older version. */
  readonly torrentOffset: number | undefined;
  readonly status: FileStatus;
  /** The scan mode that supplied the file. */
  readonly mode: string;
  /** The reason for the status (`PlanFile.code`); undefined in a store of an older version. */
  readonly code: FileCode | undefined;
  readonly mtime: Timestamp;
  /** The version of the planned extents (`LivingSources.remapFile`). */
  readonly version: number;
  /** The planned extents. `source` is a source id (`Store.source`), `ZEROS` or `GAP`. */
  readonly base: readonly Extent[];
  /** The present extents, with written bytes as `OVERLAY`; empty for a deleted file. */
  readonly extents: readonly Extent[];
  /** The file with the bytes of `OVERLAY`, at the same offsets. */
  readonly overlayPath: string | undefined;
}

export class EntryFiles {
  readonly #db: Database;
  readonly #tree: Tree;
  readonly #overlay: Overlay;

  constructor(db: Database, tree: Tree, overlay: Overlay) {
    this.#db = db;
    this.#tree = tree;
    this.#overlay = overlay;
  }

  /** Lists the files in the torrent's order, or only those with the planned inodes `only`. */
  async *of(entry: StoredEntry, only?: ReadonlySet<number>): AsyncGenerator<StoredFile, void, undefined> {
    for await (const page of this.#db.pages(filesOf(entry.id))) {
      for (const [key, value] of page) {
        const record = decodeFile(value);
        if (only?.has(record.ino) === false) continue;
        const file = await this.#file(entry, lastNumber(key), record);
        if (file !== undefined) yield file;
      }
    }
  }

  /** Finds a file by its index. */
  async at(entry: StoredEntry, index: number): Promise<StoredFile | undefined> {
    if (!Number.isInteger(index) || index < 0) return undefined;
    const bytes = this.#db.get(fileKey(entry.id, index));
    return bytes === undefined ? undefined : await this.#file(entry, index, decodeFile(bytes));
  }

  /** Undefined for a file that was removed while it was being listed. */
  async #file(entry: StoredEntry, index: number, record: FileRecord): Promise<StoredFile | undefined> {
    const planned = this.#tree.inode(record.ino);
    if (planned === undefined) return undefined;
    const deleted = planned.nlink === 0;
    const there = this.resolve(entry.ino, record.path);
    const replaced = deleted && there !== undefined && this.#tree.inode(there)?.content === 'plain';
    const ino = replaced ? there : record.ino;
    const present = there === record.ino ? 'present' : 'moved';
    const base = planned.type === 'file' && planned.content !== 'plain' ? [...this.#tree.extents(record.ino)] : [];
    const last = base.at(-1);
    const extents = deleted && !replaced ? [] : await this.#extentsNow(ino);
    return {
      index,
      ino,
      base,
      version: this.#tree.extentsVersion(record.ino) ?? 0,
      extents,
      path: record.path,
      status: record.status,
      mode: record.mode,
      code: record.code,
      state: replaced ? 'replaced' : deleted ? 'deleted' : present,
      length: planned.content === 'plain' ? planned.size : last === undefined ? 0 : last.offset + last.length,
      torrentOffset: planned.torrentOffset,
      mtime: this.#tree.inode(ino)?.mtime ?? planned.mtime,
      overlayPath: extents.some(({ source }) => source === OVERLAY) ? this.#overlay.files.path(ino) : undefined,
    };
  }

  /** Finds the inode at a path below a folder. */
  resolve(from: number, path: readonly string[]): number | undefined {
    let at: number | undefined = from;
    for (const name of path) at = at === undefined ? undefined : this.#tree.lookup(at, name)?.ino;
    return at;
  }

  async #extentsNow(ino: number): Promise<Extent[]> {
    const inode = this.#tree.inode(ino);
    if (inode?.type !== 'file') return [];
    if (inode.content === 'plain') {
      const size = this.#overlay.files.sizeOf(ino);
      return size === 0 ? [] : [{ offset: 0, length: size, source: OVERLAY, sourceOffset: 0 }];
    }
    const content = await this.#overlay.contents.acquireMapped(ino);
    try {
      return content.slice(0, content.size);
    } finally {
      this.#overlay.contents.release(content);
    }
  }
}
