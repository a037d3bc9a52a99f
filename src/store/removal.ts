/**
 * Deleting what an entry was made of, in slices. It hangs from nowhere by now: nobody sees it go, and what a crash
 * leaves is found by the intent. Folders go after what they hold, so that the rest can always be walked.
 */
import { type Database, del, type Write } from './database.ts';
import { direntKey, filesOf, lastNumber, usesOf } from './key.ts';
import type { Inode } from './record.ts';
import type { Sources } from './sources.ts';
import type { NamedDirent, Tree } from './tree.ts';

const SLICE = 500;

export class Removal {
  readonly #db: Database;
  readonly #tree: Tree;
  readonly #sources: Sources;
  readonly #stopped: () => boolean;

  /** Ends early, with the rest left for the next start, once `stopped` says so. */
  constructor(db: Database, tree: Tree, sources: Sources, stopped: () => boolean) {
    this.#db = db;
    this.#tree = tree;
    this.#sources = sources;
    this.#stopped = stopped;
  }

  /** True when nothing is left of it but the intent. */
  async run(entry: number, root: number): Promise<boolean> {
    await this.#removeTree(root);
    for await (const page of this.#db.pages(filesOf(entry), SLICE)) {
      if (this.#stopped()) return false;
      await this.#db.exclusive(async () => await this.#db.commit(page.map(([key]) => del(key))));
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

  async #removeTree(root: number): Promise<void> {
    const trail: { ino: number; parent: number; name: string }[] = [{ ino: root, parent: 0, name: '' }];
    for (let here = trail.at(-1); here !== undefined && !this.#stopped(); here = trail.at(-1)) {
      const { ino, parent, name } = here;
      const page = await this.#firstPage(ino);
      const folders = page.filter((dirent) => dirent.type === 'directory');
      await this.#db.exclusive(async () => {
        await this.#unlink(
          ino,
          page.filter((dirent) => dirent.type !== 'directory'),
        );
      });
      if (page.length === 0) {
        trail.pop();
        const inode = this.#tree.inode(ino);
        const writes = inode === undefined ? [] : this.#tree.deleting(ino, inode);
        if (name !== '') writes.push(del(direntKey(parent, name)));
        await this.#db.exclusive(async () => await this.#db.commit(writes));
        this.#tree.forget([ino]);
      }
      for (const folder of folders) trail.push({ ino: folder.ino, parent: ino, name: folder.name });
    }
  }

  async #firstPage(ino: number): Promise<NamedDirent[]> {
    for await (const page of this.#tree.readdir(ino)) return page;
    return [];
  }

  async #unlink(parent: number, dirents: readonly NamedDirent[]): Promise<void> {
    if (dirents.length === 0) return;
    const writes: Write[] = [];
    const changed = new Map<number, Inode>();
    for (const { ino, name } of dirents) {
      writes.push(del(direntKey(parent, name)));
      const inode = changed.get(ino) ?? this.#tree.inode(ino);
      if (inode !== undefined) changed.set(ino, { ...inode, nlink: inode.nlink - 1 });
    }
    for (const [ino, inode] of changed) {
      if (inode.nlink > 0) writes.push(this.#tree.writing(ino, inode));
      else writes.push(...this.#tree.deleting(ino, inode));
    }
    await this.#db.commit(writes);
    this.#tree.forget(changed.keys());
  }
}
