/**
 * Makes, moves and deletes names, and deletes an inode when its last name goes.
 *
 * Invariants: each call is one batch, whole or not at all; it is checked and committed while no other writer works. The
 * batches are not synced (fsync and fsyncdir make them survive a power loss). All calls throw PosixError.
 */
import { bytesOfName } from '../../bytes/name-text.ts';
import { PosixError, posixErrorOf } from '../../errors.ts';
import type { Pieces } from '../entries/pieces.ts';
import type { PlainContent } from '../overlay/content.ts';
import type { OverlayFile } from '../overlay/descriptors.ts';
import type { Overlay } from '../overlay/overlay.ts';
import { type Database, del, NOTHING, put } from '../records/database.ts';
import { direntsOf, linkKey, orphanKey, overlayKey } from '../records/key.ts';
import { type DirentRecord, type Inode, type InodeType, newInode } from '../records/record.ts';
import { Batch } from './batch.ts';
import { checkName, notThere } from './names.ts';
import { ROOT, type Tree } from './tree.ts';
import { isOfTorrent } from './whiteouts.ts';

/** The open inodes: one that is in use outlives its last name. */
export interface Uses {
  isOpen(ino: number): boolean;
  /** Marks an inode that is about to be deleted: nobody may open it any more. */
  doom(ino: number): void;
}

/** A name in a directory. */
export interface Place {
  readonly parent: number;
  readonly name: string;
}

/** The attributes of a new inode; the caller decides its owner. */
export interface FreshInode {
  readonly type: InodeType;
  /** Permission bits. */
  readonly mode: number;
  readonly owner: { readonly uid: number; readonly gid: number };
  /** The device number, of devices. */
  readonly rdev: number;
}

/** The size that a folder shows, as on ext4. */
const FOLDER_BYTES = 4096;

export class Namespace {
  readonly #db: Database;
  readonly #tree: Tree;
  readonly #overlay: Overlay;
  readonly #pieces: Pieces;
  /** Entries that are being deleted. */
  readonly #removed = new Set<number>();
  /** Counts directories that moved or were removed. */
  #version = 0;

  constructor(db: Database, tree: Tree, overlay: Overlay, pieces: Pieces) {
    this.#db = db;
    this.#pieces = pieces;
    this.#tree = tree;
    this.#overlay = overlay;
  }

  /**
   * Refuses new names in an entry until the returned function is called: a name made in an entry that is being deleted
   * would stay for ever.
   */
  removing(entry: number): () => void {
    this.#removed.add(entry);
    return () => this.#removed.delete(entry);
  }

  /** Rises when a directory was moved or removed. */
  get version(): number {
    return this.#version;
  }

