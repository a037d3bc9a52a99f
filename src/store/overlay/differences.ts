/**
 * Lists how an entry differs from its plan: what was written over its files, and what happened to their names.
 *
 * A file's *own* names are the torrent's and those that its clients asked for (`aliases.ts`). If one of them is
 * missing, the other names that lead to the file are *strays*: a client has renamed it. A further name beside all its
 * own is no difference: it holds no bytes. Nothing is locked, so a listed file may have changed when it is read.
 */

import type { StoredEntry } from '../entries/entry.ts';
import type { Database } from '../records/database.ts';
import { aliasesOf, aliasKey, filesOf, lastNumber } from '../records/key.ts';
import { decodeFile, decodePaths, type FileRecord, type Inode, type InodeType } from '../records/record.ts';
import type { Place } from '../tree/namespace.ts';
import type { Tree } from '../tree/tree.ts';
import type { Overlay } from './overlay.ts';
import { BLOCK_BYTES } from './written-blocks.ts';

/**
 * `written`: ranges lie in the overlay. `resized`: the size differs, or bytes were cut off. `touched`: only the time
 * differs. `moved`: it has another name. `deleted`: it has none. `replaced`: a client's file has its name. `made`: a
 * client made it.
 */
export type Change = 'written' | 'resized' | 'touched' | 'moved' | 'deleted' | 'replaced' | 'made';

export interface Stray extends Place {
  /** Components below the entry's folder. */
  readonly path: readonly string[];
}

export interface Difference {
  /** Components below the entry's folder, as in the torrent; for a file that a client made, its present path. */
  readonly path: readonly string[];
  readonly ino: number;
  readonly type: InodeType;
  readonly changes: readonly Change[];
  /**
   * In bytes. For a deleted file, the size that it will have when it is restored; for a replaced one, that of the file
   * with its name.
   */
  readonly size: number;
  /** In bytes; undefined for a file that a client made. */
  readonly plannedSize: number | undefined;
  /** The planned bytes that still show unless something is written over them. */
  readonly baseSize: number;
  /** The bytes written over it, or the size of a file that a client made. */
  readonly writtenBytes: number;
  readonly writtenRanges: number;
  /** Other names that lead to it; for a file that a client made, its names. */
  readonly strays: readonly Stray[];
  /** Its own names that do not lead to it. */
  readonly missing: readonly (readonly string[])[];
  /** The file that has its name, if it was `replaced`. */
  readonly replacedBy: { readonly ino: number; readonly at: Stray } | undefined;
}

type Written = Pick<Difference, 'size' | 'plannedSize' | 'baseSize' | 'writtenBytes' | 'writtenRanges'> & {
  readonly changes: readonly Change[];
};

/** A file with a missing name. */
interface Suspect {
  readonly record: FileRecord;
  readonly inode: Inode;
  readonly own: readonly (readonly string[])[];
  readonly missing: readonly (readonly string[])[];
  readonly strays: Stray[];
  replacedBy: Difference['replacedBy'];
}

/** The planned names, which the present ones are compared with. */
interface Planned {
  /** Paths of folders. */
  readonly folders: Set<string>;
  /** Inodes of the torrent's files and symlinks. */
  readonly inodes: Set<number>;
  readonly suspects: Map<number, Suspect>;
  /** The files without any name, by their names in the torrent. */
  readonly deleted: Map<string, Suspect>;
}

/** Files examined between two turns of the event loop: some milliseconds. */
const PAGE = 100;
/** Ranges returned at once. */
const RANGES = 10_000;

export class Differences {
  readonly #db: Database;
  readonly #tree: Tree;
  readonly #overlay: Overlay;

  constructor(db: Database, tree: Tree, overlay: Overlay) {
    this.#db = db;
    this.#tree = tree;
    this.#overlay = overlay;
  }

  /** Lists files of the torrent first, then those that clients made, then those whose names changed. */
  async *of(entry: StoredEntry): AsyncGenerator<Difference, void, undefined> {
    const planned: Planned = { folders: new Set(), inodes: new Set(), suspects: new Map(), deleted: new Map() };
    yield* this.#ofFiles(entry, planned);
    yield* this.#ofNames(entry.ino, [], planned);
    for (const [ino, suspect] of planned.suspects) yield await this.#ofSuspect(ino, suspect);
  }

