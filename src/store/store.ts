/**
 * The store: the persistent tree that a mount shows, and the entries it is made of.
 *
 * Glossary. An *entry* is one torrent's top folder (`entry.ts` has its states). An *inode* is a file, folder or symlink,
 * named by a counter that is never used twice, so that `ino` is the same after a remount and never means another file.
 * A *dirent* is a name in a folder that leads to an inode. A *source* is a collection file as it was when planned; an
 * extent names it by id. An *intent* says what must be deleted should the server die in the middle.
 *
 * Invariants:
 * - What a call acknowledged is on the disk: every batch is synced. An entry appears with one batch and disappears with one.
 * - Opening reads the version, the counters and the intents: a store of a million files opens as fast as one of ten.
 * - What a crash left is cleaned up in the background, after opening: it hangs from nowhere, so nobody can see it,
 *   and no name is held by it. Serving need not wait.
 * - Reads are synchronous and bounded in memory; only listings, which may be long, are asynchronous.
 */
import { AutotorrentError, messageOf } from '../errors.ts';
import type { Extent } from '../extent/extent.ts';
import type { ExtentMap } from '../extent/extent-map.ts';
import type { Logger } from '../logger.ts';
import type { FileStatus, Plan } from '../plan/plan.ts';
import { type Alias, addAliases } from './aliases.ts';
import { Creation, type EntryPlan, newFolder } from './creation.ts';
import { Database, del, put, type StoreLevel, type Write } from './database.ts';
import type { Entry } from './entry.ts';
import {
  direntKey,
  ENTRIES,
  entryKey,
  fileKey,
  filesOf,
  INTENTS,
  intentKey,
  lastNumber,
  metainfoKey,
  nameKey,
  pieceMapKey,
  VERSION_KEY,
} from './key.ts';
import { entryNames } from './name.ts';
import {
  type DirentRecord,
  damaged,
  decodeFile,
  FORMAT,
  type Inode,
  Reader,
  type SourceRecord,
  Writer,
} from './record.ts';
import { Removal } from './removal.ts';
import { Sources } from './sources.ts';
import { type NamedDirent, ROOT, Tree } from './tree.ts';

/** A file of an entry, in the torrent's order. */
export interface StoredFile {
  readonly index: number;
  /** Components below the entry's folder: the torrent's name first. */
  readonly path: readonly string[];
  readonly ino: number;
  readonly length: number;
  readonly status: FileStatus;
  /** The scan mode that supplied it. */
  readonly mode: string;
  readonly mtimeMs: number;
  /** `source` is a source id (`Store.source`), `ZEROS` or `GAP`. */
  readonly extents: readonly Extent[];
}

/** What is listed but not mounted: the client was pointed at the original folder. */
export type ExternalPlan = Omit<Plan, 'sources' | 'files'> & {
  readonly directory: string;
  readonly torrentName: string;
  readonly fileCount: number;
};

interface StoredEntry extends Entry {
  readonly id: number;
  /** The folder's inode; 0 for an external entry. */
  readonly ino: number;
}

export class Store {
  readonly #db: Database;
  readonly #tree: Tree;
  readonly #sources: Sources;
  readonly #logger: Logger;
  #closing = false;
  #treeVersion = 0;
  /** Resolves when what an earlier crash left has been deleted. Never rejects. */
  recovered: Promise<void> = Promise.resolve();

  private constructor(db: Database, logger: Logger) {
    this.#db = db;
    this.#tree = new Tree(db);
    this.#sources = new Sources(db);
    this.#logger = logger;
  }

