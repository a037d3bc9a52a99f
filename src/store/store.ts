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
import { AutotorrentError, errnoOf, messageOf } from '../errors.ts';
import { type Extent, GAP } from '../extent/extent.ts';
import { ExtentMap } from '../extent/extent-map.ts';
import type { Logger } from '../logger.ts';
import { fromMilliseconds } from '../native/timestamp.ts';
import type { Plan, PlanSource } from '../plan/plan.ts';
import { type Alias, addAliases } from './entries/aliases.ts';
import { Creation, type EntryPlan, newFolder } from './entries/creation.ts';
import { type Entry, formatEntry, parseEntry, type StoredEntry } from './entries/entry.ts';
import { EntryFiles, type StoredFile } from './entries/entry-files.ts';
import type { Verification } from './entries/entry-pieces.ts';
import { Pieces } from './entries/pieces.ts';
import { type Difference, Differences } from './overlay/differences.ts';
import { Discard, type Discarded, type Quiet } from './overlay/discard.ts';
import { Overlay } from './overlay/overlay.ts';
import { Selection } from './overlay/selection.ts';
import { Database, del, put, type StoreLevel, type Write } from './records/database.ts';
import {
  direntKey,
  ENTRIES,
  entryKey,
  extentsKey,
  fileKey,
  filesOf,
  GARBAGE,
  INTENTS,
  intentKey,
  lastNumber,
  metainfoKey,
  nameKey,
  ORPHANS,
  orphanKey,
  pieceMapKey,
  VERSION_KEY,
} from './records/key.ts';
import {
  type DirentRecord,
  damaged,
  decodeFile,
  encodeExtents,
  encodeFile,
  FORMAT,
  FORMAT_WITHOUT_OVERLAY,
  type Inode,
  Reader,
  type SourceRecord,
  Writer,
} from './records/record.ts';
import { PoolFiles } from './sources/pool-files.ts';
import { Sources } from './sources/sources.ts';
import { entryNames } from './tree/names.ts';
import { Namespace, type Uses } from './tree/namespace.ts';
import { Removal } from './tree/removal.ts';
import { type NamedDirent, ROOT, Tree } from './tree/tree.ts';

/** What is listed but not mounted: the client was pointed at the original folder. */
export type ExternalPlan = Omit<Plan, 'sources' | 'files'> & {
  readonly directory: string;
  readonly torrentName: string;
  readonly fileCount: number;
};

export class Store {
  readonly #db: Database;
  readonly #tree: Tree;
  readonly #sources: Sources;
  readonly #logger: Logger;
  #closing = false;
  #treeVersion = 0;
  /** Resolves when what an earlier crash left has been deleted. Never rejects. */
  recovered: Promise<void> = Promise.resolve();

  readonly #files: EntryFiles;
  readonly #differences: Differences;

  /** What clients do to names. */
  readonly names: Namespace;
  readonly overlay: Overlay;
  readonly pieces: Pieces;

  /** Undefined: what clients complete stays in the overlay. */
  readonly pool: PoolFiles | undefined;

  private constructor(db: Database, tree: Tree, overlay: Overlay, pool: PoolFiles | undefined, logger: Logger) {
    this.#db = db;
    this.#tree = tree;
    this.#sources = new Sources(db, pool);
    this.pool = pool;
    this.#logger = logger;
    this.overlay = overlay;
    this.pieces = new Pieces(db);
    this.names = new Namespace(db, tree, overlay, this.pieces);
    this.#files = new EntryFiles(db, tree, overlay);
    this.#differences = new Differences(db, tree, overlay);
  }

