/**
 * Builds an entry from a plan, in slices, so that the server goes on serving: a torrent may have 200,000 files.
 *
 * An intent is written first, then the tree, which no name leads to yet; one last batch makes it visible. A folder's
 * dirent is written before its contents or with them, so that the tree of an interrupted build can be walked. Nothing is
 * synced here: the database's log keeps the order, and whoever makes the entry visible syncs.
 */
import { AutotorrentError } from '../../errors.ts';
import { countBits } from '../../extent/bitfield.ts';
import type { Extent } from '../../extent/extent.ts';
import { ExtentMap } from '../../extent/extent-map.ts';
import { fromMilliseconds, type Timestamp } from '../../native/timestamp.ts';
import type { Plan, PlanFile } from '../../plan/plan.ts';
import type { LookedAtSource } from '../../source/looked-at.ts';
import { type Database, NOTHING, put, type Write } from '../records/database.ts';
import { extentsKey, fileKey, linkKey, longNamesKey } from '../records/key.ts';
import { encodeExtents, encodeFile, type Inode, newInode } from '../records/record.ts';
import type { Sources } from '../sources/sources.ts';
import { checkPath, hasLongName } from '../tree/names.ts';
import { ROOT, type Tree } from '../tree/tree.ts';
import type { Entry } from './entry.ts';

/** A plan whose lists may come in slices, as the decoder of the binary form returns them. */
export interface EntryPlan extends Omit<Plan, 'sources' | 'files'> {
  readonly sources: Iterable<LookedAtSource> | AsyncIterable<LookedAtSource>;
  readonly files: Iterable<PlanFile> | AsyncIterable<PlanFile>;
}

/** Files per batch: some milliseconds of work, during which no read is answered. */
const SLICE = 250;
/** Folders that are remembered: a torrent may have a million, and its neighbouring files share a few. */
const REMEMBERED = 20_000;

interface Folder {
  readonly ino: number;
  readonly parent: number;
  subfolders: number;
}

export class Creation {
  readonly #db: Database;
  readonly #tree: Tree;
  readonly #sources: Sources;
  readonly #entry: number;
  readonly #now: Timestamp;
  /** Folders by path below the entry's folder, components joined with `/`; those that were forgotten are in the tree. */
  readonly #folders = new Map<string, Folder>();
  readonly #sourceIds: number[] = [];
  /** Pad files by path. Those of one length may share a path (`.pad/N`): they are one file of zeros. */
  readonly #pads = new Map<string, { readonly ino: number; readonly length: number }>();
  /** Names of the present slice, which the database does not have yet. */
  readonly #sliceNames = new Set<string>();
  #hasLongNames = false;
  #fileCount = 0;
  /** The torrent offset of the next file. */
  #torrentOffset = 0;
  /** The unit to which the next file is aligned. */
  #alignment = 1;

  constructor(db: Database, tree: Tree, sources: Sources, entry: number, root: number, now: Timestamp) {
    this.#db = db;
    this.#tree = tree;
    this.#sources = sources;
    this.#entry = entry;
    this.#now = now;
    this.#folders.set('', { ino: root, parent: ROOT, subfolders: 0 });
  }

