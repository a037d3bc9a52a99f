/**
 * The folders below one folder, each opened by its name from the one above it, and never through a symlink. However deep and
 * wide the tree is, few descriptors are open at once: those in use, and some that were used last.
 */
import type { HeldFolder } from '../../native/held-folder.ts';

/** Folders that stay open although nobody uses them. Files come folder by folder, so a few are enough. */
const KEPT = 16;

/** Opens, or makes, the folder `name` in `parent`. `path`: its names from the root of the tree on. */
export type OpenFolder = (parent: HeldFolder, name: string, path: readonly string[]) => Promise<HeldFolder>;

interface Held {
  readonly folder: Promise<HeldFolder>;
  users: number;
}

export class FolderTree {
  readonly root: HeldFolder;
  readonly #open: OpenFolder;
  /** By path; the one that was used last is at the end. */
  readonly #held = new Map<string, Held>();

  /** The tree closes `root` when it is closed. */
  constructor(root: HeldFolder, open: OpenFolder) {
    this.root = root;
    this.#open = open;
  }

  /** Runs `work` with the folder at a path, which stays open meanwhile. Throws what opening it throws. */
  async within<T>(path: readonly string[], work: (folder: HeldFolder) => Promise<T>): Promise<T> {
    if (path.length === 0) return await work(this.root);
    const held = this.#take(path);
    try {
      return await work(await held.folder);
    } finally {
      held.users--;
      await this.#closeIdle(KEPT);
    }
  }

  /** Closes all folders. Nobody may use one. */
  async close(): Promise<void> {
    await this.#closeIdle(0);
    await this.root.close();
  }

  #take(path: readonly string[]): Held {
    const key = path.join('/');
    let held = this.#held.get(key);
    if (held === undefined) {
      const name = path.at(-1) ?? '';
      const folder = this.within(path.slice(0, -1), async (parent) => await this.#open(parent, name, path));
      held = { folder, users: 0 };
      // Whoever waits for it learns why.
      folder.catch(() => void this.#held.delete(key));
    }
    held.users++;
    this.#held.delete(key);
    this.#held.set(key, held);
    return held;
  }

  async #closeIdle(kept: number): Promise<void> {
    for (const [key, { folder, users }] of this.#held) {
      if (this.#held.size <= kept) return;
      if (users > 0) continue;
      this.#held.delete(key);
      await (await folder).close();
    }
  }
}
