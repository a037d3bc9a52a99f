/**
 * Which inodes are open, once each however often they are opened, and what waits for what: an inode that is being deleted is
 * not opened any more, one that is being changed from the side later, and one that lost its last name ends with its last user.
 */
import { close } from 'node:fs';
import { PosixError } from '../errors.ts';
import type { Content } from '../store/overlay/content.ts';
import type { Quiet } from '../store/overlay/discard.ts';
import type { Store } from '../store/store.ts';
import type { Uses } from '../store/tree/namespace.ts';
import { OpenFile } from './open-file.ts';
import type { MaybePromise } from './operations.ts';
import type { Reading } from './reading.ts';

export interface OpenFilesOptions {
  readonly store: Store;
  readonly reading: Reading;
  /** Every error goes through it, and what it gives is thrown. */
  readonly counted: (error: unknown) => unknown;
  /** Told of the id of each entry whose bytes are changed from the side. */
  readonly onChange: (entry: number) => void;
}

export class OpenFiles {
  readonly #store: Store;
  readonly #options: OpenFilesOptions;
  readonly #files = new Map<number, OpenFile>();
  /** Inodes whose deletion is being recorded. */
  readonly #doomed = new Set<number>();
  /** How many calls wait for what they need to open an inode. */
  readonly #opening = new Map<number, number>();
  /** Inodes that are being changed by other ways than through the mount: who opens one waits for that. */
  readonly #held = new Map<number, Promise<void>>();

  constructor(options: OpenFilesOptions) {
    this.#store = options.store;
    this.#options = options;
  }

  /** Undefined where it is not open. */
  get(ino: number): OpenFile | undefined {
    return this.#files.get(ino);
  }

  /** Of an inode that was just made: open, with one user. */
  made(ino: number, descriptor: number | undefined): OpenFile {
    const file = new OpenFile(ino, undefined, descriptor);
    file.users = 1;
    this.#files.set(ino, file);
    return file;
  }

  /** Also when somebody is about to have it open. */
  isOpen(ino: number): boolean {
    return this.#files.has(ino) || this.#opening.has(ino);
  }

  /** For what changes files from the side (`overlay discard`). */
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
    changed: (entry) => this.#options.onChange(entry),
  };

  /** The open file of an inode, with one user more. @throws ENOENT, EIO */
  use(ino: number): MaybePromise<OpenFile> {
    const held = this.#held.get(ino);
    if (held !== undefined) return held.then(() => this.use(ino));
    if (this.#doomed.has(ino)) throw new PosixError('ENOENT');
    const known = this.#files.get(ino);
    if (known !== undefined) {
      known.users++;
      return known;
    }
    const inode = this.#store.inode(ino);
    if (inode === undefined || inode.nlink === 0) throw new PosixError('ENOENT');
    if (inode.content === 'plain') {
      try {
        return this.#opened(new OpenFile(ino, undefined, this.#store.overlay.files.open(ino)));
      } catch (error) {
        throw this.#options.counted(new PosixError('EIO', `the overlay file of inode ${ino} cannot be opened`, error));
      }
    }
    const content = this.#store.overlay.acquire(ino);
    return content instanceof Promise
      ? this.#openLoaded(ino, content)
      : this.#opened(new OpenFile(ino, content, undefined));
  }

  async #openLoaded(ino: number, loading: Promise<Content>): Promise<OpenFile> {
    this.#opening.set(ino, (this.#opening.get(ino) ?? 0) + 1);
    try {
      return this.#opened(new OpenFile(ino, await loading, undefined));
    } finally {
      const others = (this.#opening.get(ino) ?? 1) - 1;
      if (others === 0) this.#opening.delete(ino);
      else this.#opening.set(ino, others);
    }
  }

  #opened(file: OpenFile): OpenFile {
    const known = this.#files.get(file.ino);
    if (known !== undefined) {
      // Opened by another call while this one waited.
      if (file.content !== undefined) this.#store.overlay.release(file.content);
      known.users++;
      return known;
    }
    const { content } = file;
    try {
      // Deleted with its entry while its blocks were being loaded. One that lost its last name is open since before that.
      if (this.#store.inode(file.ino) === undefined) throw new PosixError('ENOENT');
      if (content?.overlaid === true) this.#overlayDescriptor(content);
    } catch (error) {
      this.#close(file);
      throw this.#options.counted(error);
    }
    file.users = 1;
    this.#files.set(file.ino, file);
    return file;
  }

  #overlayDescriptor(content: Content): void {
    try {
      this.#store.overlay.descriptor(content);
    } catch (error) {
      throw new PosixError('EIO', `the overlay file of inode ${content.ino} cannot be opened`, error);
    }
  }

  /** Has an inode open for as long as `work` takes. */
  async using<T>(ino: number, work: (file: OpenFile) => Promise<T>): Promise<T> {
    const file = await this.use(ino);
    try {
      return await work(file);
    } catch (error) {
      throw this.#options.counted(error);
    } finally {
      await this.leave(file);
    }
  }

  /** One user less; the last one closes the file, and ends it where it has no name any more. */
  leave(file: OpenFile): MaybePromise<void> {
    file.users--;
    if (file.users > 0) return undefined;
    this.#files.delete(file.ino);
    this.#close(file);
    if (this.#store.inode(file.ino)?.nlink !== 0) return undefined;
    return this.dooming(async (uses) => await this.#store.names.lastClose(file.ino, uses));
  }

  #close(file: OpenFile): void {
    this.#options.reading.unbind(file);
    for (const fd of file.takeDescriptors()) close(fd);
    if (file.content !== undefined) this.#store.overlay.release(file.content);
  }

  /** Runs what may delete inodes. */
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

  /** After the unmount: closes what programs left open. */
  close(): void {
    for (const file of this.#files.values()) this.#close(file);
    this.#files.clear();
  }
}
