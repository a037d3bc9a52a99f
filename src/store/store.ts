/**
 * The store: the persistent tree that a mount shows, and its entries.
 *
 * Glossary. An *entry* is one torrent's top folder (`entries/entry.ts` has its states). An *inode* is a file, folder or
 * symlink, named by a counter that is never used twice, so that `ino` is the same after a remount and never means
 * another file. A *dirent* is a name in a folder that leads to an inode. A *source* is a file of the collection as it
 * was when planned; an extent names it by id. An *intent* records what to delete if the server dies in the middle.
 *
 * This file is the store's interface: entries by the methods of `Store`, names by `Store.names`, bytes by
 * `Store.bytes`, what happens to sources by `Store.living`. Nobody outside sees a key or a record's bytes.
 *
 * Invariants:
 * - What a call of `Store` acknowledges is on the disk: every batch is synced. (Batches of `names` and `bytes` are not:
 *   fsync makes them durable.)
 * - Opening reads the version, the counters, the intents, the conditions of sources that changed and the whiteouts: a store of a
 *   million files opens as fast as one of ten.
 * - The remains of a crash are deleted in the background, after opening: no name leads to them, so nobody sees them,
 *   and they hold no name. Serving need not wait.
 * - Reads are synchronous and bounded in memory; only listings, which may be long, are asynchronous.
 */
import { randomInt } from 'node:crypto';
import { AutotorrentError, messageOf, PosixError } from '../errors.ts';
import { hasBit } from '../extent/bitfield.ts';
import type { Logger } from '../logger.ts';
import { DescriptorBudget } from '../native/descriptor-budget.ts';
import type { OwnFiles } from '../source/own-files.ts';
import { bothOf, isSame, type Readers } from '../source/readers.ts';
import type { Ballast } from './ballast.ts';
import { type Alias, addAliases } from './entries/aliases.ts';
import { Catalog, shown } from './entries/catalog.ts';
import { type EntryPlan, newFolder } from './entries/creation.ts';
import type { Entry } from './entries/entry.ts';
import { EntryFiles, type StoredFile } from './entries/entry-files.ts';
import type { Verification } from './entries/entry-pieces.ts';
import { type ByteRange, hiddenRanges } from './entries/hidden-ranges.ts';
import { EntryLife, type ExternalPlan } from './entries/life.ts';
import { Pieces } from './entries/pieces.ts';
import { PoolingFiles, type PoolRequest } from './entries/pooling.ts';
import { dayOf, ProofDays } from './entries/proof-days.ts';
import { Remapping } from './entries/remapping.ts';
import { Unmapped } from './entries/unmapped.ts';
import { Verifying } from './entries/verifying.ts';
import { FileBytes } from './file-bytes.ts';
import { Notices, type StoreWatcher } from './notices.ts';
import { type Difference, Differences } from './overlay/differences.ts';
import { Discard, type Discarded, type Quiet } from './overlay/discard.ts';
import { Journal } from './overlay/journal.ts';
import { Overlay } from './overlay/overlay.ts';
import type { OverlayProblem } from './overlay/overlay-check.ts';
import { OverlayDisk } from './overlay/overlay-disk.ts';
import { OverlayFiles } from './overlay/overlay-files.ts';
import { DELETED, Selection } from './overlay/selection.ts';
import { Database, put, type StoreLevel, type Write } from './records/database.ts';
import {
  ALIASES,
  entryBeforeLast,
  fileKey,
  GARBAGE,
  GENERATION_KEY,
  KEYING_KEY,
  lastNumber,
  ORPHANS,
  VERSION_KEY,
} from './records/key.ts';
import {
  type DirentRecord,
  decodeFile,
  FORMAT,
  type Inode,
  KEYED_FORMAT,
  OLDER_FORMATS,
  Reader,
  type SourceRecord,
  Writer,
} from './records/record.ts';
import { SourceChanges } from './sources/changes.ts';
import { Conditions } from './sources/conditions.ts';
import { FolderRenames } from './sources/folder-renames.ts';
import { Keeping } from './sources/keeping.ts';
import { beginKeying, KeyMigration } from './sources/key-migration.ts';
import { LivingSources } from './sources/living.ts';
import { PoolFiles, type Pooling } from './sources/pool-files.ts';
import { Proofs } from './sources/proofs.ts';
import { SourceKeys } from './sources/source-keys.ts';
import { SourceLinks } from './sources/source-links.ts';
import { SourceReaders } from './sources/source-readers.ts';
import { type SourceOnDisk, Sources } from './sources/sources.ts';
import { Stories } from './sources/stories.ts';
import { notThere } from './tree/names.ts';
import { Namespace, type Uses } from './tree/namespace.ts';
import { type NamedDirent, ROOT, Tree } from './tree/tree.ts';
import { Whiteouts } from './tree/whiteouts.ts';

