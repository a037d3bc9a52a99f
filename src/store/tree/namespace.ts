/**
 * Names: what makes, moves and deletes dirents, and what becomes of an inode when its last name goes.
 *
 * Invariants: each call is one batch, whole or not at all; it is checked and committed while no other writer works. The
 * batches are not synced (fsync and fsyncdir are what make them last through a power loss). All throw PosixError.
 */
import { PosixError } from '../../errors.ts';
import { later, type Timestamp } from '../../native/timestamp.ts';
import type { Pieces } from '../entries/pieces.ts';
import type { Overlay } from '../overlay/overlay.ts';
import { type Database, del, NOTHING, put, type Write } from '../records/database.ts';
import { direntKey, direntsOf, linkKey, orphanKey } from '../records/key.ts';
import type { DirentRecord, Inode, InodeType } from '../records/record.ts';
import { ROOT, type Tree } from './tree.ts';

/** Who has what open: an inode in use outlives its last name. */
export interface Uses {
  isOpen(ino: number): boolean;
  /** It is about to be deleted: nobody may open it any more. */
  doom(ino: number): void;
}

/** A name in a directory. */
export interface Place {
  readonly parent: number;
  readonly name: string;
}

const NAME_MAX = 255;

export class Namespace {
  readonly #db: Database;
  readonly #tree: Tree;
  readonly #overlay: Overlay;
  readonly #pieces: Pieces;
  /** Entries that are being deleted. */
  readonly #removed = new Set<number>();
  /** Directories that moved or went. */
  #version = 0;

  constructor(db: Database, tree: Tree, overlay: Overlay, pieces: Pieces) {
    this.#db = db;
    this.#pieces = pieces;
    this.#tree = tree;
    this.#overlay = overlay;
  }

  /** What is made or moved in an entry that is being deleted would stay for ever. Until the function that it gives is called. */
  removing(entry: number): () => void {
    this.#removed.add(entry);
    return () => this.#removed.delete(entry);
  }

  get version(): number {
    return this.#version;
  }

