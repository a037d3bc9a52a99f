/**
 * Deletes the parts of an entry, in slices. No name leads to them by now: nobody sees them go, and after a crash the
 * intent leads to the rest. A folder is deleted after its contents, so that the rest can always be walked.
 */

import type { Overlay } from '../overlay/overlay.ts';
import { type Database, del, type Write } from '../records/database.ts';
import { aliasesOf, direntKey, filesOf, lastNumber, orphanKey, usesOf } from '../records/key.ts';
import { decodeFile, type Inode } from '../records/record.ts';
import type { Sources } from '../sources/sources.ts';
import type { NamedDirent, Tree } from './tree.ts';

const SLICE = 500;

export class Removal {
  readonly #db: Database;
  readonly #tree: Tree;
  readonly #sources: Sources;
  readonly #overlay: Overlay;
  readonly #stopped: () => boolean;

  /** Ends early once `stopped` returns true; the rest is left for the next start. */
  constructor(db: Database, tree: Tree, sources: Sources, overlay: Overlay, stopped: () => boolean) {
    this.#db = db;
    this.#overlay = overlay;
    this.#tree = tree;
    this.#sources = sources;
    this.#stopped = stopped;
  }

  /** Deletes an entry's parts. True when nothing is left but the intent. */
  async run(entry: number, root: number): Promise<boolean> {
    await this.#removeTree(root);
    if (this.#stopped()) return false;
    for await (const page of this.#db.pages(filesOf(entry), SLICE)) {
      if (this.#stopped()) return false;
      await this.#db.exclusive(async () => {
        // Whiteouts: no name leads to them.
        const inodes = [...new Set(page.map(([, value]) => decodeFile(value).ino))];
        const gone: (readonly [number, Inode])[] = [];
        for (const ino of inodes) {
          const inode = this.#tree.inode(ino);
          if (inode?.nlink === 0) gone.push([ino, inode]);
        }
        const writes: Write[] = page.map(([key]) => del(key));
        await this.#commit(writes, gone);
      });
    }
    for await (const page of this.#db.pages(aliasesOf(entry), SLICE)) {
      if (this.#stopped()) return false;
      const writes = page.map(([key]) => del(key));
      await this.#db.exclusive(async () => await this.#db.commit(writes, { needed: true }));
    }
    for await (const page of this.#db.pages(usesOf(entry), SLICE)) {
      if (this.#stopped()) return false;
      await this.#sources.release(
        page.map(([key]) => lastNumber(key)),
        entry,
      );
    }
    return !this.#stopped();
  }

  /** Deletes children before their folder, so that after a crash at any batch a walk finds all that is left. */
  async #removeTree(root: number): Promise<void> {
    const [pending, parents]: [NamedDirent[], number[]] = [[], []];
    await this.#empty(root, pending, parents);
    if (this.#stopped()) return;
    await this.#unlink(pending, parents);
    const inode = this.#tree.inode(root);
    if (inode === undefined) return;
    await this.#db.exclusive(async () => await this.#db.commit(this.#tree.deleting(root, inode), { needed: true }));
    this.#tree.forget([root]);
  }

  async #empty(ino: number, pending: NamedDirent[], parents: number[]): Promise<void> {
    for await (const page of this.#tree.readdir(ino)) {
      for (const dirent of page) {
        if (this.#stopped()) return;
        if (dirent.type === 'directory') await this.#empty(dirent.ino, pending, parents);
        if (this.#stopped()) return;
        pending.push(dirent);
        parents.push(ino);
        if (pending.length >= SLICE) await this.#unlink(pending, parents);
      }
    }
  }

  /** Deletes dirents, in their order, and the inodes without another name; empties both lists. */
  async #unlink(dirents: NamedDirent[], parents: number[]): Promise<void> {
    await this.#db.exclusive(async () => {
      const writes: Write[] = [];
      const changed = new Map<number, Inode>();
      for (const [i, { ino, name, type }] of dirents.entries()) {
        writes.push(del(direntKey(parents[i] ?? 0, name)));
        const inode = changed.get(ino) ?? this.#tree.inode(ino);
        if (inode !== undefined) changed.set(ino, { ...inode, nlink: type === 'directory' ? 0 : inode.nlink - 1 });
      }
      const gone = [...changed].filter(([, inode]) => inode.nlink <= 0);
      for (const [ino, inode] of changed) if (inode.nlink > 0) writes.push(this.#tree.writing(ino, inode));
      await this.#commit(writes, gone);
      this.#tree.forget(changed.keys());
    });
    dirents.length = 0;
    parents.length = 0;
  }

  /** Commits the writes together with the deletion of inodes and of all that they have in the overlay. */
  async #commit(writes: Write[], gone: readonly (readonly [number, Inode])[]): Promise<void> {
    const freed: number[] = [];
    for (const [ino, inode] of gone) {
      const overlay = await this.#overlay.deleting(ino, inode);
      if (overlay.length > 0) freed.push(ino);
      writes.push(...overlay, ...this.#tree.deleting(ino, inode), del(orphanKey(ino)));
      writes.push(...this.#tree.whiteouts.writes(ino, this.#tree.inode(ino), undefined));
    }
    await this.#db.commit(writes, { needed: true });
    this.#tree.forget(gone.map(([ino]) => ino));
    for (const ino of freed) this.#overlay.freed(ino);
  }
}