  /** Builds everything but the records that make the entry visible. */
  async build(plan: EntryPlan): Promise<Pick<Entry, 'fileCount' | 'verifiedPieces' | 'torrentName'>> {
    if (plan.aligned === true) this.#alignment = plan.pieceLength;
    await this.#addSources(plan.sources);
    let torrentName: string | undefined;
    for await (const slice of slices(plan.files)) {
      torrentName ??= slice[0]?.path[0];
      await this.#db.exclusive(async () => await this.#addFiles(slice));
    }
    if (torrentName === undefined) throw new AutotorrentError('TORRENT', 'the torrent has no files');
    return { torrentName, fileCount: this.#fileCount, verifiedPieces: countBits(plan.verified) };
  }

  async #addSources(sources: EntryPlan['sources']): Promise<void> {
    const spares = new Map<number, readonly number[]>();
    for await (const slice of slices(sources)) {
      const ids = await this.#sources.add(slice, this.#entry, { sync: false });
      for (const [i, id] of ids.entries()) {
        this.#sourceIds.push(id);
        const source = slice[i];
        if (source !== undefined && source.spares.length > 0) spares.set(id, source.spares);
      }
    }
    for await (const slice of slices(spares)) {
      await this.#sources.addSpares(
        new Map(slice.map(([id, indices]) => [id, indices.map((index) => this.#sourceId(index))])),
      );
    }
  }

  #sourceId(index: number): number {
    const id = this.#sourceIds[index];
    if (id === undefined)
      throw new AutotorrentError('TORRENT', `the plan names source ${index}, which it does not list`);
    return id;
  }

  async #addFiles(slice: readonly PlanFile[]): Promise<void> {
    const writes: Write[] = [];
    const changed = new Set<Folder>();
    const names = this.#sliceNames;
    names.clear();
    for (const file of slice) {
      checkPath(file.path, 'TORRENT');
      if (file.symlink !== undefined) checkPath(file.symlink, 'TORRENT');
      if (!this.#hasLongNames && hasLongName(file.path)) {
        this.#hasLongNames = true;
        writes.push(put(longNamesKey(this.#entry), NOTHING));
      }
      const parent = this.#folderFor(file.path.slice(0, -1), writes, changed);
      const name = file.path.at(-1) ?? '';
      const path = file.path.join('/');
      const pad = file.status === 'pad' ? this.#pads.get(path) : undefined;
      if (pad?.length === file.length) {
        this.#record(file, pad.ino, writes);
        continue;
      }
      if (names.has(path) || this.#folders.has(path) || this.#tree.lookup(parent.ino, name) !== undefined) {
        throw new AutotorrentError('TORRENT', `${JSON.stringify(path)} is twice in the torrent`);
      }
      names.add(path);
      this.#addFile(file, parent, name, writes);
    }
    for (const folder of changed) {
      const inode = newFolder(this.#now, this.#entry, folder.parent);
      writes.push(this.#tree.writing(folder.ino, { ...inode, nlink: 2 + folder.subfolders }));
    }
    await this.#db.commit(writes, { sync: false });
    this.#tree.forget([...changed].map((folder) => folder.ino));
    this.#forgetFolders();
  }

  #forgetFolders(): void {
    if (this.#folders.size <= REMEMBERED) return;
    const root = this.#folders.get('');
    this.#folders.clear();
    if (root !== undefined) this.#folders.set('', root);
  }

  #addFile(file: PlanFile, parent: Folder, name: string, writes: Write[]): void {
    const ino = this.#db.take('ino');
    const type = file.symlink === undefined ? 'file' : 'symlink';
    const target = file.symlink === undefined ? '' : relativeTarget(file.path, file.symlink);
    const mtime = Number.isFinite(file.mtimeMs) ? fromMilliseconds(Math.max(0, file.mtimeMs)) : this.#now;
    const planned = newInode(type, this.#now, { atime: mtime, mtime, entry: this.#entry });
    writes.push(
      this.#tree.linking(parent.ino, name, { ino, type }),
      ...(type === 'symlink'
        ? [
            this.#tree.writing(ino, { ...planned, mode: 0o777, size: Buffer.byteLength(target), plannedMtime: mtime }),
            put(linkKey(ino), Buffer.from(target)),
          ]
        : [
            this.#tree.writing(ino, {
              ...planned,
              mode: file.executable ? 0o755 : 0o644,
              size: file.length,
              baseEnd: file.length,
              torrentOffset: this.#torrentOffset,
              plannedMtime: mtime,
            }),
            put(extentsKey(ino), encodeExtents(this.#mapped(file))),
          ]),
    );
    if (file.status === 'pad') this.#pads.set(file.path.join('/'), { ino, length: file.length });
    this.#record(file, ino, writes);
  }

  /** Records a file at its index in the torrent's list. */
  #record(file: PlanFile, ino: number, writes: Write[]): void {
    const { status, mode, code, path } = file;
    writes.push(put(fileKey(this.#entry, this.#fileCount), encodeFile({ ino, status, mode, code, path })));
    this.#fileCount++;
    this.#torrentOffset = Math.ceil((this.#torrentOffset + file.length) / this.#alignment) * this.#alignment;
  }

  #mapped(file: PlanFile): ExtentMap {
    const withIds = file.extents.map((extent): Extent => {
      return extent.source < 0 ? extent : { ...extent, source: this.#sourceId(extent.source) };
    });
    try {
      return ExtentMap.from(withIds, file.length);
    } catch (error) {
      throw new AutotorrentError(
        'TORRENT',
        `the plan of ${JSON.stringify(file.path.join('/'))} does not fit together`,
        {
          cause: error,
        },
      );
    }
  }

  #folderFor(path: readonly string[], writes: Write[], changed: Set<Folder>): Folder {
    const known = this.#folders.get(path.join('/'));
    if (known !== undefined) return known;
    const parent = this.#folderFor(path.slice(0, -1), writes, changed);
    const name = path.at(-1) ?? '';
    const there = this.#tree.lookup(parent.ino, name);
    if (there?.type === 'directory') {
      const subfolders = (this.#tree.inode(there.ino)?.nlink ?? 2) - 2;
      const forgotten = { ino: there.ino, parent: parent.ino, subfolders };
      this.#folders.set(path.join('/'), forgotten);
      return forgotten;
    }
    if (there !== undefined || this.#sliceNames.has(path.join('/'))) {
      throw new AutotorrentError('TORRENT', `${JSON.stringify(path.join('/'))} is a file and a folder in the torrent`);
    }
    const folder = { ino: this.#db.take('ino'), parent: parent.ino, subfolders: 0 };
    parent.subfolders++;
    this.#folders.set(path.join('/'), folder);
    writes.push(this.#tree.linking(parent.ino, name, { ino: folder.ino, type: 'directory' }));
    changed.add(folder).add(parent);
    return folder;
  }
}

export function newFolder(now: Timestamp, entry: number, parent: number): Inode {
  return newInode('directory', now, { mode: 0o755, nlink: 2, size: 4096, entry, parent });
}

/** Makes a link's target relative to the link's folder; BEP 47 counts it from the torrent's own folder. */
function relativeTarget(path: readonly string[], target: readonly string[]): string {
  return [...path.slice(2).map(() => '..'), ...target].join('/');
}

async function* slices<T>(list: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T[], void, undefined> {
  let slice: T[] = [];
  for await (const item of list) {
    slice.push(item);
    if (slice.length < SLICE) continue;
    yield slice;
    slice = [];
  }
  if (slice.length > 0) yield slice;
}