  /**
   * `level` is open, with both encodings `buffer`; the overlay's files lie in the folder `statePath`, what clients have
   * completed in `poolPath`.
   * Throws AutotorrentError('STORE') for a store of another version, or what the disk says.
   */
  static async open(
    level: StoreLevel,
    {
      logger,
      statePath,
      poolPath,
    }: { readonly logger: Logger; readonly statePath: string; readonly poolPath?: string },
  ): Promise<Store> {
    const db = new Database(level, ROOT);
    const tree = new Tree(db);
    const version = level.getSync(VERSION_KEY);
    const format = version === undefined ? undefined : new Reader(version).integer();
    if (format === undefined && !(await db.isEmpty())) {
      throw new AutotorrentError('STORE', 'what lies at state_path is no store of autotorrent', {
        hint: 'Set state_path to a folder of its own.',
      });
    }
    if (format !== undefined && format !== FORMAT && format !== FORMAT_WITHOUT_OVERLAY) {
      throw new AutotorrentError(
        'STORE',
        `the store has format ${format}, this version of autotorrent reads format ${FORMAT}`,
        { hint: 'Use the version of autotorrent that wrote it, or move state_path away and add the torrents again.' },
      );
    }
    const overlay = await Overlay.open(db, tree, statePath, logger);
    const pool = poolPath === undefined ? undefined : new PoolFiles(poolPath, statePath);
    const store = new Store(db, tree, overlay, pool, logger);
    if (format !== FORMAT) {
      const root = format === undefined ? [tree.writing(ROOT, newFolder(overlay.now(), 0, ROOT))] : [];
      await db.commit([put(VERSION_KEY, new Writer().integer(FORMAT).finish()), ...root]);
    }
    // Before anything is served: what loses its last name from now on is open.
    const orphans: number[] = [];
    for await (const page of db.pages(ORPHANS)) orphans.push(...page.map(([key]) => lastNumber(key)));
    store.recovered = store.#recover(orphans);
    return store;
  }

  /**
   * Records what was written, and waits until background work has stopped. The database stays open: it is the caller's.
   * Throws what the disk says.
   */
  async close(): Promise<void> {
    this.#closing = true;
    await this.recovered;
    await this.overlay.close();
    await this.#db.sync();
  }

  /** Rises when a folder has gone or moved: paths that were resolved before may mean something else now. */
  get treeVersion(): number {
    return this.#treeVersion + this.names.version;
  }

  /** What was done until now is found after a power loss when it resolves. Throws AutotorrentError('STORE'). */
  async sync(): Promise<void> {
    await this.#db.sync();
  }

  lookup(parent: number, name: string): DirentRecord | undefined {
    return this.#tree.lookup(parent, name);
  }

