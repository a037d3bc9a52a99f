/** A decorator that counts the operations of another `Operations`, for `status`. */
import { posixErrorOf } from '../errors.ts';
import type { LendingAbility } from './lending/lending.ts';
import type {
  AttributeChanges,
  Attributes,
  BackingAbility,
  Caller,
  FileType,
  MaybePromise,
  Operations,
  PathAbility,
} from './operations.ts';

/** Counts since the start. */
export interface Counts {
  readonly opens: number;
  readonly reads: number;
  readonly bytesRead: number;
  readonly writes: number;
  readonly bytesWritten: number;
  /** Operations on files that failed with EIO or for lack of space. */
  readonly errors: number;
}

export class CountedOperations implements Operations {
  readonly #inner: Operations;
  readonly #counts = { opens: 0, reads: 0, bytesRead: 0, writes: 0, bytesWritten: 0, errors: 0 };
  /** Once a driver has asked for it. */
  #lending: LendingAbility | undefined;
  readonly watchStale: NonNullable<Operations['watchStale']>;
  readonly getxattr: Operations['getxattr'];
  readonly killSetIds: Operations['killSetIds'];
  readonly generation: Operations['generation'];
  readonly longestName: Operations['longestName'];
  readonly parentOf: Operations['parentOf'];
  readonly seek: Operations['seek'];
  readonly isCachedBelow: Operations['isCachedBelow'];

  constructor(inner: Operations) {
    this.#inner = inner;
    this.watchStale = (listener) => inner.watchStale?.(listener) ?? ((): void => {});
    this.getxattr = inner.getxattr?.bind(inner);
    this.killSetIds = inner.killSetIds?.bind(inner);
    this.generation = inner.generation;
    this.longestName = inner.longestName?.bind(inner);
    this.parentOf = inner.parentOf?.bind(inner);
    this.seek = inner.seek?.bind(inner);
    this.isCachedBelow = inner.isCachedBelow?.bind(inner);
  }

  get counts(): Counts {
    const { reads, bytes } = this.#lending?.counts ?? { reads: 0, bytes: 0 };
    const counts = this.#counts;
    return { ...counts, reads: counts.reads + reads, bytesRead: counts.bytesRead + bytes };
  }

  get backing(): BackingAbility | undefined {
    return this.#inner.backing;
  }

  get lending(): LendingAbility | undefined {
    this.#lending ??= this.#inner.lending;
    return this.#lending;
  }

  get paths(): PathAbility | undefined {
    return this.#inner.paths;
  }

  /** Runs `work` and counts its result or its failure. */
  #observe<T>(work: () => MaybePromise<T>, ended?: (result: T) => void): MaybePromise<T> {
    let result: MaybePromise<T>;
    try {
      result = work();
    } catch (error) {
      throw this.#failed(error);
    }
    if (result instanceof Promise) return this.#observeWaiting(result, ended);
    ended?.(result);
    return result;
  }

  async #observeWaiting<T>(working: Promise<T>, ended?: (result: T) => void): Promise<T> {
    try {
      const result = await working;
      ended?.(result);
      return result;
    } catch (error) {
      throw this.#failed(error);
    }
  }

  #failed(error: unknown): unknown {
    // Any error that is no PosixError becomes EIO.
    const code = posixErrorOf(error)?.code ?? 'EIO';
    if (code === 'EIO' || code === 'ENOSPC' || code === 'EDQUOT') this.#counts.errors++;
    return error;
  }

  open(ino: number, flags: number): MaybePromise<number> {
    this.#counts.opens++;
    return this.#observe(() => this.#inner.open(ino, flags));
  }

  read(handle: number, buffer: Buffer, position: number): MaybePromise<number> {
    this.#counts.reads++;
    return this.#observe(
      () => this.#inner.read(handle, buffer, position),
      (bytes) => {
        this.#counts.bytesRead += bytes;
      },
    );
  }

  write(handle: number, buffer: Buffer, position: number): MaybePromise<number> {
    this.#counts.writes++;
    return this.#observe(
      () => this.#inner.write(handle, buffer, position),
      (bytes) => {
        this.#counts.bytesWritten += bytes;
      },
    );
  }

  lookup(parent: number, name: string): MaybePromise<Attributes> {
    return this.#inner.lookup(parent, name);
  }

  getattr(ino: number): MaybePromise<Attributes> {
    return this.#inner.getattr(ino);
  }

  setattr(ino: number, changes: AttributeChanges): MaybePromise<Attributes> {
    return this.#observe(() => this.#inner.setattr(ino, changes));
  }

  opendir(ino: number): MaybePromise<number> {
    return this.#inner.opendir(ino);
  }

  readdir(handle: number, offset: number): ReturnType<Operations['readdir']> {
    return this.#inner.readdir(handle, offset);
  }

  releasedir(handle: number): MaybePromise<void> {
    return this.#inner.releasedir(handle);
  }

  readlink(ino: number): MaybePromise<string> {
    return this.#inner.readlink(ino);
  }

  create(parent: number, name: string, mode: number, flags: number, caller?: Caller): ReturnType<Operations['create']> {
    return this.#observe(() => this.#inner.create(parent, name, mode, flags, caller));
  }

  mknod(
    parent: number,
    name: string,
    type: FileType,
    mode: number,
    rdev: number,
    caller?: Caller,
  ): MaybePromise<Attributes> {
    return this.#observe(() => this.#inner.mknod(parent, name, type, mode, rdev, caller));
  }

  mkdir(parent: number, name: string, mode: number, caller?: Caller): MaybePromise<Attributes> {
    return this.#observe(() => this.#inner.mkdir(parent, name, mode, caller));
  }

  symlink(parent: number, name: string, target: string, caller?: Caller): MaybePromise<Attributes> {
    return this.#observe(() => this.#inner.symlink(parent, name, target, caller));
  }

  link(ino: number, parent: number, name: string): MaybePromise<Attributes> {
    return this.#inner.link(ino, parent, name);
  }

  unlink(parent: number, name: string): MaybePromise<void> {
    return this.#inner.unlink(parent, name);
  }

  rmdir(parent: number, name: string): MaybePromise<void> {
    return this.#inner.rmdir(parent, name);
  }

  rename(parent: number, name: string, newParent: number, newName: string, flags?: number): MaybePromise<void> {
    return this.#inner.rename(parent, name, newParent, newName, flags);
  }

  flush(handle: number): MaybePromise<void> {
    return this.#inner.flush(handle);
  }

  fsync(handle: number, dataOnly: boolean): MaybePromise<void> {
    return this.#observe(() => this.#inner.fsync(handle, dataOnly));
  }

  fsyncdir(ino: number): MaybePromise<void> {
    return this.#inner.fsyncdir(ino);
  }

  fallocate(handle: number, mode: number, offset: number, length: number): MaybePromise<void> {
    return this.#observe(() => this.#inner.fallocate(handle, mode, offset, length));
  }

  release(handle: number): MaybePromise<void> {
    return this.#inner.release(handle);
  }

  statfs(): ReturnType<Operations['statfs']> {
    return this.#inner.statfs();
  }
}