  /**
   * Makes an inode that is no regular file, under a new name; `target` is a symlink's. Returns its number.
   * @throws EEXIST, ENOENT, ENOTDIR, EINVAL, ENAMETOOLONG
   */
  async make(place: Place, fresh: FreshInode, target?: string): Promise<number> {
    this.#checkName(place);
    const bytes = target === undefined ? undefined : bytesOfName(target);
    return await this.#change(async (batch) => {
      const ino = this.#makeIn(batch, place, fresh, bytes?.length ?? 0);
      if (bytes !== undefined) batch.writes.push(put(linkKey(ino), bytes));
      return ino;
    });
  }

  /**
   * Makes a plain file, under a new name. Returns its content, with one user.
   * @throws EEXIST, ENOENT, ENOTDIR, EINVAL, ENAMETOOLONG, file errors of the disk
   */
  async makeFile(place: Place, fresh: Omit<FreshInode, 'type' | 'rdev'>): Promise<PlainContent> {
    this.#checkName(place);
    const made: { overlay?: OverlayFile; content?: PlainContent } = {};
    try {
      await this.#change(async (batch) => {
        const ino = this.#makeIn(batch, place, { ...fresh, type: 'file', rdev: 0 }, 0);
        const overlay = this.#overlay.descriptors.create(ino);
        made.overlay = overlay;
        batch.writes.push(put(overlayKey(ino), NOTHING));
        // In the same turn as the commit, so that everyone who opens the file from then on shares this content.
        batch.afterwards.push(() => {
          made.content = this.#overlay.contents.made(ino, overlay);
        });
      });
    } catch (error) {
      const { overlay } = made;
      overlay?.close();
      if (overlay !== undefined) await this.#overlay.files.remove(overlay.ino).catch(() => {});
      throw error;
    }
    if (made.content === undefined) throw new Error('a file was made, and has no content');
    return made.content;
  }

  #makeIn(batch: Batch, { parent, name }: Place, fresh: FreshInode, targetBytes: number): number {
    const { entry } = this.#target(batch, parent);
    if (this.#tree.lookup(parent, name) !== undefined) throw new PosixError('EEXIST');
    const ino = this.#db.take('ino');
    const { type } = fresh;
    const folder = type === 'directory' ? { parent, nlink: 2, size: FOLDER_BYTES } : { size: targetBytes };
    batch.link(parent, name, { ino, type });
    batch.set(
      ino,
      newInode(type, batch.now, { ...fresh, ...folder, entry, ...(type === 'file' ? { content: 'plain' } : {}) }),
    );
    if (type === 'directory') batch.count(parent, 1);
    return ino;
  }

  /** @throws EEXIST, ENOENT, ENOTDIR, EPERM, EXDEV */
  async link(ino: number, place: Place): Promise<void> {
    this.#checkName(place);
    const { parent, name } = place;
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
  async rmdir({ parent, name }: Place, uses: Uses): Promise<void> {
    await this.#change(async (batch) => {
      batch.directory(parent);
      const dirent = this.#mustHave(parent, name);
      if (dirent.type !== 'directory') throw new PosixError('ENOTDIR');
      this.#refuseEntry(parent, dirent.ino);
      await this.#removeEmpty(batch, parent, dirent.ino, uses);
      batch.unlink(parent, name);
    });
  }

  /** @throws ENOENT, ENOTDIR, EISDIR, ENOTEMPTY, EEXIST, EINVAL, EXDEV, EBUSY */
  async rename(from: Place, to: Place, { noReplace, uses }: { noReplace: boolean; uses: Uses }): Promise<void> {
    this.#checkName(to);
    await this.#change(async (batch) => {
      const [moved, replaced] = this.#checkMove(batch, from, to);
      if (replaced !== undefined && noReplace) throw new PosixError('EEXIST');
      if (replaced?.ino === moved.ino) return;
      if (replaced !== undefined) {
        if (moved.type === 'directory' && replaced.type !== 'directory') throw new PosixError('ENOTDIR');
        if (moved.type !== 'directory' && replaced.type === 'directory') throw new PosixError('EISDIR');
        if (replaced.type === 'directory') await this.#removeEmpty(batch, to.parent, replaced.ino, uses);
        else await this.#loseName(batch, replaced.ino, uses);
      }
      batch.unlink(from.parent, from.name);
      this.#arrive(batch, moved, from.parent, to);
    });
  }

  /** Exchanges two names: both stay, and lead to each other's inode. @throws as `rename` */
  async exchange(a: Place, b: Place): Promise<void> {
    await this.#change(async (batch) => {
      const [one, other] = this.#checkMove(batch, a, b);
      if (other === undefined) throw this.#notThere(b);
      if (other.ino === one.ino) return;
      this.#checkMove(batch, b, a);
      this.#arrive(batch, one, a.parent, b);
      this.#arrive(batch, other, b.parent, a);
    });
  }

  /** Called after the last close: deletes an inode without a name, or what a whiteout has in the overlay. */
  async lastClose(ino: number, uses: Uses): Promise<void> {
    await this.#change(async (batch) => {
      const inode = this.#tree.inode(ino);
      if (inode === undefined || inode.nlink > 0 || uses.isOpen(ino)) return;
      batch.writes.push(del(orphanKey(ino)));
      batch.frees = true;
      await this.#end(batch, ino, inode, uses);
    });
  }

  /** Changes an inode's attributes by `change`; calls `done` before anything else changes. @throws ENOENT */
  async update(ino: number, change: (inode: Inode) => Inode, done: () => void = () => {}): Promise<void> {
    await this.#change(async (batch) => {
      batch.set(ino, change(batch.inode(ino)));
      batch.afterwards.push(done);
    });
  }

  /** The directory in which a name is to be made. */
  #target(batch: Batch, ino: number): Inode {
    const inode = batch.directory(ino);
    // A directory that was deleted but is still open takes no names, either.
    if (inode.nlink === 0 || this.#removed.has(inode.entry)) throw new PosixError('ENOENT');
    return inode;
  }

  #checkName({ parent, name }: Place): void {
    checkName(name, () => this.#tree.takesLongNames(parent));
  }

  #notThere({ parent, name }: Place): PosixError {
    return notThere(name, () => this.#tree.takesLongNames(parent));
  }

  #mustHave(parent: number, name: string): DirentRecord {
    const dirent = this.#tree.lookup(parent, name);
    if (dirent === undefined) throw this.#notThere({ parent, name });
    return dirent;
  }

  /** Refuses an entry's own directory: only `remove` moves or deletes it. */
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

  /** Removes the name of an empty directory; one that is open stays, with no link, until it is closed. */
  async #removeEmpty(batch: Batch, parent: number, ino: number, uses: Uses): Promise<void> {
    if ((await this.#db.first(direntsOf(ino), 1)).length > 0) throw new PosixError('ENOTEMPTY');
    batch.afterwards.push(() => this.#version++);
    batch.count(parent, -1);
    if (uses.isOpen(ino)) {
      batch.set(ino, { ...batch.inode(ino), nlink: 0, ctime: batch.now });
      batch.writes.push(put(orphanKey(ino), NOTHING));
    } else {
      uses.doom(ino);
      batch.delete(ino, batch.inode(ino));
    }
  }

  async #loseName(batch: Batch, ino: number, uses: Uses): Promise<void> {
    const inode = batch.inode(ino);
    const left = { ...inode, nlink: inode.nlink - 1, ctime: batch.now };
    if (left.nlink > 0) {
      batch.set(ino, left);
      return;
    }
    // Whatever replaces it was not verified.
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

  /** The length of a torrent's file, as in the torrent. */
  #length(ino: number, inode: Inode): number {
    return inode.content === 'plain' ? this.#overlay.files.sizeOf(ino) : this.#tree.extents(ino).length;
  }

  async #end(batch: Batch, ino: number, inode: Inode, uses: Uses): Promise<void> {
    uses.doom(ino);
    if (inode.type === 'file' && inode.content !== 'mapped') {
      batch.writes.push(...(await this.#overlay.deleting(ino, inode)));
      batch.freed.push(ino);
    }
    // A whiteout: its part of the collection stays known, so that it can come back.
    if (inode.type === 'symlink' && isOfTorrent(inode)) batch.set(ino, inode);
    else if (isOfTorrent(inode) && inode.content !== 'plain') {
      const size = this.#tree.extents(ino).length;
      batch.set(ino, { ...inode, content: 'mapped', size, baseEnd: size });
    } else batch.delete(ino, inode);
  }

  /** Runs `work` as one batch. */
  async #change<T>(work: (batch: Batch) => Promise<T> | T): Promise<T> {
    try {
      return await this.#db.exclusive(async () => await this.#commit(work));
    } catch (error) {
      throw posixErrorOf(error) ?? error;
    }
  }

  async #commit<T>(work: (batch: Batch) => Promise<T> | T): Promise<T> {
    const batch = new Batch(this.#tree, this.#overlay);
    const result = await work(batch);
    const writes = batch.finish();
    if (writes.length === 0) return result;
    await this.#db.commit(writes, { sync: false, needed: batch.frees });
    this.#tree.forget(batch.changed);
    for (const ino of batch.freed) this.#overlay.freed(ino);
    for (const done of batch.afterwards) done();
    return result;
  }
}