  /** `level` is open, with both encodings `buffer`. Throws AutotorrentError('STORE') for a store of another version. */
  static async open(level: StoreLevel, options: { readonly logger: Logger }): Promise<Store> {
    const version = level.getSync(VERSION_KEY);
    const db = new Database(level, ROOT);
    const store = new Store(db, options.logger);
    if (version === undefined) {
      if (!(await db.isEmpty())) {
        throw new AutotorrentError('STORE', 'what lies at state_path is no store of autotorrent', {
          hint: 'Set state_path to a folder of its own.',
        });
      }
      const root = store.#tree.writing(ROOT, newFolder(Date.now(), 0));
      await db.commit([put(VERSION_KEY, new Writer().integer(FORMAT).finish()), root]);
    } else if (new Reader(version).integer() !== FORMAT) {
      throw new AutotorrentError(
        'STORE',
        `the store has format ${new Reader(version).integer()}, this version of autotorrent reads format ${FORMAT}`,
        { hint: 'Use the version of autotorrent that wrote it, or move state_path away and add the torrents again.' },
      );
    }
    store.recovered = store.#recover();
    return store;
  }

  /** Waits until background work has stopped. The database stays open: it is the caller's. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.recovered;
    await this.#db.exclusive(async () => {});
  }

  /** Rises when a folder has gone: paths that were resolved before may mean something else now. */
  get treeVersion(): number {
    return this.#treeVersion;
  }

  lookup(parent: number, name: string): DirentRecord | undefined {
    return this.#tree.lookup(parent, name);
  }

  inode(ino: number): Inode | undefined {
    return this.#tree.inode(ino);
  }

  /** Where the bytes of a file come from; `source` is a source id. */
  extents(ino: number): ExtentMap {
    return this.#tree.extents(ino);
  }

  /** The target of a symlink. */
  target(ino: number): string | undefined {
    return this.#tree.target(ino);
  }

  /** In pages of some hundred names, in the order of their bytes. */
  readdir(ino: number): AsyncIterable<readonly NamedDirent[]> {
    return this.#tree.readdir(ino);
  }

  source(id: number): SourceRecord | undefined {
    return this.#sources.get(id);
  }

