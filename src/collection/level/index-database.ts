/**
 * The index's LevelDB: its keys, and the one record that says which generation counts.
 *
 * Every key is 10 bytes: `c`, the generation (u32, big-endian), a kind, a number (u32, big-endian). A rebuild writes a
 * new generation beside the old one; the `STATE` record of generation 0, written last and synced, makes it count. So
 * nothing refers to the generation that a killed rebuild left, and the next rebuild deletes it.
 */
import { endianness } from 'node:os';
import type { Level } from 'level';
import { AutotorrentError, messageOf } from '../../errors.ts';
import type { MountedRoot } from '../scan/away-disks.ts';

/** A database that the caller opens and closes. Its encodings do not matter. */
export type LevelDatabase = Level<Buffer, Buffer>;

export const KIND = {
  state: 0,
  /** A page of `FolderRecord`s, each at a multiple of 8 bytes; `FolderTable` says where. */
  folder: 1,
  /** Blocks of `FolderTable`. */
  table: 2,
  /** Postings (see `postings.ts`) by (size, hash of the normalised name). */
  bySize: 16,
  /** By (hash of the normalised name, size). */
  byName: 17,
  /** By (inode, device). */
  byInode: 18,
  /** Release roots, by the hash of their normalised name. */
  releases: 19,
  /** Folders, by the hash of their name's bytes. */
  folderNames: 20,
  /** Members of archives, by (size, hash of the normalised base name); `file` is the member's position in its folder. */
  members: 21,
  /**
   * What is no candidate, by (hash of the normalised name, size); `file` is the position among the folder's files, and then among
   * the names that were left out. Absent where there is none.
   */
  leftOut: 22,
} as const;

export type PostingKind = 16 | 17 | 18 | 19 | 20 | 21 | 22;

/** The version of everything in the database: keys, records, hashes, the rules for names and releases. */
const FORMAT = `3-${endianness()}`;
/** Folders of this one do not know what was left out of them: the next rebuild lists them again. */
const BEFORE = `2-${endianness()}`;
const PREFIX = 0x63;
const VIEWS = { keyEncoding: 'view', valueEncoding: 'view' } as const;

export interface IndexRoot extends MountedRoot {
  /** The path as the user wrote it, and with symbolic links resolved: byte strings. */
  readonly path: string;
  readonly real: string;
  /** One of `[disks]`, not a path that `rebuild PATH` added. */
  readonly disk: boolean;
}

export interface IndexState {
  readonly generation: number;
  /** Folder n is root n. */
  readonly roots: readonly IndexRoot[];
  /** Folder ids given out: some may have no folder. */
  readonly ids: number;
  readonly folders: number;
  readonly files: number;
  readonly bytes: number;
  readonly releases: number;
  readonly ignoreFiles: readonly string[];
  /** When the rebuild ended, milliseconds since 1970. */
  readonly builtMs: number;
}

export interface Put {
  readonly type: 'put';
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

const REBUILD_FULL = 'run `autotorrent rebuild --full`';

export function damaged(what: string, cause?: unknown): AutotorrentError {
  return new AutotorrentError('INDEX', `the collection index is damaged: ${what}`, { hint: REBUILD_FULL, cause });
}

export function keyOf(generation: number, kind: number, number: number): Uint8Array {
  const key = new Uint8Array(10);
  const view = new DataView(key.buffer);
  key[0] = PREFIX;
  view.setUint32(1, generation);
  key[5] = kind;
  view.setUint32(6, number);
  return key;
}

export class IndexDatabase {
  readonly #db: LevelDatabase;

  constructor(db: LevelDatabase) {
    this.#db = db;
  }

  /** Reads the state; undefined if there is no index yet. */
  async readState(): Promise<IndexState | undefined> {
    const [value] = await this.#getMany([keyOf(0, KIND.state, 0)]);
    if (value === undefined) return undefined;
    let state: IndexState & { readonly format: string };
    try {
      state = JSON.parse(Buffer.from(value).toString('utf8'));
    } catch (error) {
      throw damaged('its state cannot be read', error);
    }
    if (state.format !== FORMAT && state.format !== BEFORE) {
      const format = state.format;
      throw new AutotorrentError('INDEX', `the collection index is of another version (${format}, not ${FORMAT})`, {
        hint: REBUILD_FULL,
      });
    }
    return state;
  }

  /** Makes a generation the current one, in one synced write. */
  async writeState(state: IndexState): Promise<void> {
    const value = Buffer.from(JSON.stringify({ format: FORMAT, ...state }));
    await this.#db.batch<Uint8Array, Uint8Array>([{ type: 'put', key: keyOf(0, KIND.state, 0), value }], {
      ...VIEWS,
      sync: true,
    } as object);
  }

  /** Reads records, in the order of `numbers`; undefined for a missing one. */
  read(generation: number, kind: number, numbers: readonly number[]): Promise<(Uint8Array | undefined)[]> {
    return this.#getMany(numbers.map((number) => keyOf(generation, kind, number)));
  }

  async write(puts: Put[]): Promise<void> {
    if (puts.length > 0) await this.#db.batch<Uint8Array, Uint8Array>(puts, VIEWS);
  }

  /** Deletes all other generations, and gives the space back to the disk. With none to keep, it deletes the state, too. */
  async deleteOthers(kept: ReadonlySet<number>): Promise<void> {
    const end = keyOf(0xffffffff, 0xff, 0xffffffff);
    let from = keyOf(kept.size === 0 ? 0 : 1, 0, 0);
    const gaps: (readonly [Uint8Array, Uint8Array])[] = [];
    for (const generation of [...kept].toSorted((a, b) => a - b)) {
      gaps.push([from, keyOf(generation, 0, 0)]);
      from = keyOf(generation + 1, 0, 0);
    }
    for (const [first, last] of [...gaps, [from, end] as const]) {
      const range = { keyEncoding: 'view', gte: first, lt: last } as const;
      const found = await this.#db.keys<Uint8Array>({ ...range, limit: 1 }).all();
      if (found.length === 0) continue;
      await this.#db.clear<Uint8Array>(range);
      await this.#compact(first, last);
    }
  }

  /** @throws AutotorrentError('INDEX') if something else made the database */
  async refuseForeign(): Promise<void> {
    const options = { keyEncoding: 'view', limit: 1 } as const;
    const [first] = await this.#db.keys<Uint8Array>(options).all();
    const [last] = await this.#db.keys<Uint8Array>({ ...options, reverse: true }).all();
    for (const key of [first, last]) {
      if (key !== undefined && (key.length !== 10 || key[0] !== PREFIX)) {
        throw new AutotorrentError('INDEX', 'the database holds something else than a collection index', {
          hint: 'give `db` another path in the configuration',
        });
      }
    }
  }

  async #getMany(keys: Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    try {
      return await this.#db.getMany<Uint8Array, Uint8Array>(keys, VIEWS);
    } catch (error) {
      throw damaged(messageOf(error), error);
    }
  }

  async #compact(from: Uint8Array, to: Uint8Array): Promise<void> {
    // `Level` is a ClassicLevel wherever there is a disk, but its type does not say so.
    const db = this.#db as LevelDatabase & {
      compactRange?: (from: Uint8Array, to: Uint8Array, options: { keyEncoding: 'view' }) => Promise<void>;
    };
    await db.compactRange?.(from, to, { keyEncoding: 'view' });
  }
}

/** Copies bytes so that typed arrays can be laid over them: LevelDB's buffers may begin at any address. */
export function aligned(value: Uint8Array): ArrayBuffer {
  const copy = new ArrayBuffer(value.byteLength);
  new Uint8Array(copy).set(value);
  return copy;
}