  /**
   * A new inode under a new name; `prepare` is told its number before anything is recorded, and `target` is a symlink's.
   * @throws EEXIST, ENOENT, ENOTDIR, EINVAL, ENAMETOOLONG, and what `prepare` throws
   */
  async make(
    { parent, name }: Place,
    inode: Inode,
    { target, prepare }: { readonly target?: string; readonly prepare?: (ino: number) => Write[] } = {},
  ): Promise<number> {
    checkName(name);
    return await this.#change(async (batch) => {
      const above = this.#target(batch, parent);
      if (this.#tree.lookup(parent, name) !== undefined) throw new PosixError('EEXIST');
      const ino = this.#db.take('ino');
      batch.writes.push(...(prepare?.(ino) ?? []));
      if (target !== undefined) batch.writes.push(put(linkKey(ino), Buffer.from(target)));
      batch.link(parent, name, { ino, type: inode.type });
      batch.set(ino, { ...inode, entry: above.entry, ...(inode.type === 'directory' ? { parent } : {}) });
      if (inode.type === 'directory') batch.count(parent, 1);
      return ino;
    });
  }

  /** @throws EEXIST, ENOENT, ENOTDIR, EPERM, EXDEV */
  async link(ino: number, { parent, name }: Place): Promise<void> {
    checkName(name);
    await this.#change(async (batch) => {
      const above = this.#target(batch, parent);
      const inode = batch.inode(ino);
      if (inode.type === 'directory') throw new PosixError('EPERM');
      if (inode.nlink === 0) throw new PosixError('ENOENT');
      if (this.#tree.lookup(parent, name) !== undefined) throw new PosixError('EEXIST');
      if (above.entry !== inode.entry) throw new PosixError('EXDEV');
      batch.link(parent, name, { ino, type: inode.type });
      batch.set(ino, { ...inode, nlink: inode.nlink + 1, ctime: batch.now });
    });
  }

  /** @throws ENOENT, ENOTDIR, EISDIR */
  async unlink({ parent, name }: Place, uses: Uses): Promise<void> {
    await this.#change(async (batch) => {
      batch.directory(parent);
      const dirent = this.#mustHave(parent, name);
      if (dirent.type === 'directory') throw new PosixError('EISDIR');
      batch.unlink(parent, name);
      await this.#loseName(batch, dirent.ino, uses);
    });
  }

  /** @throws ENOENT, ENOTDIR, ENOTEMPTY, EBUSY */
  async rmdir({ parent, name }: Place): Promise<void> {
    await this.#change(async (batch) => {
      batch.directory(parent);
      const dirent = this.#mustHave(parent, name);
      if (dirent.type !== 'directory') throw new PosixError('ENOTDIR');
      this.#refuseEntry(parent, dirent.ino);
      await this.#removeEmpty(batch, parent, dirent.ino);
      batch.unlink(parent, name);
    });
  }

  /** @throws ENOENT, ENOTDIR, EISDIR, ENOTEMPTY, EEXIST, EINVAL, EXDEV, EBUSY */
  async rename(from: Place, to: Place, { noReplace, uses }: { noReplace: boolean; uses: Uses }): Promise<void> {
    checkName(to.name);
    await this.#change(async (batch) => {
      const [moved, replaced] = this.#checkMove(batch, from, to);
      if (replaced !== undefined && noReplace) throw new PosixError('EEXIST');
      if (replaced?.ino === moved.ino) return;
      if (replaced !== undefined) {
        if (moved.type === 'directory' && replaced.type !== 'directory') throw new PosixError('ENOTDIR');
        if (moved.type !== 'directory' && replaced.type === 'directory') throw new PosixError('EISDIR');
        if (replaced.type === 'directory') await this.#removeEmpty(batch, to.parent, replaced.ino);
        else await this.#loseName(batch, replaced.ino, uses);
      }
      batch.unlink(from.parent, from.name);
      this.#arrive(batch, moved, from.parent, to);
    });
  }

  /** Both names stay, and lead to each other's inode. @throws as `rename` */
  async exchange(a: Place, b: Place): Promise<void> {
    await this.#change(async (batch) => {
      const [one, other] = this.#checkMove(batch, a, b);
      if (other === undefined) throw notThere(b.name);
      if (other.ino === one.ino) return;
      this.#checkMove(batch, b, a);
      this.#arrive(batch, one, a.parent, b);
      this.#arrive(batch, other, b.parent, a);
    });
  }

  /** Whoever had it open has closed it: deletes an inode without a name, or what a whiteout has in the overlay. */
  async lastClose(ino: number, uses: Uses): Promise<void> {
    await this.#change(async (batch) => {
      const inode = this.#tree.inode(ino);
      if (inode === undefined || inode.nlink > 0 || uses.isOpen(ino)) return;
      batch.writes.push(del(orphanKey(ino)));
      batch.frees = true;
      await this.#end(batch, ino, inode, uses);
    });
  }

  /** Attributes, as `change` makes them of those that are there; `done` before anything else changes. @throws ENOENT */
  async update(ino: number, change: (inode: Inode) => Inode, done: () => void = () => {}): Promise<void> {
    await this.#change(async (batch) => {
      batch.set(ino, change(batch.inode(ino)));
      batch.afterwards.push(done);
    });
  }

  /** A directory in which something gets a name. */
  #target(batch: Batch, ino: number): Inode {
    const inode = batch.directory(ino);
    if (this.#removed.has(inode.entry)) throw new PosixError('ENOENT');
    return inode;
  }

  #mustHave(parent: number, name: string): DirentRecord {
    const dirent = this.#tree.lookup(parent, name);
    if (dirent === undefined) throw notThere(name);
    return dirent;
  }

  /** An entry's own directory is moved and deleted by `remove` alone. */
  #refuseEntry(parent: number, ino: number): void {
    if (parent === ROOT && (this.#tree.inode(ino)?.entry ?? 0) !== 0) throw new PosixError('EBUSY');
  }

  #checkMove(batch: Batch, from: Place, to: Place): [DirentRecord, DirentRecord | undefined] {
    batch.directory(from.parent);
    const target = this.#target(batch, to.parent);
    const moved = this.#mustHave(from.parent, from.name);
    const replaced = this.#tree.lookup(to.parent, to.name);
    this.#refuseEntry(from.parent, moved.ino);
    if (replaced !== undefined) this.#refuseEntry(to.parent, replaced.ino);
    if (moved.type === 'directory' && this.#isAtOrAbove(moved.ino, to.parent)) throw new PosixError('EINVAL');
    if (batch.inode(moved.ino).entry !== target.entry) throw new PosixError('EXDEV');
    return [moved, replaced];
  }

  #isAtOrAbove(ino: number, below: number): boolean {
    for (let at = below; at !== ROOT && at !== 0; at = this.#tree.inode(at)?.parent ?? 0) if (at === ino) return true;
    return false;
  }

  #arrive(batch: Batch, moved: DirentRecord, from: number, to: Place): void {
    batch.link(to.parent, to.name, moved);
    const inode = batch.inode(moved.ino);
    if (moved.type === 'directory') {
      batch.afterwards.push(() => this.#version++);
      batch.count(from, -1);
      batch.count(to.parent, 1);
      batch.set(moved.ino, { ...inode, parent: to.parent, ctime: batch.now });
    } else batch.set(moved.ino, { ...inode, ctime: batch.now });
  }

  async #removeEmpty(batch: Batch, parent: number, ino: number): Promise<void> {
    if ((await this.#db.first(direntsOf(ino), 1)).length > 0) throw new PosixError('ENOTEMPTY');
    batch.afterwards.push(() => this.#version++);
    batch.delete(ino, batch.inode(ino));
    batch.count(parent, -1);
  }

  async #loseName(batch: Batch, ino: number, uses: Uses): Promise<void> {
    const inode = batch.inode(ino);
    const left = { ...inode, nlink: inode.nlink - 1, ctime: batch.now };
    if (left.nlink > 0) {
      batch.set(ino, left);
      return;
    }
    // Whatever takes its place was not verified.
    if (inode.type === 'file' && isOfTorrent(inode)) {
      const { writes, recorded } = await this.#pieces.unverifying(inode, this.#length(ino, inode));
      batch.writes.push(...writes);
      batch.afterwards.push(recorded);
    }
    if (uses.isOpen(ino)) {
      batch.set(ino, left);
      batch.writes.push(put(orphanKey(ino), NOTHING));
    } else await this.#end(batch, ino, left, uses);
  }

  /** Of a file of a torrent, as the torrent has it. */
  #length(ino: number, inode: Inode): number {
    return inode.content === 'plain' ? this.#overlay.files.sizeOf(ino) : this.#tree.extents(ino).length;
  }

  async #end(batch: Batch, ino: number, inode: Inode, uses: Uses): Promise<void> {
    uses.doom(ino);
    if (inode.type === 'file' && inode.content !== 'mapped') {
      batch.writes.push(...(await this.#overlay.deleting(ino, inode)));
      batch.freed.push(ino);
    }
    // A whiteout: what is behind it in the collection stays known, so that it can come back.
    if (inode.type === 'symlink' && isOfTorrent(inode)) batch.set(ino, inode);
    else if (isOfTorrent(inode) && inode.content !== 'plain') {
      const size = this.#tree.extents(ino).length;
      batch.set(ino, { ...inode, content: 'mapped', size, baseEnd: size });
    } else batch.delete(ino, inode);
  }

  async #change<T>(work: (batch: Batch) => Promise<T>): Promise<T> {
    return await this.#db.exclusive(async () => {
      const batch = new Batch(this.#tree, this.#overlay);
      const result = await work(batch);
      const writes = batch.finish();
      if (writes.length === 0) return result;
      await this.#db.commit(writes, { sync: false, needed: batch.frees });
      this.#tree.forget(batch.changed);
      for (const ino of batch.freed) this.#overlay.freed(ino);
      for (const done of batch.afterwards) done();
      return result;
    });
  }
}

