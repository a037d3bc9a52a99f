/**
 * The table of open inodes: one `OpenInode` for each file, shared by all its handles, and a count for each directory.
 *
 * An inode that is being deleted cannot be opened. One that is being changed from the side is opened afterwards. One
 * that lost its last name is deleted when its last user leaves.
 */
import { PosixError } from '../errors.ts';
import type { Content } from '../store/overlay/content.ts';
import type { Quiet } from '../store/overlay/discard.ts';
import type { Store } from '../store/store.ts';
import type { Uses } from '../store/tree/namespace.ts';
import { OpenInode, openFileOf } from './open-file.ts';
import type { MaybePromise } from './operations.ts';
import type { Reading } from './reading.ts';

export class OpenFiles {
  readonly #store: Store;
  readonly #reading: Reading;
  readonly #inodes = new Map<number, OpenInode>();
  /** The number of handles of each open directory. */
  readonly #directories = new Map<number, number>();
  /** Inodes whose deletion is being recorded. */
  readonly #doomed = new Set<number>();
  /** For each inode, the number of calls that are waiting to open it. */
  readonly #opening = new Map<number, number>();
  /** Inodes that are being changed other than through the mount; an open waits for the promise. */
  readonly #held = new Map<number, Promise<void>>();

  constructor(store: Store, reading: Reading) {
    this.#store = store;
    this.#reading = reading;
  }

  /** Reports whether a file is open or about to be opened. */
  isOpen(ino: number): boolean {
    return this.#inodes.has(ino) || this.#opening.has(ino) || this.#directories.has(ino);
  }

  /** Lists the open files that read from one of `sources`. */
  *readingFrom(sources: ReadonlySet<number>): Generator<number, void, undefined> {
    for (const { ino, file } of this.#inodes.values()) {
      if (file.kind !== 'mapped') continue;
      for (const id of file.bound.keys()) {
        if (!sources.has(id)) continue;
        yield ino;
        break;
      }
    }
  }

  /** Keeps files from being opened while they are changed from the side (`overlay discard`). */
  readonly quiet: Quiet = {
    isOpen: (ino) => this.isOpen(ino),
    hold: (inodes) => {
      let release = (): void => {};
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      for (const ino of inodes) this.#held.set(ino, released);
      return () => {
        for (const ino of inodes) if (this.#held.get(ino) === released) this.#held.delete(ino);
        release();
      };
    },
  };

  /** Adds an inode that was just made, with one user; `content` already counts that user. */
  made(content: Content): OpenInode {
    return this.#opened(content);
  }

  /** Opens a file, or adds a user to its open inode. @throws ENOENT, EIO */
  use(ino: number): MaybePromise<OpenInode> {
    const held = this.#held.get(ino);
    if (held !== undefined) return held.then(() => this.use(ino));
    this.#refuseGone(ino);
    const known = this.#inodes.get(ino);
    if (known !== undefined) return used(known);
    const content = this.#store.bytes.acquire(ino);
    return content instanceof Promise ? this.#openLoaded(ino, content) : this.#opened(content);
  }

  /** Refuses an inode that is being deleted, or has lost its last name and is not open. @throws ENOENT */
  #refuseGone(ino: number): void {
    if (this.#doomed.has(ino)) throw new PosixError('ENOENT');
    const inode = this.#store.inode(ino);
    if (inode === undefined || (inode.nlink === 0 && !this.isOpen(ino))) throw new PosixError('ENOENT');
  }

  async #openLoaded(ino: number, loading: Promise<Content>): Promise<OpenInode> {
    this.#opening.set(ino, (this.#opening.get(ino) ?? 0) + 1);
    try {
      return this.#opened(await loading);
    } finally {
      const others = (this.#opening.get(ino) ?? 1) - 1;
      if (others === 0) this.#opening.delete(ino);
      else this.#opening.set(ino, others);
    }
  }

  #opened(content: Content): OpenInode {
    const { ino } = content;
    const known = this.#inodes.get(ino);
    if (known !== undefined) {
      // Another call opened it while this one waited.
      this.#store.bytes.release(content);
      return used(known);
    }
    // It was deleted with its entry while its blocks were being loaded. An inode that lost its last name was open
    // before that.
    if (this.#store.inode(ino) === undefined) {
      this.#store.bytes.release(content);
      throw new PosixError('ENOENT');
    }
    const open = new OpenInode(openFileOf(content));
    this.#inodes.set(ino, open);
    return used(open);
  }

  /** Keeps a file open while `work` runs. */
  async using<T>(ino: number, work: (open: OpenInode) => Promise<T>): Promise<T> {
    const open = await this.use(ino);
    try {
      return await work(open);
    } finally {
      await this.leave(open);
    }
  }

  /** Removes a user. The last one closes the file, and deletes it if it has no name left. */
  leave(open: OpenInode): MaybePromise<void> {
    open.users--;
    if (open.users > 0) return undefined;
    this.#inodes.delete(open.ino);
    this.#close(open);
    return this.#endIfNameless(open.ino);
  }

  #close({ file }: OpenInode): void {
    file.content.loans.recall();
    if (file.kind === 'mapped') this.#reading.unbind(file);
    this.#store.bytes.release(file.content);
  }

  /** Makes a plain file mapped; its handles continue with the new content. */
  async becomeMapped(open: OpenInode): Promise<void> {
    const content = await this.#store.bytes.acquire(open.ino);
    const mapped = openFileOf(content);
    if (mapped.kind !== 'mapped') {
      this.#store.bytes.release(content);
      throw new PosixError('EIO', `inode ${open.ino} is no mapped file`);
    }
    this.#store.bytes.release(open.becomeMapped(mapped).content);
  }

  /** Adds a handle to a directory. @throws ENOENT */
  useDirectory(ino: number): MaybePromise<void> {
    const held = this.#held.get(ino);
    if (held !== undefined) return held.then(() => this.useDirectory(ino));
    this.#refuseGone(ino);
    this.#directories.set(ino, (this.#directories.get(ino) ?? 0) + 1);
    return undefined;
  }

  /** Removes a handle from a directory. The last one deletes it if it has no name left. */
  leaveDirectory(ino: number): MaybePromise<void> {
    const others = (this.#directories.get(ino) ?? 1) - 1;
    if (others > 0) {
      this.#directories.set(ino, others);
      return undefined;
    }
    this.#directories.delete(ino);
    return this.#endIfNameless(ino);
  }

  #endIfNameless(ino: number): MaybePromise<void> {
    if (this.#store.inode(ino)?.nlink !== 0) return undefined;
    return this.dooming(async (uses) => await this.#store.names.lastClose(ino, uses));
  }

  /** Runs work that may delete inodes. */
  async dooming(work: (uses: Uses) => Promise<void>): Promise<void> {
    const doomed: number[] = [];
    try {
      await work({
        isOpen: (ino) => this.isOpen(ino),
        doom: (ino) => {
          doomed.push(ino);
          this.#doomed.add(ino);
        },
      });
    } finally {
      for (const ino of doomed) this.#doomed.delete(ino);
    }
  }

  /** Closes the files that programs left open at the unmount. */
  close(): void {
    for (const open of this.#inodes.values()) this.#close(open);
    this.#inodes.clear();
    this.#directories.clear();
  }
}

function used(open: OpenInode): OpenInode {
  open.users++;
  return open;
}
