/** Inodes and dirents: cached reads, and the writes that change them. */

import { createHash } from 'node:crypto';
import { nameOf } from '../../bytes/name-text.ts';
import { ExtentMap } from '../../extent/extent-map.ts';
import { type Database, del, put, type Write } from '../records/database.ts';
import { direntKey, direntsOf, extentsKey, inodeKey, linkKey, longNamesKey, nameOfDirentKey } from '../records/key.ts';
import { Lru } from '../records/lru.ts';
import {
  type DirentRecord,
  damaged,
  decodeDirent,
  decodeExtents,
  decodeInode,
  encodeDirent,
  encodeInode,
  type Inode,
} from '../records/record.ts';
import { Whiteouts } from './whiteouts.ts';

export const ROOT = 1;

export interface NamedDirent extends DirentRecord {
  readonly name: string;
}

/** About 4 MB. */
const CACHED_INODES = 16_384;

export class Tree {
  readonly #db: Database;
  readonly #inodes = new Lru<number, Inode>(CACHED_INODES);
  readonly whiteouts: Whiteouts;

  constructor(db: Database) {
    this.#db = db;
    this.whiteouts = new Whiteouts(db);
  }

  lookup(parent: number, name: string): DirentRecord | undefined {
    const bytes = this.#db.get(direntKey(parent, name));
    return bytes === undefined ? undefined : decodeDirent(bytes);
  }

  /** Tells whether names that no disk takes may be made in a folder: its entry's torrent has some. */
  takesLongNames(parent: number): boolean {
    return this.#db.get(longNamesKey(this.inode(parent)?.entry ?? 0)) !== undefined;
  }

  inode(ino: number): Inode | undefined {
    const cached = this.#inodes.get(ino);
    if (cached !== undefined) return cached;
    const bytes = this.#db.get(inodeKey(ino));
    if (bytes === undefined) return undefined;
    const inode = decodeInode(bytes);
    this.#inodes.set(ino, inode);
    return inode;
  }

  extents(ino: number): ExtentMap {
    const bytes = this.#db.get(extentsKey(ino));
    if (bytes === undefined) throw damaged(`inode ${ino} has no extents`);
    try {
      const extents = [...decodeExtents(bytes)];
      const last = extents.at(-1);
      return ExtentMap.from(extents, last === undefined ? 0 : last.offset + last.length);
    } catch (error) {
      throw damaged(`the extents of inode ${ino} do not fit together`, error);
    }
  }

  /**
   * The version of a file's extents, 48 bits: another one whenever they change. Undefined for a file without extents.
   */
  extentsVersion(ino: number): number | undefined {
    const bytes = this.#db.get(extentsKey(ino));
    return bytes === undefined ? undefined : createHash('sha1').update(bytes).digest().readUIntBE(0, 6);
  }

  /** Lists the sources that the extents of a file name; none for a file without extents. */
  sources(ino: number): Set<number> {
    const sources = new Set<number>();
    const bytes = this.#db.get(extentsKey(ino));
    if (bytes === undefined) return sources;
    for (const { source } of decodeExtents(bytes)) if (source >= 0) sources.add(source);
    return sources;
  }

  target(ino: number): string | undefined {
    const bytes = this.#db.get(linkKey(ino));
    return bytes === undefined ? undefined : nameOf(bytes);
  }

  /** Lists all names in a folder, or those after `after`. */
  async *readdir(ino: number, after?: string): AsyncGenerator<NamedDirent[], void, undefined> {
    for await (const page of this.#db.pages(direntsOf(ino, after))) {
      yield page.map(([key, value]) => Object.assign(decodeDirent(value), { name: nameOfDirentKey(key) }));
    }
  }

  /** Drops inodes from the cache after a commit that changed them. */
  forget(inodes: Iterable<number>): void {
    for (const ino of inodes) this.#inodes.delete(ino);
  }

  linking(parent: number, name: string, dirent: DirentRecord): Write {
    return put(direntKey(parent, name), encodeDirent(dirent));
  }

  writing(ino: number, inode: Inode): Write {
    return put(inodeKey(ino), encodeInode(inode));
  }

  deleting(ino: number, inode: Inode): Write[] {
    const attributes = del(inodeKey(ino));
    if (inode.type === 'file') return inode.content === 'plain' ? [attributes] : [attributes, del(extentsKey(ino))];
    return inode.type === 'symlink' ? [attributes, del(linkKey(ino))] : [attributes];
  }
}
