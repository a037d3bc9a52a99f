/** Looking at candidates: what the index knew is lstat'ed again before it is believed. */
import { lstatSync } from 'node:fs';
import type { CollectionFile } from '../collection/index.ts';
import { errnoOf, messageOf } from '../errors.ts';
import type { FileIdentity } from '../hash/hash-pool.ts';

/** A candidate that was looked at. */
export interface Source {
  readonly path: Buffer;
  readonly identity: FileIdentity;
  /** Names the inode: two paths with one of these are one file. */
  readonly inode: string;
}

/** Why a candidate is none: a sentence's end, after its path. */
export interface Refusal {
  readonly refused: string;
}

export class Looker {
  readonly #refuseDevice: (dev: number) => boolean;
  /** By path, as latin1: each path is looked at once in a run. */
  readonly #seen = new Map<string, Source | Refusal>();

  /** `refuseDevice` says which devices are mounts of our own: reading one from its own server would hang. */
  constructor(refuseDevice: (dev: number) => boolean) {
    this.#refuseDevice = refuseDevice;
  }

  look(file: Pick<CollectionFile, 'path' | 'size'>): Source | Refusal {
    const key = file.path.toString('latin1');
    const known = this.#seen.get(key);
    if (known !== undefined) return known;
    const found = this.#lstat(file);
    this.#seen.set(key, found);
    return found;
  }

  #lstat({ path, size }: Pick<CollectionFile, 'path' | 'size'>): Source | Refusal {
    try {
      // Synchronous: a command has nothing else to do, and a promise a file takes ten times as long.
      const stats = lstatSync(path, { throwIfNoEntry: false });
      if (stats === undefined) return { refused: 'is not there any more' };
      if (!stats.isFile()) return { refused: 'is not a regular file any more' };
      if (this.#refuseDevice(stats.dev)) return { refused: 'lies on a mount of autotorrent itself' };
      if (stats.size !== size) return { refused: `has ${stats.size} bytes now, not ${size}` };
      const { dev, ino, mtimeMs } = stats;
      return { path, identity: { dev, ino, size, mtimeMs }, inode: `${dev}:${ino}` };
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      return { refused: `cannot be looked at: ${messageOf(error)}` };
    }
  }
}