  /** Lists the ranges `[offset, end)` written over a file, in order, in pages. */
  async *ranges(ino: number): AsyncGenerator<readonly (readonly [offset: number, end: number])[], void, undefined> {
    if (this.#tree.inode(ino)?.content !== 'overlaid') return;
    const content = await this.#overlay.contents.acquireMapped(ino);
    try {
      const page: [number, number][] = [];
      for (const [first, end] of content.blocks.ranges(Math.ceil(content.size / BLOCK_BYTES))) {
        const range: [number, number] = [first * BLOCK_BYTES, Math.min(end * BLOCK_BYTES, content.size)];
        const last = page.at(-1);
        // Blocks come in chunks: a range may continue in the next one.
        if (last?.[1] === range[0]) last[1] = range[1];
        else page.push(range);
        if (page.length <= RANGES) continue;
        yield page.splice(0, RANGES);
        await new Promise(setImmediate);
      }
      if (page.length > 0) yield page;
    } finally {
      this.#overlay.contents.release(content);
    }
  }

  async *#ofFiles(entry: StoredEntry, planned: Planned): AsyncGenerator<Difference, void, undefined> {
    const hasAliases = (await this.#db.first(aliasesOf(entry.id), 1)).length > 0;
    for await (const page of this.#db.pages(filesOf(entry.id), PAGE)) {
      // For one page only: clients go on changing names.
      const folders = new Map<string, number | undefined>();
      for (const [key, value] of page) {
        const record = decodeFile(value);
        const alias = hasAliases ? this.#db.get(aliasKey(entry.id, lastNumber(key))) : undefined;
        const own = alias === undefined ? [record.path] : [record.path, ...decodePaths(alias)];
        for (const path of own) noteFolders(path, planned.folders);
        const inode = this.#tree.inode(record.ino);
        if (inode === undefined) {
          yield gone(record);
          continue;
        }
        planned.inodes.add(record.ino);
        const missing = own.filter((path) => this.#at(entry.ino, path, folders) !== record.ino);
        if (missing.length > 0) {
          const suspect: Suspect = { record, inode, own, missing, strays: [], replacedBy: undefined };
          planned.suspects.set(record.ino, suspect);
          if (inode.nlink === 0) planned.deleted.set(record.path.join('/'), suspect);
          continue;
        }
        if (inode.content === 'mapped' && this.#hasPlannedTime(record.ino, inode)) continue;
        const written = await this.#writtenOver(record.ino, inode);
        if (written.changes.length > 0) {
          const { path, ino } = record;
          yield { path, ino, type: inode.type, ...written, strays: [], missing: [], replacedBy: undefined };
        }
      }
    }
  }

  #at(root: number, path: readonly string[], folders: Map<string, number | undefined>): number | undefined {
    const above = path.slice(0, -1);
    const key = above.join('/');
    let folder = folders.get(key);
    if (!folders.has(key)) {
      folder = root;
      for (const name of above) folder = folder === undefined ? undefined : this.#tree.lookup(folder, name)?.ino;
      folders.set(key, folder);
    }
    return folder === undefined ? undefined : this.#tree.lookup(folder, path.at(-1) ?? '')?.ino;
  }

  #hasPlannedTime(ino: number, inode: Inode): boolean {
    const { plannedMtime } = inode;
    if (inode.type !== 'file' || plannedMtime === undefined) return true;
    const { mtime } = this.#overlay.contents.inUse(ino) ?? inode;
    return mtime.seconds === plannedMtime.seconds && mtime.nanoseconds === plannedMtime.nanoseconds;
  }

  async #writtenOver(ino: number, inode: Inode): Promise<Written> {
    const unchanged = { size: inode.size, plannedSize: inode.size, baseSize: inode.size };
    const nothing = { ...unchanged, writtenBytes: 0, writtenRanges: 0 };
    if (inode.type !== 'file' || inode.content === 'plain') return { ...nothing, changes: [] };
    if (inode.content === 'mapped') {
      return { ...nothing, changes: this.#hasPlannedTime(ino, inode) ? [] : ['touched'] };
    }
    let [bytes, ranges] = [0, 0];
    for await (const page of this.ranges(ino)) {
      ranges += page.length;
      for (const [offset, end] of page) bytes += end - offset;
    }
    const { size, baseEnd } = this.#overlay.contents.inUse(ino) ?? this.#tree.inode(ino) ?? inode;
    const plannedSize = this.#tree.extents(ino).length;
    const changes: Change[] = ranges > 0 ? ['written'] : [];
    if (size !== plannedSize || !(await this.#coversFrom(ino, baseEnd, plannedSize))) changes.push('resized');
    return { size, plannedSize, baseSize: baseEnd, writtenBytes: bytes, writtenRanges: ranges, changes };
  }

  /** Reports whether everything that a truncate has cut off was written since. */
  async #coversFrom(ino: number, from: number, end: number): Promise<boolean> {
    if (from >= end) return true;
    const content = await this.#overlay.contents.acquireMapped(ino);
    try {
      return content.blocks.hasAll(Math.floor(from / BLOCK_BYTES), Math.ceil(end / BLOCK_BYTES));
    } finally {
      this.#overlay.contents.release(content);
    }
  }

  async *#ofNames(
    folder: number,
    above: readonly string[],
    planned: Planned,
  ): AsyncGenerator<Difference, void, undefined> {
    for await (const page of this.#tree.readdir(folder)) {
      for (const { name, ino, type } of page) {
        const at = { parent: folder, name, path: [...above, name] };
        if (type === 'directory') {
          if (!planned.folders.has(at.path.join('/'))) yield made(ino, type, at, 0);
          yield* this.#ofNames(ino, at.path, planned);
          continue;
        }
        const suspect = planned.suspects.get(ino);
        if (suspect !== undefined) {
          if (!suspect.own.some((path) => isSame(path, at.path))) suspect.strays.push(at);
        } else if (!planned.inodes.has(ino) && this.#isMade(ino) && !this.#replaces(ino, at, planned)) {
          yield made(ino, type, at, this.#sizeOf(ino));
        }
      }
    }
  }

  #isMade(ino: number): boolean {
    const inode = this.#tree.inode(ino);
    // A file of the torrent that was adopted since its place was listed is mapped.
    return inode !== undefined && (inode.type !== 'file' || inode.content === 'plain');
  }

  /** Notes the file that has the name of a deleted file. */
  #replaces(ino: number, at: Stray, planned: Planned): boolean {
    if (planned.deleted.size === 0 || this.#tree.inode(ino)?.type !== 'file') return false;
    const suspect = planned.deleted.get(at.path.join('/'));
    if (suspect === undefined) return false;
    suspect.replacedBy = { ino, at };
    return true;
  }

  #sizeOf(ino: number): number {
    const inode = this.#tree.inode(ino);
    return inode?.type === 'file' ? this.#overlay.files.sizeOf(ino) : 0;
  }