  inode(ino: number): Inode | undefined {
    return this.#tree.inode(ino);
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
    const now = this.overlay.now();
    const { id, ino } = await this.#db.exclusive(async () => {
      const id = this.#db.take('entry');
      const ino = this.#db.take('ino');
      await this.#db.commit([intentTo(id, ino), this.#tree.writing(ino, newFolder(now, id, ROOT))]);
      return { id, ino };
    });
    try {
      const built = await new Creation(this.#db, this.#tree, this.#sources, id, ino, now).build(plan);
      return await this.#publish(plan, { ...built, id, ino, kind: 'mount' });
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
    return await this.#publish(plan, {
      torrentName,
      fileCount,
      directory,
      verifiedPieces: 0,
      id: 0,
      ino: 0,
      kind: 'external',
    });
  }

  /** Gives those that there are: another command may have removed some. */
  async markAdded(infoHashes: readonly string[]): Promise<string[]> {
    return await this.#db.exclusive(async () => {
      const entries = infoHashes.map((infoHash) => this.#find(infoHash)).filter((entry) => entry !== undefined);
      await this.#db.commit(
        entries.map((entry) => put(entryKey(entry.infoHash), formatEntry({ ...entry, state: 'added' }))),
      );
      return entries.map(({ infoHash }) => infoHash);
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
      if (bytes !== undefined) return [{ path, index, ino: decodeFile(bytes).ino }];
      throw new AutotorrentError('CLIENT', `the client names file ${index}, which the torrent does not have`);
    });
    await addAliases(this.#db, this.#tree, entry.ino, entry.id, aliases, this.overlay.now());
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
      await this.#db.commit(writes, { needed: true });
      this.#tree.forget([ROOT]);
      this.#treeVersion++;
      return { ...entry, gone: this.names.removing(entry.id) };
    });
    if (entry.kind === 'mount') await this.#cleanUp(entry.id, entry.ino);
    entry.gone();
  }

  /** What `verificationEnded` needs, from before the entry's files were listed. Throws AutotorrentError('NOT_FOUND'). */
  async verificationBegun(infoHash: string): Promise<number> {
    const entry = this.#mustHave(infoHash);
    const pieces = await this.pieces.of(entry.id);
    await this.#adoptReplacements(entry);
    return pieces?.sequence ?? 0;
  }

  /** What was verified of a file that has the place of a deleted one is to be taken back when it is written to. */
  async #adoptReplacements(entry: StoredEntry): Promise<void> {
    for await (const page of this.#db.pages(filesOf(entry.id))) {
      for (const [, value] of page) {
        const { ino, path } = decodeFile(value);
        const torrentOffset = this.inode(ino)?.torrentOffset;
        if (torrentOffset === undefined || this.inode(ino)?.nlink !== 0) continue;
        const there = this.#files.resolve(entry.ino, path);
        const inode = there === undefined ? undefined : this.inode(there);
        if (there === undefined || inode?.content !== 'plain' || inode.torrentOffset === torrentOffset) continue;
        await this.names
          .update(there, (inode) => ({ ...inode, torrentOffset }))
          .catch((error: unknown) => {
            // Deleted since.
            if (errnoOf(error) !== 'ENOENT') throw error;
          });
      }
    }
  }

  /** Records which pieces agreed and which did not; what changed since `since` stays as it is. */
  async verificationEnded(infoHash: string, verification: Verification): Promise<Entry> {
    const pieces = await this.pieces.of(this.#mustHave(infoHash).id);
    if (pieces !== null) {
      await this.#db.exclusive(async () => {
        const map = pieces.after(verification);
        if (map.equals(pieces.map)) return;
        await this.#db.commit(this.pieces.recording(pieces, map));
        pieces.map = map;
      });
    }
    return shown(this.#mustHave(infoHash));
  }

  /** By the id that inodes carry. */
  async entryById(id: number): Promise<Entry | undefined> {
    const pieces = await this.pieces.of(id);
    return pieces === null ? undefined : this.entry(pieces.infoHash);
  }

  /**
   * A file whose bytes are all in the pool now is mapped to them. Its overlay file goes; `source` must have the same
   * bytes. Nobody writes to it meanwhile.
   */
  async adopt(infoHash: string, file: StoredFile, source: PlanSource): Promise<void> {
    const [id] = await this.#sources.add([source], this.#mustHave(infoHash).id);
    if (id === undefined) throw new Error('a source was not recorded');
    await this.#db.exclusive(async () => {
      // As it is now: it may have gone, or have been marked, or have lost pieces.
      const entry = this.#mustHave(infoHash);
      const { ino } = file;
      const inode = this.inode(ino);
      const key = fileKey(entry.id, file.index);
      const record = this.#db.get(key);
      if (inode === undefined || record === undefined) throw new AutotorrentError('NOT_FOUND', 'the file has gone');
      const planned = decodeFile(record);
      const old = planned.ino === ino ? undefined : this.inode(planned.ino);
      const extents = ExtentMap.single(file.length, id);
      const mapped: Inode = {
        ...inode,
        content: 'mapped',
        size: file.length,
        baseEnd: file.length,
        torrentOffset: file.torrentOffset,
        ...(inode.content === 'plain' ? { mtime: fromMilliseconds(source.mtimeMs) } : {}),
      };
      const adopted = { ...mapped, plannedMtime: mapped.mtime };
      const pooledBytes = (entry.pooledBytes ?? 0) + gapBytes(file.base);
      const replaced = old !== undefined && old.nlink === 0 ? old : undefined;
      // Of one that is still open.
      const written = replaced === undefined ? [] : await this.overlay.deleting(planned.ino, replaced);
      await this.#db.commit([
        ...(await this.overlay.deleting(ino, inode)),
        ...(replaced === undefined
          ? []
          : [...written, ...this.#tree.deleting(planned.ino, replaced), del(orphanKey(planned.ino))]),
        this.#tree.writing(ino, adopted),
        put(extentsKey(ino), encodeExtents(extents)),
        put(key, encodeFile({ ...planned, ino, status: 'mapped', mode: 'downloaded' })),
        put(entryKey(infoHash), formatEntry({ ...entry, pooledBytes })),
      ]);
      this.#tree.forget([ino, planned.ino]);
      if (written.length > 0) this.overlay.freed(planned.ino);
    });
    this.overlay.becameMapped(file.ino, ExtentMap.single(file.length, id));
  }

  /** How an entry differs from what was planned. Throws AutotorrentError('NOT_FOUND'). */
  differences(infoHash: string): AsyncIterable<Difference> {
    const entry = this.#mustHave(infoHash);
    return entry.kind === 'external' ? nothing() : this.#differences.of(entry);
  }

  /** The ranges written over a file, in pages. */
  writtenRanges(ino: number): AsyncIterable<readonly (readonly [offset: number, end: number])[]> {
    return this.#differences.ranges(ino);
  }

  /**
   * Makes an entry, or what of it is `selected` (paths below its folder: of files, as the torrent has them or as they are
   * named now, and of folders), as planned again. Throws AutotorrentError('NOT_FOUND') for a path at which nothing
   * differs, ('CONFLICT') where a file is open.
   */
  async discard(infoHash: string, selected: readonly string[] | undefined, quiet: Quiet): Promise<Discarded> {
    const entry = this.#mustHave(infoHash);
    const selection = selected === undefined ? undefined : new Selection(selected);
    const differences: Difference[] = [];
    for await (const difference of this.differences(infoHash)) {
      if (selection?.takes(difference) !== false) differences.push(difference);
    }
    selection?.refuseUnused();
    const parts = { db: this.#db, tree: this.#tree, overlay: this.overlay, pieces: this.pieces };
    const discarded = await new Discard(parts, entry, quiet, () => this.#treeVersion++).run(differences);
    await this.overlay.filesGone();
    return discarded;
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
    yield* this.#files.of(entry);
  }

  /** By its index. Throws AutotorrentError('NOT_FOUND') for an entry that is not there. */
  async file(infoHash: string, index: number): Promise<StoredFile | undefined> {
    const entry = this.#mustHave(infoHash);
    return await this.#files.at(entry, index);
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
        ...(plan.infoHashV2 === undefined ? {} : { infoHashV2: plan.infoHashV2 }),
        name,
        state: 'adding',
        createdMs: Date.now(),
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
    const now = this.overlay.now();
    return this.#tree.writing(ROOT, { ...root, nlink: root.nlink + subfolders, mtime: now, ctime: now });
  }

  async #cleanUp(id: number, ino: number): Promise<void> {
    const removal = new Removal(this.#db, this.#tree, this.#sources, this.overlay, () => this.#closing);
    const done = await removal.run(id, ino);
    await this.overlay.filesGone();
    this.pieces.forget(id);
    if (done) await this.#db.exclusive(async () => await this.#db.commit([del(intentKey(id))], { needed: true }));
  }

  async #recover(orphans: readonly number[]): Promise<void> {
    try {
      for await (const page of this.#db.pages(INTENTS)) {
        for (const [key, value] of page) {
          if (this.#closing) return;
          await this.#cleanUp(lastNumber(key), new Reader(value).integer());
          this.#logger.info('deleted what an interrupted add or remove had left in the store');
        }
      }
      const nobody: Uses = { isOpen: () => false, doom() {} };
      for (const ino of orphans) if (!this.#closing) await this.names.lastClose(ino, nobody);
      for await (const page of this.#db.pages(GARBAGE)) for (const [key] of page) this.overlay.collect(lastNumber(key));
      await this.#sources.releaseUnused();
      await this.overlay.check(() => this.#closing);
    } catch (error) {
      this.#logger.error(`what an earlier server left could not be cleaned up: ${messageOf(error)}`);
    }
  }
}

async function* nothing(): AsyncGenerator<never, void, undefined> {}

/** Bytes of a file that nobody supplies. */
export function gapBytes(extents: readonly Extent[]): number {
  return extents.reduce((sum, { source, length }) => sum + (source === GAP ? length : 0), 0);
}

function intentTo(entry: number, ino: number): Write {
  return put(intentKey(entry), new Writer().integer(ino).finish());
}

function isInfoHash(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}

function shown({ id: _id, ino: _ino, ...entry }: StoredEntry): Entry {
  return entry;
}