  /** The names of the entries that use a source. */
  async entriesUsing(source: number): Promise<string[]> {
    const users = new Set(await this.#sources.users(source));
    const names: string[] = [];
    for await (const page of this.#db.pages(ENTRIES)) {
      names.push(...page.map(([, value]) => parseEntry(value)).flatMap((e) => (users.has(e.id) ? [e.name] : [])));
    }
    return names;
  }

  /**
   * Makes an entry, `adding`, and shows it. Throws AutotorrentError('CONFLICT') where the info hash has one already,
   * ('TORRENT') for a plan that is not sound; nothing is left of it then.
   */
  async createEntry(plan: EntryPlan): Promise<Entry> {
    this.#refuseSecond(plan.infoHash);
    const now = Date.now();
    const { id, ino } = await this.#db.exclusive(async () => {
      const id = this.#db.take('entry');
      const ino = this.#db.take('ino');
      await this.#db.commit([intentTo(id, ino), this.#tree.writing(ino, newFolder(now, id))]);
      return { id, ino };
    });
    try {
      const built = await new Creation(this.#db, this.#tree, this.#sources, id, ino, now).build(plan);
      return await this.#publish(plan, { ...built, id, ino, kind: 'mount' }, now);
    } catch (error) {
      await this.#cleanUp(id, ino).catch((failure: unknown) => {
        this.#logger.warn(`what was begun of an entry will be deleted at the next start: ${messageOf(failure)}`);
      });
      throw error;
    }
  }

  /** As `createEntry`, for an entry that is listed only. */
  async createExternal(plan: ExternalPlan): Promise<Entry> {
    this.#refuseSecond(plan.infoHash);
    const { torrentName, fileCount, directory } = plan;
    return await this.#publish(
      plan,
      { torrentName, fileCount, directory, verifiedPieces: 0, id: 0, ino: 0, kind: 'external' },
      Date.now(),
    );
  }

  /** Throws AutotorrentError('NOT_FOUND'). */
  async markAdded(infoHash: string): Promise<void> {
    await this.#db.exclusive(async () => {
      const entry = this.#mustHave(infoHash);
      await this.#db.commit([put(entryKey(entry.infoHash), formatEntry({ ...entry, state: 'added' }))]);
    });
  }

  /**
   * Shows files under further names: by file index, components below the entry's folder, undefined for a file that
   * keeps its name only. Throws AutotorrentError('CONFLICT') where two files would get one name, ('CLIENT') for names
   * that no folder can hold, ('NOT_FOUND'). Nothing is changed then. Repeatable.
   */
  async addNames(infoHash: string, names: readonly (readonly string[] | undefined)[]): Promise<void> {
    const entry = this.#mustHave(infoHash);
    const aliases = names.flatMap((path, index): Alias[] => {
      if (path === undefined) return [];
      const bytes = this.#db.get(fileKey(entry.id, index));
      if (bytes !== undefined) return [{ path, ino: decodeFile(bytes).ino }];
      throw new AutotorrentError('CLIENT', `the client names file ${index}, which the torrent does not have`);
    });
    await addAliases(this.#db, this.#tree, entry.ino, entry.id, aliases, Date.now());
  }

  /** It disappears at once, and is deleted when this resolves. Sources stay. Throws AutotorrentError('NOT_FOUND'). */
  async removeEntry(infoHash: string): Promise<void> {
    const entry = await this.#db.exclusive(async () => {
      const entry = this.#mustHave(infoHash);
      const writes: Write[] = [
        del(entryKey(entry.infoHash)),
        del(nameKey(entry.name)),
        del(metainfoKey(entry.infoHash)),
        del(pieceMapKey(entry.infoHash)),
      ];
      if (entry.kind === 'mount') {
        writes.push(del(direntKey(ROOT, entry.name)), intentTo(entry.id, entry.ino), this.#rootWith(-1));
      }
      await this.#db.commit(writes);
      this.#tree.forget([ROOT]);
      this.#treeVersion++;
      return entry;
    });
    if (entry.kind === 'mount') await this.#cleanUp(entry.id, entry.ino);
  }

  async *entries(): AsyncGenerator<Entry, void, undefined> {
    for await (const page of this.#db.pages(ENTRIES)) {
      for (const [, value] of page) yield shown(parseEntry(value));
    }
  }

  /** By info hash or by name. */
  entry(infoHashOrName: string): Entry | undefined {
    const entry = this.#find(infoHashOrName);
    return entry === undefined ? undefined : shown(entry);
  }

  /** The raw .torrent. */
  metainfo(infoHash: string): Buffer | undefined {
    return isInfoHash(infoHash) ? this.#db.get(metainfoKey(infoHash)) : undefined;
  }

  /** One bit a piece, most significant bit first: set for a piece that was hashed and agreed. */
  pieceMap(infoHash: string): Buffer | undefined {
    return isInfoHash(infoHash) ? this.#db.get(pieceMapKey(infoHash)) : undefined;
  }

  /** In the torrent's order. Empty for an external entry. Throws AutotorrentError('NOT_FOUND'). */
  async *files(infoHash: string): AsyncGenerator<StoredFile, void, undefined> {
    const entry = this.#mustHave(infoHash);
    if (entry.kind === 'external') return;
    for await (const page of this.#db.pages(filesOf(entry.id))) {
      for (const [key, value] of page) {
        const { ino, path, status, mode } = decodeFile(value);
        const inode = this.inode(ino);
        if (inode === undefined) continue; // removed while it was being listed
        const isFile = inode.type === 'file';
        yield {
          index: lastNumber(key),
          path,
          ino,
          status,
          mode,
          length: isFile ? inode.size : 0,
          mtimeMs: inode.mtimeMs,
          extents: isFile ? [...this.extents(ino)] : [],
        };
      }
    }
  }

  #find(infoHashOrName: string): StoredEntry | undefined {
    const byHash = isInfoHash(infoHashOrName) ? this.#db.get(entryKey(infoHashOrName)) : undefined;
    if (byHash !== undefined) return parseEntry(byHash);
    const infoHash = this.#db.get(nameKey(infoHashOrName))?.toString('hex');
    const byName = infoHash === undefined ? undefined : this.#db.get(entryKey(infoHash));
    return byName === undefined ? undefined : parseEntry(byName);
  }

  #mustHave(infoHash: string): StoredEntry {
    const entry = this.#find(infoHash);
    if (entry !== undefined) return entry;
    throw new AutotorrentError('NOT_FOUND', `there is no entry ${infoHash}`, { hint: 'autotorrent list' });
  }

  #refuseSecond(infoHash: string): void {
    if (!isInfoHash(infoHash)) throw new AutotorrentError('TORRENT', `${JSON.stringify(infoHash)} is no info hash`);
    const entry = this.#find(infoHash);
    if (entry === undefined) return;
    throw new AutotorrentError('CONFLICT', `the store has this torrent already, as ${JSON.stringify(entry.name)}`);
  }

  async #publish(
    plan: Omit<Plan, 'sources' | 'files'>,
    built: Pick<StoredEntry, 'id' | 'ino' | 'kind' | 'directory' | 'torrentName' | 'fileCount' | 'verifiedPieces'>,
    now: number,
  ): Promise<Entry> {
    return await this.#db.exclusive(async () => {
      this.#refuseSecond(plan.infoHash);
      const name = entryNames(plan.name, plan.infoHash).find(
        (name) => this.#db.get(nameKey(name)) === undefined && this.lookup(ROOT, name) === undefined,
      );
      if (name === undefined) throw new AutotorrentError('CONFLICT', 'every name for this entry is taken');
      const { infoHash, totalLength, missingBytes, pieceCount, pieceLength, verify } = plan;
      const entry: StoredEntry = {
        ...built,
        infoHash,
        name,
        state: 'adding',
        createdMs: now,
        totalLength,
        missingBytes,
        pieceCount,
        pieceLength,
        verify,
      };
      const writes = [
        put(entryKey(infoHash), formatEntry(entry)),
        put(nameKey(name), Buffer.from(infoHash, 'hex')),
        put(metainfoKey(infoHash), plan.metainfo),
        put(pieceMapKey(infoHash), plan.verified),
      ];
      if (built.kind === 'mount') {
        writes.push(this.#tree.linking(ROOT, name, { ino: built.ino, type: 'directory' }), this.#rootWith(1));
        await this.#db.commit([...writes, del(intentKey(built.id))]);
      } else await this.#db.commit(writes);
      this.#tree.forget([ROOT]);
      return shown(entry);
    });
  }

  #rootWith(subfolders: number): Write {
    const root = this.inode(ROOT);
    if (root === undefined) throw damaged('it has no root');
    const now = Date.now();
    return this.#tree.writing(ROOT, { ...root, nlink: root.nlink + subfolders, mtimeMs: now, ctimeMs: now });
  }

  async #cleanUp(id: number, ino: number): Promise<void> {
    const done = await new Removal(this.#db, this.#tree, this.#sources, () => this.#closing).run(id, ino);
    if (done) await this.#db.exclusive(async () => await this.#db.commit([del(intentKey(id))]));
  }

  async #recover(): Promise<void> {
    try {
      for await (const page of this.#db.pages(INTENTS)) {
        for (const [key, value] of page) {
          if (this.#closing) return;
          await this.#cleanUp(lastNumber(key), new Reader(value).integer());
          this.#logger.info('deleted what an interrupted add or remove had left in the store');
        }
      }
    } catch (error) {
      this.#logger.error(`what an interrupted add or remove left could not be deleted: ${messageOf(error)}`);
    }
  }
}

function intentTo(entry: number, ino: number): Write {
  return put(intentKey(entry), new Writer().integer(ino).finish());
}

function isInfoHash(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}

function formatEntry(entry: StoredEntry): Buffer {
  return Buffer.from(JSON.stringify(entry));
}

function parseEntry(bytes: Buffer): StoredEntry {
  try {
    const entry: StoredEntry = JSON.parse(bytes.toString());
    return entry;
  } catch (error) {
    throw damaged('an entry cannot be read', error);
  }
}

function shown({ id: _id, ino: _ino, ...entry }: StoredEntry): Entry {
  return entry;
}
