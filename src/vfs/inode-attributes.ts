/** Attributes: what `stat` shows of an inode, and what it may be told to change; those of a new inode, too. */
import { utimesSync } from 'node:fs';
import { PosixError } from '../errors.ts';
import type { FileCalls } from '../native/files.ts';
import { later, type Timestamp } from '../native/timestamp.ts';
import { type Inode, newInode } from '../store/records/record.ts';
import type { Store } from '../store/store.ts';
import type { OpenFile } from './open-file.ts';
import type { AttributeChanges, Attributes, Caller, FileType } from './operations.ts';

export interface InodeAttributesOptions {
  readonly store: Store;
  readonly libc: Pick<FileCalls, 'setTimes'>;
  /** Whose files the mount shows. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /** Permission bits taken from every mode of what was planned. */
  readonly umask: number;
  readonly openFile: (ino: number) => OpenFile | undefined;
}

const S_ISGID = 0o2000;

export class InodeAttributes {
  readonly #store: Store;
  readonly #options: InodeAttributesOptions;

  constructor(options: InodeAttributesOptions) {
    this.#store = options.store;
    this.#options = options;
  }

  /** @throws ENOENT, EIO */
  of(ino: number): Attributes {
    const inode = this.inode(ino);
    const { owner, umask } = this.#options;
    const { uid, gid } = inode.owner ?? owner;
    const { type, mode, nlink, rdev, atime } = inode;
    return {
      ino,
      type,
      // A symlink's own mode means nothing, and Linux shows it whole.
      mode: inode.owner !== undefined || type === 'symlink' ? mode : mode & ~umask,
      nlink,
      uid,
      gid,
      rdev,
      atime,
      ...this.#extentAndTimes(ino, inode),
    };
  }

  #extentAndTimes(
    ino: number,
    inode: Inode,
  ): Pick<Attributes, 'size' | 'blocks' | 'mtime' | 'ctime'> & { atime?: Timestamp } {
    if (inode.type === 'file' && inode.content === 'plain') {
      const { size, blocks, atime, mtime, ctime } = this.#plainStats(ino);
      return { size, blocks, atime, mtime, ctime: later(ctime, inode.ctime) };
    }
    const content = this.#store.overlay.inUse(ino);
    const { size, mtime } = content ?? inode;
    const ctime = content === undefined ? inode.ctime : later(content.ctime, inode.ctime);
    const blocks = inode.type === 'file' || inode.type === 'directory' ? Math.ceil(size / 512) : 0;
    return { size, blocks, mtime, ctime };
  }

  #plainStats(ino: number): ReturnType<Store['overlay']['files']['stat']> {
    try {
      return this.#store.overlay.files.stat(ino, this.#options.openFile(ino)?.descriptor);
    } catch (error) {
      throw new PosixError('EIO', `the overlay file of inode ${ino} is not there`, error);
    }
  }

  /** All but the size. */
  async change(ino: number, { mode, uid, gid, atime, mtime }: AttributeChanges): Promise<void> {
    const now = this.#store.overlay.now();
    const times = { atime: atime === 'now' ? now : atime, mtime: mtime === 'now' ? now : mtime };
    const { content } = this.inode(ino);
    const change = (inode: Inode): Inode => {
      const owner = inode.owner ?? this.#options.owner;
      const exact = mode !== undefined || uid !== undefined || gid !== undefined;
      const shown = inode.owner === undefined ? inode.mode & ~this.#options.umask : inode.mode;
      return {
        ...inode,
        ...(exact ? { mode: mode ?? shown, owner: { uid: uid ?? owner.uid, gid: gid ?? owner.gid } } : {}),
        atime: times.atime ?? inode.atime,
        mtime: times.mtime ?? inode.mtime,
        ctime: now,
      };
    };
    await this.#store.names.update(ino, change, () => {
      const open = this.#store.overlay.inUse(ino);
      if (open === undefined) return;
      open.mtime = times.mtime ?? open.mtime;
      open.ctime = now;
    });
    const { type } = this.inode(ino);
    if (type === 'file' && content === 'plain') this.#setPlainTimes(ino, times.atime, times.mtime);
  }

  #setPlainTimes(ino: number, atime: Timestamp | undefined, mtime: Timestamp | undefined): void {
    if (atime === undefined && mtime === undefined) return;
    const path = this.#store.overlay.files.path(ino);
    if (this.#options.libc.setTimes?.(path, atime, mtime) === true) return;
    const before = this.#plainStats(ino);
    const seconds = (time: Timestamp): number => time.seconds + time.nanoseconds / 1e9;
    utimesSync(path, seconds(atime ?? before.atime), seconds(mtime ?? before.mtime));
  }

  /** As System V has it: in a directory with the set-group-ID bit, what is made belongs to its group. */
  newInode(parent: number, type: FileType, more: Partial<Inode>, caller: Caller | undefined): Inode {
    const above = this.of(parent);
    const { uid, gid } = caller ?? this.#options.owner;
    const inherits = (above.mode & S_ISGID) !== 0;
    const mode = (more.mode ?? 0) | (inherits && type === 'directory' ? S_ISGID : 0);
    return newInode(type, this.#store.overlay.now(), {
      ...more,
      mode,
      owner: { uid, gid: inherits ? above.gid : gid },
    });
  }

  /** What is recorded of it. @throws ENOENT */
  inode(ino: number): Inode {
    const inode = this.#store.inode(ino);
    if (inode === undefined) throw new PosixError('ENOENT');
    return inode;
  }
}