/** Changes of names and inodes, for the mount. */
export type Names = Pick<
  Namespace,
  'make' | 'makeFile' | 'link' | 'unlink' | 'rmdir' | 'rename' | 'exchange' | 'update' | 'lastClose'
>;

export interface StoreOptions {
  readonly logger: Logger;
  /** The state folder, with the overlay's files. */
  readonly statePath: string;
  /** The folder for files that clients have completed. Without it they stay in the overlay. */
  readonly poolPath?: string;
  /** What is kept of files that changed (`docs/sources.md`). Without it nothing is kept. */
  readonly kept?: OwnFiles;
  /** Default: a budget of its own. */
  readonly descriptors?: DescriptorBudget;
  /** Room for writes that must work on a full disk, too. Default: none. */
  readonly ballast?: Ballast;
}

export class Store {
  readonly #db: Database;
  readonly #tree: Tree;
  readonly #overlay: Overlay;
  readonly #names: Namespace;
  readonly #sources: Sources;
  readonly #readers: SourceReaders;
  readonly #links: SourceLinks;
  readonly #isPooled: (path: Buffer) => boolean;
  readonly #conditions: Conditions;
  readonly #unmapped: Unmapped;
  readonly #keying: KeyMigration;
  /** Resolves when all sources have keys, or the reason why not is logged. */
  #keyed: Promise<void> = Promise.resolve();
  readonly #catalog: Catalog;
  readonly #pieces: Pieces;
  readonly #days: ProofDays;
  readonly #life: EntryLife;
  readonly #entryFiles: EntryFiles;
  readonly #differences: Differences;
  readonly #verifying: Verifying;
  readonly #pooling: PoolingFiles | undefined;
  readonly #notices = new Notices();
  readonly #logger: Logger;
  readonly #ballast: Ballast | undefined;
  /** Ids of the entries that have names of clients. */
  readonly #named = new Set<number>();
  #closing = false;
  #foldersGone = 0;
  /** Resolves when the remains of an earlier crash are deleted. Never rejects. */
  recovered: Promise<void> = Promise.resolve();
  /** The bytes of files: acquire, write, truncate, sync. */
  readonly bytes: FileBytes;
  /** The sources of a library that changes: conditions, proofs, places and changes. */
  readonly living: LivingSources;

