/** One batch of changes of names and inodes. Its reads see its own changes; nobody else does before it is committed. */
import { PosixError } from '../../errors.ts';
import { later, type Timestamp } from '../../native/timestamp.ts';
import type { Stale } from '../notices.ts';
import type { Overlay } from '../overlay/overlay.ts';
import { del, type Write } from '../records/database.ts';
import { direntKey } from '../records/key.ts';
import type { DirentRecord, Inode, InodeType } from '../records/record.ts';
import type { Tree } from './tree.ts';

export class Batch {
  readonly now: Timestamp;
  readonly writes: Write[] = [];
  /** Inodes whose overlay files are deleted once the batch is committed. */
  readonly freed: number[] = [];
  /** The batch removes a name. */
  frees = false;
  /** Calls to make once the batch is committed. */
  readonly afterwards: (() => void)[] = [];
  readonly #tree: Tree;
  readonly #overlay: Overlay;
  readonly #inodes = new Map<number, Inode | undefined>();
  /** By parent and name. */
  readonly #dirents = new Map<string, DirentRecord | undefined>();

  constructor(tree: Tree, overlay: Overlay) {
    this.#tree = tree;
    this.#overlay = overlay;
    this.now = overlay.now();
  }

  get changed(): Iterable<number> {
    return this.#inodes.keys();
  }

  inode(ino: number): Inode {
    const known = this.#inodes.has(ino);
    const inode = known ? this.#inodes.get(ino) : this.#tree.inode(ino);
    if (inode === undefined) throw new PosixError('ENOENT');
    // The recorded ctime needs the mtime that belongs to it: a journal record with a later time overrides both.
    const open = known ? undefined : this.#overlay.contents.inUse(ino);
    return open === undefined ? inode : { ...inode, mtime: open.mtime, ctime: later(open.ctime, inode.ctime) };
  }

  directory(ino: number): Inode {
    const inode = this.inode(ino);
    if (inode.type !== 'directory') throw new PosixError('ENOTDIR');
    return inode;
  }

  has(ino: number): boolean {
    return (this.#inodes.has(ino) ? this.#inodes.get(ino) : this.#tree.inode(ino)) !== undefined;
  }

  lookup(parent: number, name: string): DirentRecord | undefined {
    const key = `${parent}/${name}`;
    return this.#dirents.has(key) ? this.#dirents.get(key) : this.#tree.lookup(parent, name);
  }

  set(ino: number, inode: Inode): void {
    this.#inodes.set(ino, inode);
  }

  delete(ino: number, inode: Inode): void {
    this.#inodes.set(ino, undefined);
    this.writes.push(...this.#tree.deleting(ino, inode));
  }

  link(parent: number, name: string, dirent: { readonly ino: number; readonly type: InodeType }): void {
    this.#dirents.set(`${parent}/${name}`, dirent);
    this.writes.push(this.#tree.linking(parent, name, dirent));
    this.#changedIn(parent);
  }

  unlink(parent: number, name: string): void {
    this.frees = true;
    this.#dirents.set(`${parent}/${name}`, undefined);
    this.writes.push(del(direntKey(parent, name)));
    this.#changedIn(parent);
  }

  #changedIn(parent: number): void {
    this.set(parent, { ...this.inode(parent), mtime: this.now, ctime: this.now });
  }

  /** Adds `more` subdirectories to the link count of a directory. */
  count(parent: number, more: number): void {
    const inode = this.inode(parent);
    this.set(parent, { ...inode, nlink: inode.nlink + more });
  }

  /** Lists what a driver must drop if somebody other than the driver itself asked for the changes. */
  *stale(): Generator<Stale, void, undefined> {
    for (const key of this.#dirents.keys()) {
      const slash = key.indexOf('/');
      yield { parent: Number(key.slice(0, slash)), name: key.slice(slash + 1) };
    }
    for (const ino of this.#inodes.keys()) yield { ino };
  }

  /** Returns the writes, including those of all inodes that were set. */
  finish(): readonly Write[] {
    const { whiteouts } = this.#tree;
    const entries = new Set<number>();
    for (const [ino, inode] of this.#inodes) {
      const before = this.#tree.inode(ino);
      if (inode !== undefined) this.writes.push(this.#tree.writing(ino, inode));
      this.writes.push(...whiteouts.writes(ino, before, inode));
      entries.add((inode ?? before)?.entry ?? 0);
    }
    this.afterwards.push(() => {
      for (const entry of entries) whiteouts.changed(entry);
    });
    return this.writes;
  }
}
