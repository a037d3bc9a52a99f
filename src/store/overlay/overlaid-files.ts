/**
 * The torrent's files that have an overlay file, by entry. It is read from the keys of overlay files when it is first asked for, and
 * follows from then on.
 */
import type { Database } from '../records/database.ts';
import { lastNumber, OVERLAYS } from '../records/key.ts';
import type { Tree } from '../tree/tree.ts';
import { isOfTorrent } from '../tree/whiteouts.ts';

export class OverlaidFiles {
  readonly #db: Database;
  readonly #tree: Tree;
  readonly #inodes = new Map<number, Set<number>>();
  readonly #entries = new Map<number, number>();
  #loading: Promise<void> | undefined;

  constructor(db: Database, tree: Tree) {
    this.#db = db;
    this.#tree = tree;
  }

  /** Gives the inodes of an entry. Some may have lost their overlay file meanwhile. */
  async of(entry: number): Promise<ReadonlySet<number>> {
    this.#loading ??= this.#load();
    await this.#loading;
    return new Set(this.#inodes.get(entry));
  }

  added(entry: number, ino: number): void {
    const inodes = this.#inodes.get(entry) ?? new Set();
    this.#inodes.set(entry, inodes.add(ino));
    this.#entries.set(ino, entry);
  }

  removed(ino: number): void {
    const entry = this.#entries.get(ino);
    if (entry === undefined) return;
    this.#entries.delete(ino);
    const inodes = this.#inodes.get(entry);
    inodes?.delete(ino);
    if (inodes?.size === 0) this.#inodes.delete(entry);
  }

  async #load(): Promise<void> {
    for await (const page of this.#db.pages(OVERLAYS)) {
      for (const [key] of page) {
        const ino = lastNumber(key);
        const inode = this.#tree.inode(ino);
        if (inode?.content === 'overlaid' && isOfTorrent(inode)) this.added(inode.entry, ino);
      }
    }
  }
}
