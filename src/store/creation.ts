/**
 * Building an entry from a plan, in slices, so that the server goes on serving: a torrent may have 200,000 files.
 *
 * An intent is written first, the tree next, hanging from nowhere, and one last batch makes it visible. A folder's
 * dirent is written before or with what it holds, so that the tree of a build that was cut short can be walked.
 */
import { AutotorrentError } from '../errors.ts';
import { countBits } from '../extent/bitfield.ts';
import type { Extent } from '../extent/extent.ts';
import { ExtentMap } from '../extent/extent-map.ts';
import type { Plan, PlanFile, PlanSource } from '../plan/plan.ts';
import { type Database, put, type Write } from './database.ts';
import type { Entry } from './entry.ts';
import { extentsKey, fileKey, linkKey } from './key.ts';
import { checkPath } from './name.ts';
import { encodeExtents, encodeFile, type Inode } from './record.ts';
import type { Sources } from './sources.ts';
import type { Tree } from './tree.ts';

/** A plan whose lists may come in slices, as the decoder of the binary form gives them. */
export interface EntryPlan extends Omit<Plan, 'sources' | 'files'> {
  readonly sources: Iterable<PlanSource> | AsyncIterable<PlanSource>;
  readonly files: Iterable<PlanFile> | AsyncIterable<PlanFile>;
}

/** Files in one batch: some milliseconds of work, in which no read is answered. */
const SLICE = 250;

interface Folder {
  readonly ino: number;
  subfolders: number;
}

export class Creation {
  readonly #db: Database;
  readonly #tree: Tree;
  readonly #sources: Sources;
  readonly #entry: number;
  readonly #now: number;
  /** By path below the entry's folder, components joined with `/`. */
  readonly #folders = new Map<string, Folder>();
  readonly #sourceIds: number[] = [];
  /** Files of the slice at work, which the database does not have yet. */
  readonly #sliceNames = new Set<string>();
  /** By path. Pad files of one length may share one, as many programs name them by their length. */
  readonly #pads = new Map<string, { readonly ino: number; readonly length: number }>();
  #fileCount = 0;

  constructor(db: Database, tree: Tree, sources: Sources, entry: number, root: number, now: number) {
    this.#db = db;
    this.#tree = tree;
    this.#sources = sources;
    this.#entry = entry;
    this.#now = now;
    this.#folders.set('', { ino: root, subfolders: 0 });
  }

  /** Everything but what makes it visible. */
  async build(plan: EntryPlan): Promise<Pick<Entry, 'fileCount' | 'verifiedPieces' | 'torrentName'>> {
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
      const ids = await this.#sources.add(slice, this.#entry);
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
    const changed = new Map<Folder, Inode>();
    const names = this.#sliceNames;
    names.clear();
    for (const file of slice) {
      checkPath(file.path, 'TORRENT');
      if (file.symlink !== undefined) checkPath(file.symlink, 'TORRENT');
      const parent = this.#folderFor(file.path.slice(0, -1), writes, changed);
      const name = file.path.at(-1) ?? '';
      const path = file.path.join('/');
      const pad = file.status === 'pad' ? this.#pads.get(path) : undefined;
      if (pad?.length === file.length) {
        this.#listFile(file, pad.ino, writes);
        continue;
      }
      if (names.has(path) || this.#folders.has(path) || this.#tree.lookup(parent.ino, name) !== undefined) {
        throw new AutotorrentError('TORRENT', `${JSON.stringify(path)} is twice in the torrent`);
      }
      names.add(path);
      const ino = this.#addFile(file, parent, name, writes);
      if (file.status === 'pad') this.#pads.set(path, { ino, length: file.length });
    }
    for (const [folder, inode] of changed) {
      writes.push(this.#tree.writing(folder.ino, { ...inode, nlink: 2 + folder.subfolders }));
    }
    await this.#db.commit(writes);
    this.#tree.forget([...changed.keys()].map((folder) => folder.ino));
  }

  #addFile(file: PlanFile, parent: Folder, name: string, writes: Write[]): number {
    const ino = this.#db.take('ino');
    const type = file.symlink === undefined ? 'file' : 'symlink';
    const target = file.symlink === undefined ? '' : relativeTarget(file.path, file.symlink);
    const mtimeMs = Number.isFinite(file.mtimeMs) ? Math.max(0, file.mtimeMs) : this.#now;
    writes.push(
      this.#tree.linking(parent.ino, name, { ino, type }),
      this.#tree.writing(ino, {
        type,
        mode: type === 'symlink' ? 0o777 : file.executable ? 0o755 : 0o644,
        nlink: 1,
        size: type === 'symlink' ? Buffer.byteLength(target) : file.length,
        atimeMs: mtimeMs,
        mtimeMs,
        ctimeMs: this.#now,
        entry: this.#entry,
      }),
      type === 'symlink'
        ? put(linkKey(ino), Buffer.from(target))
        : put(extentsKey(ino), encodeExtents(this.#mapped(file))),
    );
    this.#listFile(file, ino, writes);
    return ino;
  }

  /** Under its index in the torrent. */
  #listFile({ status, mode, path }: PlanFile, ino: number, writes: Write[]): void {
    writes.push(put(fileKey(this.#entry, this.#fileCount), encodeFile({ ino, status, mode, path })));
    this.#fileCount++;
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

  #folderFor(path: readonly string[], writes: Write[], changed: Map<Folder, Inode>): Folder {
    const known = this.#folders.get(path.join('/'));
    if (known !== undefined) return known;
    const parent = this.#folderFor(path.slice(0, -1), writes, changed);
    const name = path.at(-1) ?? '';
    if (this.#tree.lookup(parent.ino, name) !== undefined || this.#sliceNames.has(path.join('/'))) {
      throw new AutotorrentError('TORRENT', `${JSON.stringify(path.join('/'))} is a file and a folder in the torrent`);
    }
    const folder = { ino: this.#db.take('ino'), subfolders: 0 };
    parent.subfolders++;
    this.#folders.set(path.join('/'), folder);
    writes.push(this.#tree.linking(parent.ino, name, { ino: folder.ino, type: 'directory' }));
    const inode = newFolder(this.#now, this.#entry);
    changed.set(folder, inode).set(parent, inode);
    return folder;
  }
}

export function newFolder(now: number, entry: number): Inode {
  return { type: 'directory', mode: 0o755, nlink: 2, size: 4096, atimeMs: now, mtimeMs: now, ctimeMs: now, entry };
}

/** BEP 47 counts the target from the torrent's own folder; the link's text counts from the link's folder. */
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
