/**
 * Listings of open directories, as the kernel reads them: in replies of a few KiB, each from the offset of a name.
 *
 * An offset is 0 at the start, 1 after `.`, 2 after `..`, and then two more than the vfs's offset. Names come from the vfs in
 * pages, which hold more than a reply. A directory keeps the rest of its page, so that the next reply goes on without asking.
 * Offset 0 begins anew (rewinddir(3)), and shows names that were made since.
 */
import type { Dentry, Operations } from '../../vfs/operations.ts';

/** The offset of the vfs's first name. */
const DOTS = 2;

export class OpenDirectory {
  readonly #operations: Pick<Operations, 'readdir'>;
  readonly #handle: number;
  readonly #ino: number;
  readonly #parent: number;
  /** Names that the vfs gave, and the place of the next one in it. */
  #page: readonly Dentry[] = [];
  #next = 0;
  /** The offset of the next name in the page. */
  #at = 0;
  #turn: Promise<unknown> = Promise.resolve();

  /** `handle`: of `Operations.opendir`. */
  constructor(
    operations: Pick<Operations, 'readdir'>,
    handle: number,
    { ino, parent }: { ino: number; parent: number },
  ) {
    this.#operations = operations;
    this.#handle = handle;
    this.#ino = ino;
    this.#parent = parent;
  }

  /**
   * Gives the names after `offset` to `add`, one after the other, until it returns false (no room) or there are none. Calls
   * take turns, since they share a page.
   * @throws EBADF, EINVAL for an offset that was never given
   */
  async list(offset: number, add: (dentry: Dentry) => boolean | Promise<boolean>): Promise<void> {
    const listing = this.#turn.then(async () => await this.#list(offset, add));
    this.#turn = listing.catch(() => {});
    await listing;
  }

  async #list(offset: number, add: (dentry: Dentry) => boolean | Promise<boolean>): Promise<void> {
    if (offset === 0 || offset !== this.#at) {
      this.#page = [];
      this.#next = 0;
      this.#at = offset;
    }
    for (;;) {
      const dentry = await this.#peek();
      if (dentry === undefined || !(await add(dentry))) return;
      if (this.#at >= DOTS) this.#next++;
      this.#at = dentry.offset;
    }
  }

  async #peek(): Promise<Dentry | undefined> {
    if (this.#at === 0) return { name: '.', ino: this.#ino, type: 'directory', offset: 1 };
    if (this.#at === 1) return { name: '..', ino: this.#parent, type: 'directory', offset: DOTS };
    if (this.#next === this.#page.length) {
      this.#page = [];
      this.#next = 0;
      for await (const page of this.#operations.readdir(this.#handle, this.#at - DOTS)) {
        this.#page = page;
        if (page.length > 0) break;
      }
    }
    const dentry = this.#page[this.#next];
    return dentry === undefined ? undefined : { ...dentry, offset: dentry.offset + DOTS };
  }
}
