/** The numbers that the kernel knows open files and directories by. */
import { constants } from 'node:fs';
import { PosixError } from '../errors.ts';
import type { OpenInode } from './open-file.ts';

export interface FileHandle {
  readonly kind: 'file';
  readonly open: OpenInode;
  /** O_SYNC, O_DSYNC: each write is on the disk when it ends. */
  readonly synced: boolean;
}

export interface DirectoryHandle {
  readonly kind: 'directory';
  readonly ino: number;
  /** The names that were listed, in their order: an offset is how many lie before it. */
  readonly listed: string[];
}

/** Handles have 31 bits, for drivers that take them for signed. */
const LARGEST = 0x7fff_ffff;

export class Handles {
  readonly #handles = new Map<number, FileHandle | DirectoryHandle>();
  #last = 0;

  get openFiles(): number {
    let files = 0;
    for (const { kind } of this.#handles.values()) if (kind === 'file') files++;
    return files;
  }

  /** `flags` as open(2) has them. */
  addFile(open: OpenInode, flags: number): number {
    return this.#add({ kind: 'file', open, synced: (flags & (constants.O_SYNC | constants.O_DSYNC)) !== 0 });
  }

  addDirectory(ino: number): number {
    return this.#add({ kind: 'directory', ino, listed: [] });
  }

  #add(handle: FileHandle | DirectoryHandle): number {
    // Never 0 (which fuse-native takes for none), and never one that is in use.
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
