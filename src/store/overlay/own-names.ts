/**
 * Restores the names of files, for `overlay discard`: a file of the torrent gets its own names back and loses those
 * that clients gave it. Everything happens in a batch of the caller's.
 */
import { newFolder } from '../entries/creation.ts';
import type { StoredEntry } from '../entries/entry.ts';
import type { Database } from '../records/database.ts';
import type { Batch } from '../tree/batch.ts';
import type { Place } from '../tree/namespace.ts';
import type { Difference } from './differences.ts';

/** A file that could not get its name back, with the reason. */
export interface Kept {
  readonly path: string;
  readonly reason: string;
}

export class OwnNames {
  readonly kept: Kept[] = [];
  readonly #db: Database;
  readonly #entry: StoredEntry;
  /** Inodes that will give up names that others wait for. */
  readonly #leaving: ReadonlySet<number>;

  constructor(db: Database, entry: StoredEntry, leaving: ReadonlySet<number>) {
    this.#db = db;
    this.#entry = entry;
    this.#leaving = leaving;
  }

  /**
   * Makes a file's own names lead to it again, and no others. False if another file must still give up one of them; the
   * file waits, without a name if need be.
   */
  giveBack(batch: Batch, difference: Difference): boolean {
    const { ino, missing, strays } = difference;
    if (missing.length === 0) return true;
    if (!batch.has(ino)) {
      this.#keep(difference, 'nothing is known of it any more: add the torrent again');
      return true;
    }
    const held = missing.flatMap((path) => this.#holder(batch, path, ino) ?? []);
    if (held.some((holder) => !this.#leaving.has(holder))) {
      this.#keep(difference, 'its name belongs to another file now, which is not discarded');
      return true;
    }
    for (const stray of strays) this.#unlink(batch, ino, stray);
    if (held.length > 0) return false;
    for (const path of missing) this.#link(batch, ino, path);
    return true;
  }

  /** Does the same once all others have given up their names: a name that is still taken stays another's. */
  giveBackOrKeep(batch: Batch, difference: Difference): void {
    const { ino, missing, strays } = difference;
    if (!batch.has(ino)) return;
    const free = missing.filter((path) => this.#holder(batch, path, ino) === undefined);
    for (const path of free) this.#link(batch, ino, path);
    if (free.length === missing.length) return;
    const [stray] = strays;
    if (batch.inode(ino).nlink === 0 && stray !== undefined && this.#holder(batch, stray.path, ino) === undefined) {
      this.#link(batch, ino, stray.path);
    }
    this.#keep(difference, 'its name belongs to another file now');
  }

  #keep({ path }: Difference, reason: string): void {
    this.kept.push({ path: path.join('/'), reason });
  }

  /**
   * Finds the inode, other than `own`, that has a name, or that is not a folder but has the name of one of its folders.
   */
  #holder(batch: Batch, path: readonly string[], own: number): number | undefined {
    let at = this.#entry.ino;
    for (const [depth, name] of path.entries()) {
      const dirent = batch.lookup(at, name);
      if (dirent === undefined) return undefined;
      if (depth === path.length - 1) return dirent.ino === own ? undefined : dirent.ino;
      if (dirent.type !== 'directory') return dirent.ino;
      at = dirent.ino;
    }
    return undefined;
  }

  #unlink(batch: Batch, ino: number, { parent, name }: Place): void {
    if (batch.lookup(parent, name)?.ino !== ino) return;
    const inode = batch.inode(ino);
    batch.unlink(parent, name);
    batch.set(ino, { ...inode, nlink: inode.nlink - 1, ctime: batch.now });
  }

  /** Links an inode under a free name, and makes missing folders. */
  #link(batch: Batch, ino: number, path: readonly string[]): void {
    let parent = this.#entry.ino;
    for (const name of path.slice(0, -1)) {
      const found = batch.lookup(parent, name)?.ino;
      const folder = found ?? this.#db.take('ino');
      if (found === undefined) {
        batch.link(parent, name, { ino: folder, type: 'directory' });
        batch.set(folder, newFolder(batch.now, this.#entry.id, parent));
        batch.count(parent, 1);
      }
      parent = folder;
    }
    const name = path.at(-1) ?? '';
    if (batch.lookup(parent, name)?.ino === ino) return;
    const inode = batch.inode(ino);
    batch.link(parent, name, { ino, type: inode.type });
    batch.set(ino, { ...inode, nlink: inode.nlink + 1, ctime: batch.now });
  }
}
