/** The handle table: the numbers by which the kernel knows open files and directories. */
import { constants } from 'node:fs';
import { PosixError } from '../errors.ts';
import type { OpenInode } from './open-file.ts';

export interface FileHandle {
  readonly kind: 'file';
  readonly open: OpenInode;
  /** O_SYNC, O_DSYNC: each write reaches the disk before it returns. */
  readonly synced: boolean;
  /** O_RDONLY, without O_TRUNC. */
  readonly readsOnly: boolean;
}

export interface DirectoryHandle {
  readonly kind: 'directory';
  readonly ino: number;
  /** The listed names in order; an offset is the number of names before it. */
  readonly listed: string[];
}

const O_ACCMODE = constants.O_RDONLY | constants.O_WRONLY | constants.O_RDWR;

/** The largest handle: 31 bits, for drivers that read handles as signed. */
const LARGEST = 0x7fff_ffff;

export class Handles {
  readonly #handles = new Map<number, FileHandle | DirectoryHandle>();
  #last = 0;

  get openFiles(): number {
    let files = 0;
    for (const { kind } of this.#handles.values()) if (kind === 'file') files++;
    return files;
  }

  /** Adds a handle of an open file; `flags` as in open(2). */
  addFile(open: OpenInode, flags: number): number {
    const synced = (flags & (constants.O_SYNC | constants.O_DSYNC)) !== 0;
    const readsOnly = (flags & (O_ACCMODE | constants.O_TRUNC)) === constants.O_RDONLY;
    return this.#add({ kind: 'file', open, synced, readsOnly });
  }

  addDirectory(ino: number): number {
    return this.#add({ kind: 'directory', ino, listed: [] });
  }

  #add(handle: FileHandle | DirectoryHandle): number {
    // Never 0, which fuse-native takes for no handle, and never a number in use.
    do this.#last = (this.#last % LARGEST) + 1;
    while (this.#handles.has(this.#last));
    this.#handles.set(this.#last, handle);
    return this.#last;
  }

  /** @throws EBADF */
  file(handle: number): FileHandle {
    const found = this.#handles.get(handle);
    if (found?.kind !== 'file') throw new PosixError('EBADF');
    return found;
  }

  /** @throws EBADF */
  directory(handle: number): DirectoryHandle {
    const found = this.#handles.get(handle);
    if (found?.kind !== 'directory') throw new PosixError('EBADF');
    return found;
  }

  remove(handle: number): void {
    this.#handles.delete(handle);
  }

  clear(): void {
    this.#handles.clear();
  }
}