  async #ofSuspect(ino: number, { record, inode, missing, strays, replacedBy }: Suspect): Promise<Difference> {
    const written = await this.#writtenOver(ino, inode);
    const name: Change = inode.nlink > 0 ? 'moved' : replacedBy === undefined ? 'deleted' : 'replaced';
    const size = replacedBy === undefined ? written.size : this.#sizeOf(replacedBy.ino);
    return {
      path: record.path,
      ino,
      type: inode.type,
      ...written,
      ...(replacedBy === undefined ? {} : { size, writtenBytes: size, writtenRanges: size === 0 ? 0 : 1 }),
      changes: [name, ...written.changes],
      strays,
      missing,
      replacedBy,
    };
  }
}

/** The difference of a deleted symlink of the torrent, of which nothing is left. */
function gone({ path, ino }: FileRecord): Difference {
  const nothing = { size: 0, plannedSize: 0, baseSize: 0, writtenBytes: 0, writtenRanges: 0 };
  return {
    path,
    ino,
    type: 'symlink',
    changes: ['deleted'],
    ...nothing,
    strays: [],
    missing: [path],
    replacedBy: undefined,
  };
}

function made(ino: number, type: InodeType, at: Stray, size: number): Difference {
  return {
    path: at.path,
    ino,
    type,
    changes: ['made'],
    size,
    plannedSize: undefined,
    baseSize: 0,
    writtenBytes: size,
    writtenRanges: size === 0 ? 0 : 1,
    strays: [at],
    missing: [],
    replacedBy: undefined,
  };
}

/** Adds the folders that contain a path; a known folder's parents are known already. */
function noteFolders(path: readonly string[], folders: Set<string>): void {
  for (let depth = path.length - 1; depth > 0; depth--) {
    const folder = path.slice(0, depth).join('/');
    if (folders.has(folder)) return;
    folders.add(folder);
  }
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i]);
}