  private constructor(db: Database, tree: Tree, overlay: Overlay, options: StoreOptions) {
    const { logger, poolPath, statePath, kept } = options;
    const pool = poolPath === undefined ? undefined : new PoolFiles(poolPath, statePath);
    const notices = this.#notices;
    const readers = new SourceReaders(db, notices);
    const links = new SourceLinks(db);
    const [keys, conditions, stories] = [new SourceKeys(db), new Conditions(db, notices), new Stories(db)];
    const renames = new FolderRenames();
    const sources = new Sources({ db, keys, readers, links, conditions, stories, renames, notices, pool, kept });
    const catalog = new Catalog(db);
    const proofs = new Proofs(db, async (entry) => (await catalog.byId(entry)) !== undefined);
    const pieces = new Pieces(db, catalog);
    const names = new Namespace(db, tree, overlay, pieces);
    const parts = { db, tree, overlay, names, sources, catalog, pieces, proofs, notices, logger };
    const entryFiles = new EntryFiles(db, tree, overlay);
    this.#ballast = options.ballast;
    this.#db = db;
    this.#tree = tree;
    this.#overlay = overlay;
    this.#logger = logger;
    this.#sources = sources;
    this.#readers = readers;
    this.#links = links;
    this.#isPooled = (path) => pool?.isOwn(path) === true;
    this.#catalog = catalog;
    this.#pieces = pieces;
    this.#days = new ProofDays(db);
    this.#names = names;
    this.#entryFiles = entryFiles;
    this.#conditions = conditions;
    this.#unmapped = new Unmapped({ ...parts, stopped: () => this.#closing });
    const remapping = new Remapping({ ...parts, readers, conditions, stories, unmapped: this.#unmapped });
    const keeping = new Keeping({ ...parts, conditions, unmapped: this.#unmapped, kept });
    const changes = new SourceChanges({ ...parts, keys, conditions, stories, renames });
    this.#keying = new KeyMigration(db, keys, () => this.#closing);
    const keyed = async (): Promise<void> => await this.#keyed;
    this.living = new LivingSources({ ...parts, conditions, stories, keys, changes, remapping, keeping, keyed });
    this.#life = new EntryLife({ ...parts, stopped: () => this.#closing });
    this.#differences = new Differences(db, tree, overlay);
    this.#verifying = new Verifying({ ...parts, files: entryFiles, days: this.#days });
    const disk = new OverlayDisk(overlay.files.folder);
    this.bytes = new FileBytes({ ...parts, disk, onChange: (entry) => notices.bytesChanged(entry) });
    this.#pooling =
      pool === undefined
        ? undefined
        : new PoolingFiles({ ...parts, bytes: this.bytes, pool, unmapped: this.#unmapped });
  }

  /**
   * Opens a store; `level` is open, with both encodings `buffer`.
   * @throws AutotorrentError('STORE') for a store of another version, file errors of the disk
   */
  static async open(level: StoreLevel, options: StoreOptions): Promise<Store> {
    const db = new Database(level, ROOT, options.ballast);
    const tree = new Tree(db);
    const format = formatOf(level);
    if (format === undefined && !(await db.isEmpty())) {
      throw new AutotorrentError('STORE', 'the folder at state_path is no store of autotorrent', {
        hint: 'Set state_path to a folder of its own.',
      });
    }
    if (format !== undefined && format !== FORMAT && !OLDER_FORMATS.includes(format)) {
      throw new AutotorrentError(
        'STORE',
        `the store has format ${format}, this version of autotorrent reads format ${FORMAT}`,
        { hint: 'Use the version of autotorrent that wrote it, or move state_path away and add the torrents again.' },
      );
    }
    const { statePath, logger, descriptors = DescriptorBudget.ofProcess() } = options;
    const overlay = await Overlay.open(db, tree, { statePath, logger, descriptors });
    const store = new Store(db, tree, overlay, options);
    const first: Write[] = [];
    if (store.generation === 0) first.push(put(GENERATION_KEY, freshGeneration()));
    if (format === undefined) first.push(tree.writing(ROOT, newFolder(overlay.now(), 0, ROOT)));
    else if (format !== FORMAT) {
      first.push(...(format < KEYED_FORMAT ? [beginKeying()] : []), Whiteouts.beginMigration());
    }
    if (format !== FORMAT) first.push(put(VERSION_KEY, new Writer().integer(FORMAT).finish()));
    if (first.length > 0) await db.commit(first);
    // Before anything is served: whatever is made or loses its last name from now on is this server's.
    await store.#conditions.load();
    await tree.whiteouts.load();
    const unfinished = await store.#life.unfinished();
    const orphans: number[] = [];
    for await (const page of db.pages(ORPHANS)) orphans.push(...page.map(([key]) => lastNumber(key)));
    store.#keyed = store.#keying.run().catch((error: unknown) => {
      logger.error(`some sources are not found by their paths until the next start: ${messageOf(error)}`);
    });
    store.recovered = store.#recover(async () => {
      await store.#life.finish(unfinished);
      const nobody: Uses = { isOpen: () => false, doom() {} };
      for (const ino of orphans) if (!store.#closing) await store.#names.lastClose(ino, nobody);
    });
    return store;
  }

  /**
   * Opens a store that is only read: nothing is recovered or migrated.
   * @throws AutotorrentError('STORE') if there is something to recover or to migrate
   */
  static async openAsItIs(level: StoreLevel, options: StoreOptions): Promise<Store> {
    const db = new Database(level, ROOT);
    const tree = new Tree(db);
    const isOld = formatOf(level) !== FORMAT || db.get(KEYING_KEY) !== undefined;
    if (isOld || Journal.isLeftIn(new OverlayFiles(options.statePath).folder)) {
      const why = isOld ? 'was written by another version' : 'was not closed by its last server';
      throw new AutotorrentError('STORE', `the store ${why}`, {
        hint: 'the next autotorrent mount brings it up to date',
      });
    }
    const { statePath, logger, descriptors = DescriptorBudget.ofProcess() } = options;
    const store = new Store(db, tree, await Overlay.open(db, tree, { statePath, logger, descriptors }), options);
    await store.#conditions.load();
    await tree.whiteouts.load();
    await store.#catalog.loadIds();
    return store;
  }

  async #recover(deleteLeft: () => Promise<void>): Promise<void> {
    await this.#keyed;
    try {
      await deleteLeft();
      for await (const page of this.#db.pages(GARBAGE))
        for (const [key] of page) this.#overlay.collect(lastNumber(key));
      await this.#unmapped.recover();
      await this.#sources.releaseUnused();
      await this.#tree.whiteouts.migrate(() => this.#closing);
      await this.#overlay.check.run(() => this.#closing);
      await this.#catalog.loadIds();
      for await (const page of this.#db.pages(ALIASES)) for (const [key] of page) this.#named.add(entryBeforeLast(key));
      this.#ballast?.restore();
    } catch (error) {
      this.#logger.error(`the remains of an earlier server could not be deleted: ${messageOf(error)}`);
    }
  }

  /**
   * Records everything written, and waits until background work has stopped. The caller closes the database.
   * @throws file errors of the disk
   */
  async close(): Promise<void> {
    this.#closing = true;
    await this.recovered;
    await this.#unmapped.close();
    await this.#overlay.close();
    await this.living.settled();
    await this.#db.sync();
    await this.#ballast?.settled();
  }

  /** Reports events to `watcher` until the returned function is called. */
  watch(watcher: StoreWatcher): () => void {
    return this.#notices.watch(watcher);
  }

  /** Makes everything done so far durable. @throws AutotorrentError('STORE') */
  async sync(): Promise<void> {
    await this.#db.sync();
  }

  /** Records everything that clients have written so far. @throws file errors of the disk, AutotorrentError('STORE') */
  async checkpoint(): Promise<void> {
    await this.#overlay.checkpoints.all();
  }

  /** Rises when a folder was removed or moved: paths that were resolved before may then lead elsewhere. */
  get treeVersion(): number {
    return this.#foldersGone + this.#life.removals + this.#names.version;
  }

  /** A number of 32 bits that no other store has: an inode number together with it names one file for ever. */
  get generation(): number {
    return this.#db.get(GENERATION_KEY)?.readUInt32BE() ?? 0;
  }

  /** Changes of names and inodes. */
  get names(): Names {
    return this.#names;
  }

  /** Tells whether the entry of an inode has names that no disk takes. */
  takesLongNames(ino: number): boolean {
    return this.#tree.takesLongNames(ino);
  }

  lookup(parent: number, name: string): DirentRecord | undefined {
    return this.#tree.lookup(parent, name);
  }

  /** Finds the inode that a name leads to. @throws ENOENT, ENOTDIR, ENAMETOOLONG */
  find(parent: number, name: string): number {
    const dirent = this.#tree.lookup(parent, name);
    if (dirent !== undefined) return dirent.ino;
    const above = this.#tree.inode(parent);
    if (above === undefined) throw new PosixError('ENOENT');
    throw above.type === 'directory'
      ? notThere(name, () => this.#tree.takesLongNames(parent))
      : new PosixError('ENOTDIR');
  }

  inode(ino: number): Inode | undefined {
    return this.#tree.inode(ino);
  }

  /** The target of a symlink. */
  target(ino: number): string | undefined {
    return this.#tree.target(ino);
  }

  /** Lists the names in a folder, or those after `after`, in pages of some hundred, in the order of their bytes. */
  readdir(ino: number, after?: string): AsyncIterable<readonly NamedDirent[]> {
    return this.#tree.readdir(ino, after);
  }

  /** The present time, as new and changed inodes get it. */
  now(): ReturnType<Overlay['now']> {
    return this.#overlay.now();
  }

  source(id: number): SourceRecord | undefined {
    return this.#sources.get(id);
  }

  /** Lists all sources, in pages. */
  sources(): AsyncIterable<readonly SourceOnDisk[]> {
    return this.#sources.list();
  }

  /** Lists the sources of a file's plan, whatever was written over them. None for a file that is only downloaded. */
  sourcesOf(ino: number): ReadonlySet<number> {
    return this.#tree.sources(ino);
  }

  /** Who may read a source; undefined if nobody has looked yet. */
  readers(source: number): Readers | undefined {
    return this.#readers.get(source);
  }

  /** Notes who may read a source. What is kept of it stays as private as it has been since. */
  noteReaders(source: number, readers: Readers): void {
    const before = this.#readers.get(source);
    if (before !== undefined && isSame(before, readers)) return;
    const path = this.source(source)?.path;
    const isKept = path !== undefined && this.living.isKept(path);
    this.#readers.note(source, isKept && before !== undefined ? bothOf(before, readers) : readers);
    for (const kept of this.living.keptOf(source)) {
      this.#readers.note(kept, bothOf(this.#readers.get(kept) ?? 'nobody', readers));
    }
  }

  /** Notes how many hard links a source has. */
  noteLinks(source: number, links: number): void {
    if (this.#links.note(source, links)) this.#notices.linksChanged();
  }

  /**
   * The hard links of a source as of the last look, one if nobody has looked. None of a file of our own, in the pool or kept: its
   * links are ours.
   */
  links(source: number): number {
    const path = this.source(source)?.path;
    return path === undefined || this.#isPooled(path) || this.living.isKept(path) ? 0 : this.#links.get(source);
  }

  /** Lists the names of the entries that use a source, sorted. */
  async entriesUsing(source: number): Promise<string[]> {
    const users = await this.#sources.users(source);
    const entries = await Promise.all(users.map(async (id) => await this.#catalog.byId(id)));
    return entries.flatMap((entry) => entry?.name ?? []).toSorted();
  }

  /**
   * Makes an entry, in state `adding`, and shows it. An entry that fails leaves nothing.
   * @throws AutotorrentError('CONFLICT') if the info hash has an entry already, ('TORRENT') for an unsound plan
   */
  async createEntry(plan: EntryPlan): Promise<Entry> {
    return shown(await this.#life.create(plan));
  }

  /** Like `createEntry`, for an entry that is only listed. */
  async createExternal(plan: ExternalPlan): Promise<Entry> {
    return shown(await this.#life.createExternal(plan));
  }

  /** Marks entries as added. Returns those that exist: another command may have removed some. */
  async markAdded(infoHashes: readonly string[]): Promise<string[]> {
    return await this.#catalog.markAdded(infoHashes);
  }

  /**
   * Shows files under further names. `names`, by file index: components below the entry's folder, or undefined for a
   * file that keeps only its own name. May be repeated; if it fails, nothing is changed.
   * @throws AutotorrentError('CONFLICT') if two files would get one name, ('CLIENT') for names that no folder can hold,
   *   ('NOT_FOUND')
   */
  async addNames(infoHash: string, names: readonly (readonly string[] | undefined)[]): Promise<void> {
    const entry = this.#catalog.mustHave(infoHash);
    const aliases = names.flatMap((path, index): Alias[] => {
      if (path === undefined) return [];
      const bytes = this.#db.get(fileKey(entry.id, index));
      if (bytes !== undefined) return [{ path, index, ino: decodeFile(bytes).ino }];
      throw new AutotorrentError('CLIENT', `the client names file ${index}, which the torrent does not have`);
    });
    const parts = { db: this.#db, tree: this.#tree, notices: this.#notices };
    if (aliases.length > 0) this.#named.add(entry.id);
    await addAliases(parts, entry, aliases, this.#overlay.now());
  }

  /**
   * Reports whether a file has several names, and its entry has names of clients. False for entries of an earlier server
   * until `recovered`.
   */
  hasClientNames(ino: number): boolean {
    if (this.#named.size === 0) return false;
    const inode = this.#tree.inode(ino);
    return inode !== undefined && inode.nlink > 1 && this.#named.has(inode.entry);
  }

  /**
   * Removes an entry: it disappears at once, and is deleted when this resolves. Sources stay.
   * @throws AutotorrentError('NOT_FOUND')
   */
  async removeEntry(infoHash: string): Promise<void> {
    await this.#life.remove(infoHash);
  }

  /**
   * Begins a verification; call it before listing the entry's files, and pass the result to `verificationEnded`.
   * @throws AutotorrentError('NOT_FOUND')
   */
  async verificationBegun(infoHash: string): Promise<number> {
    return await this.#verifying.begun(infoHash);
  }

  /**
   * Records which pieces matched and which did not; pieces that changed since `since` keep their bit.
   * @throws AutotorrentError('NOT_FOUND'), ('CONFLICT') if it began at another server or for an earlier entry
   */
  async verificationEnded(infoHash: string, verification: Verification): Promise<Entry> {
    return shown(await this.#verifying.ended(infoHash, verification));
  }

  /**
   * Puts a file that is wholly written and verified into the pool, and maps it there. If its content is plain, it must
   * not be used any more. Undefined if the file is not whole, or the store has no pool.
   * @throws AutotorrentError('NOT_FOUND'), ('STORE'), file errors of the disk
   */
  async pool(infoHash: string, file: StoredFile, request: PoolRequest): Promise<Pooling | undefined> {
    return await this.#pooling?.pool(infoHash, file, request);
  }

  /** Lists how an entry differs from its plan. @throws AutotorrentError('NOT_FOUND') */
  differences(infoHash: string): AsyncIterable<Difference> {
    const entry = this.#catalog.mustHave(infoHash);
    return entry.kind === 'external' ? nothing() : this.#differences.of(entry);
  }

  /** Lists the ranges written over a file, in pages. */
  writtenRanges(ino: number): AsyncIterable<readonly (readonly [offset: number, end: number])[]> {
    return this.#differences.ranges(ino);
  }

  /**
   * Restores an entry to its plan, or only what is `selected`: paths below its folder, of files (by their names in the
   * torrent or their present names) and of folders; or the files that were deleted.
   * @throws AutotorrentError('NOT_FOUND') for a path at which nothing differs, ('CONFLICT') if a file is open
   */
  async discard(
    infoHash: string,
    selected: readonly string[] | 'deleted' | undefined,
    quiet: Quiet,
  ): Promise<Discarded> {
    const entry = this.#catalog.mustHave(infoHash);
    const selection = selected === undefined ? undefined : selected === 'deleted' ? DELETED : new Selection(selected);
    const differences: Difference[] = [];
    for await (const difference of this.differences(infoHash)) {
      if (selection?.takes(difference) !== false) differences.push(difference);
    }
    selection?.refuseUnused();
    const parts = {
      db: this.#db,
      tree: this.#tree,
      overlay: this.#overlay,
      pieces: this.#pieces,
      notices: this.#notices,
    };
    const discarded = await new Discard(parts, entry, quiet, () => this.#foldersGone++).run(differences);
    await this.#overlay.departures.done();
    return discarded;
  }

  /** Resolves when the overlay files of everything deleted so far are gone from the disk. */
  async overlayFilesGone(): Promise<void> {
    await this.#overlay.departures.done();
  }

  /** Overlay files that do not match the store. */
  get overlayProblems(): readonly OverlayProblem[] {
    return this.#overlay.check.problems;
  }

  async *entries(): AsyncGenerator<Entry, void, undefined> {
    for await (const entry of this.#catalog.list()) yield shown(entry);
  }

  /** Finds an entry by its info hash or name. */
  entry(infoHashOrName: string): Entry | undefined {
    const entry = this.#catalog.find(infoHashOrName);
    return entry === undefined ? undefined : shown(entry);
  }

  /** Finds the id that an entry's inodes carry. */
  entryId(infoHash: string): number | undefined {
    return this.#catalog.find(infoHash)?.id;
  }

  /** Finds an entry by the id that its inodes carry. */
  async entryById(id: number): Promise<Entry | undefined> {
    const entry = await this.#catalog.byId(id);
    return entry === undefined ? undefined : shown(entry);
  }

  /** Reads the raw .torrent. */
  metainfo(infoHash: string): Buffer | undefined {
    return this.#catalog.metainfo(infoHash);
  }

  /** Reads the piece map: one bit per piece, most significant bit first, set if the piece was hashed and matched. */
  pieceMap(infoHash: string): Buffer | undefined {
    return this.#catalog.pieceMap(infoHash);
  }

  /**
   * Gives the day on which each piece was hashed last, counted from 1970-01-01 UTC; 0: never. The pieces that were verified when the
   * entry was made count from then. @throws AutotorrentError('NOT_FOUND')
   */
  proofDays(infoHash: string): Uint16Array {
    const { pieceCount, createdMs } = this.#catalog.mustHave(infoHash);
    const days = this.#days.recorded(infoHash, pieceCount);
    const map = this.#catalog.pieceMap(infoHash) ?? Buffer.alloc(0);
    const made = dayOf(createdMs);
    for (const [piece, day] of days.entries()) if (day === 0 && hasBit(map, piece)) days[piece] = made;
    return days;
  }

  /**
   * Lists an entry's files in the torrent's order; none for an external entry. @throws AutotorrentError('NOT_FOUND')
   */
  async *files(infoHash: string): AsyncGenerator<StoredFile, void, undefined> {
    const entry = this.#catalog.mustHave(infoHash);
    if (entry.kind === 'external') return;
    yield* this.#entryFiles.of(entry);
  }

  /**
   * Rises with each change of an entry's names; undefined for an entry of which no file was deleted in the mount. A store of an
   * older format may know some only once it is `recovered`.
   */
  whiteoutsVersion({ infoHash }: Entry): number | undefined {
    const { whiteouts } = this.#tree;
    const id = whiteouts.isEmpty ? undefined : this.#catalog.find(infoHash)?.id;
    return id === undefined ? undefined : whiteouts.version(id);
  }

  /**
   * Lists the files of an entry that were deleted in the mount; some may be `replaced`. @throws AutotorrentError('NOT_FOUND')
   */
  async *whiteouts(infoHash: string): AsyncGenerator<StoredFile, void, undefined> {
    const entry = this.#catalog.mustHave(infoHash);
    const inodes = await this.#tree.whiteouts.of(entry.id);
    if (inodes.size > 0) yield* this.#entryFiles.of(entry, inodes);
  }

  /**
   * Lists the files of an entry that clients have written to, each with the bytes of its base that do not show any more; none if
   * the entry has gone.
   */
  async *overwritten(
    infoHash: string,
  ): AsyncGenerator<{ readonly file: StoredFile; readonly hidden: readonly ByteRange[] }, void, undefined> {
    const entry = this.#catalog.find(infoHash);
    if (entry === undefined) return;
    const inodes = await this.#overlay.overlaid.of(entry.id);
    if (inodes.size === 0) return;
    for await (const file of this.#entryFiles.of(entry, inodes)) yield { file, hidden: hiddenRanges(file) };
  }

  /** Finds the inode that was planned for a file of an entry, whatever became of it. */
  plannedFile(entry: number, index: number): number | undefined {
    const bytes = this.#db.get(fileKey(entry, index));
    return bytes === undefined ? undefined : decodeFile(bytes).ino;
  }

  /** Finds a file by its index. @throws AutotorrentError('NOT_FOUND') if there is no such entry */
  async file(infoHash: string, index: number): Promise<StoredFile | undefined> {
    return await this.#entryFiles.at(this.#catalog.mustHave(infoHash), index);
  }
}

/** Random, as the store's counter of inodes begins anew where somebody deletes the store; 0 means that there is none. */
function freshGeneration(): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(randomInt(1, 2 ** 32));
  return bytes;
}

async function* nothing(): AsyncGenerator<never, void, undefined> {}

/** The format that a store was written in; undefined for one without. */
function formatOf(level: StoreLevel): number | undefined {
  const version = level.getSync(VERSION_KEY);
  return version === undefined ? undefined : new Reader(version).integer();
}