/** Deleted, such a file is a whiteout. */
export function isOfTorrent(inode: Inode): boolean {
  if (inode.type === 'symlink') return inode.plannedMtime !== undefined;
  return inode.type === 'file' && inode.torrentOffset !== undefined;
}

/** What one batch of writes changes. */
export class Batch {
  readonly now: Timestamp;
  readonly writes: Write[] = [];
  /** Inodes whose overlay files go once the batch is committed. */
  readonly freed: number[] = [];
  /** A name goes. */
  frees = false;
  /** What happens once the batch is committed. */
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
    // A ctime that is recorded has to come with the mtime before it: what the journal has is believed if it is later.
    const open = known ? undefined : this.#overlay.inUse(ino);
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

  /** Directories in it, which its link count counts. */
  count(parent: number, more: number): void {
    const inode = this.inode(parent);
    this.set(parent, { ...inode, nlink: inode.nlink + more });
  }

  finish(): readonly Write[] {
    for (const [ino, inode] of this.#inodes) if (inode !== undefined) this.writes.push(this.#tree.writing(ino, inode));
    return this.writes;
  }
}

/** @throws EINVAL, ENAMETOOLONG */
function checkName(name: string): void {
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name) || /\p{Surrogate}/u.test(name)) {
    throw new PosixError('EINVAL');
  }
  if (isTooLong(name)) throw new PosixError('ENAMETOOLONG');
}

/** What is said of a name that is not in a directory: of one that could not be, that it could not. */
export function notThere(name: string): PosixError {
  return new PosixError(isTooLong(name) ? 'ENAMETOOLONG' : 'ENOENT');
}

function isTooLong(name: string): boolean {
  return name.length * 3 > NAME_MAX && Buffer.byteLength(name) > NAME_MAX;
}
