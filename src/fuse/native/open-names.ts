/**
 * Keeps a file that has client names from being open under two of its names while one of them writes.
 *
 * libfuse 2 numbers files by their path, so the kernel has a page cache for each name: what is written under one name shows
 * under the other only when that is opened again, and of two shared maps of one page one loses what was written. A client
 * keeps to one name. Two clients that complete one entry under different names would not: the second one gets EBUSY.
 */
import { constants } from 'node:fs';
import { PosixError } from '../../errors.ts';

/** A name: the inode number of its directory, and the name in it. A directory that moves keeps its number. */
export interface OpenName {
  readonly parent: number;
  readonly name: string;
}

/** An open of a file under one of its names. */
export interface NamedOpen {
  readonly ino: number;
  readonly writes: boolean;
  name: OpenName;
}

const ACCESS_MODE = constants.O_WRONLY | constants.O_RDWR;

export class OpenNames {
  readonly #byInode = new Map<number, Set<NamedOpen>>();
  readonly #byHandle = new Map<number, NamedOpen>();

  /**
   * Notes that a file is being opened. `flags` as open(2) has them.
   * @throws EBUSY if it is open under another name, and one of both writes
   */
  begin(ino: number, name: OpenName, flags: number): NamedOpen {
    const writes = (flags & (ACCESS_MODE | constants.O_TRUNC)) !== 0;
    const opens = this.#byInode.get(ino) ?? new Set();
    for (const other of opens) {
      if (!isSame(other.name, name) && (writes || other.writes)) {
        throw new PosixError('EBUSY', `${name.name} is open as ${other.name.name}`);
      }
    }
    const opened = { ino, name, writes };
    this.#byInode.set(ino, opens.add(opened));
    return opened;
  }

  opened(open: NamedOpen, handle: number): void {
    this.#byHandle.set(handle, open);
  }

  /** The file could not be opened, or is closed. */
  end(open: NamedOpen): void {
    const opens = this.#byInode.get(open.ino);
    opens?.delete(open);
    if (opens?.size === 0) this.#byInode.delete(open.ino);
  }

  released(handle: number): void {
    const open = this.#byHandle.get(handle);
    if (open === undefined) return;
    this.#byHandle.delete(handle);
    this.end(open);
  }

  renamed(from: OpenName, to: OpenName): void {
    for (const opens of this.#byInode.values()) {
      for (const open of opens) if (isSame(open.name, from)) open.name = to;
    }
  }
}

const isSame = (a: OpenName, b: OpenName): boolean => a.parent === b.parent && a.name === b.name;
