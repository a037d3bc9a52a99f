/** The attributes of inodes: what `stat` shows, what `setattr` changes, and what a new inode starts with. */
import { PosixError } from '../errors.ts';
import type { FileCalls } from '../native/files.ts';
import { hiddenBits } from '../source/readers.ts';
import type { Inode } from '../store/records/record.ts';
import type { Store } from '../store/store.ts';
import type { FreshInode } from '../store/tree/namespace.ts';
import type { FileReaders } from './file-readers.ts';
import type { AttributeChanges, Attributes, Caller, FileType, MaybePromise } from './operations.ts';
import type { ShownLinks } from './shown-links.ts';

export interface InodeAttributesOptions {
  readonly store: Store;
  readonly libc: Pick<FileCalls, 'setTimes'>;
  /** The owner of every file in the mount at first. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /** Permission bits cleared in every planned mode. */
  readonly umask: number;
}

const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const S_IXGRP = 0o010;

export class InodeAttributes {
  readonly #store: Store;
  readonly #options: InodeAttributesOptions;
  readonly #readers: FileReaders;
  readonly #links: ShownLinks | undefined;
  #owner: InodeAttributesOptions['owner'];

  /** `links`: absent, only names in the mount count. */
  constructor(options: InodeAttributesOptions, readers: FileReaders, links?: ShownLinks) {
    this.#links = links;
    this.#readers = readers;
    this.#store = options.store;
    this.#options = options;
    this.#owner = options.owner;
  }

  /** From now on every file has another owner, but for those that have one of their own. */
  setOwner({ uid, gid }: InodeAttributesOptions['owner']): void {
    this.#owner = { uid, gid };
  }

  get ownerUid(): number {
    return this.#owner.uid;
  }

  /** @throws ENOENT, EIO */
  of(ino: number): Attributes {
    const inode = this.inode(ino);
    const { umask } = this.#options;
    const { uid, gid } = inode.owner ?? this.#owner;
    const { type, mode, nlink, rdev } = inode;
    return {
      ino,
      type,
      // A symlink's own mode has no effect, and Linux shows it in full.
      mode:
        type === 'symlink' ? mode : (inode.owner === undefined ? mode & ~umask : mode) & ~this.#hidden(ino, inode, gid),
      nlink: nlink + (this.#links?.of(ino, inode) ?? 0),
      uid,
      gid,
      rdev,
      ...this.#store.bytes.stat(ino, inode),
    };
  }

  /** The bits that nobody may see of a file with sources that are not for everyone. */
  #hidden(ino: number, inode: Inode, gid: number): number {
    return inode.type === 'file' ? hiddenBits(this.#readers.shown(ino, inode), gid) : 0;
  }

  /** Changes every attribute but the size. */
  async change(ino: number, { mode, uid, gid, atime, mtime }: AttributeChanges): Promise<void> {
    const now = this.#store.now();
    const times = { atime: atime === 'now' ? now : atime, mtime: mtime === 'now' ? now : mtime };
    const { content } = this.inode(ino);
    const change = (inode: Inode): Inode => {
      const owner = inode.owner ?? this.#owner;
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
    await this.#store.names.update(ino, change, () => this.#store.bytes.setOpenTimes(ino, now, times.mtime));
    if (content !== 'plain' || this.inode(ino).type !== 'file') return;
    if (times.atime === undefined && times.mtime === undefined) return;
    this.#store.bytes.setPlainTimes(ino, times.atime, times.mtime, this.#options.libc.setTimes);
  }

  /** Clears the bits that a write by somebody else ends. */
  killSetIds(ino: number): MaybePromise<void> {
    const { type, mode, owner } = this.inode(ino);
    const killed = S_ISUID | ((mode & S_IXGRP) === 0 ? 0 : S_ISGID);
    if (type === 'directory' || (mode & killed) === 0) return undefined;
    const shown = owner === undefined ? mode & ~this.#options.umask : mode;
    return this.change(ino, { mode: shown & ~killed });
  }

  /**
   * The attributes of a new inode. As in System V, it takes the group of a parent that has the set-group-ID bit.
   * @throws ENOENT
   */
  fresh(parent: number, type: FileType, mode: number, rdev: number, caller: Caller | undefined): FreshInode {
    const above = this.of(parent);
    const { uid, gid } = caller ?? this.#owner;
    const inherits = (above.mode & S_ISGID) !== 0;
    return {
      type,
      mode: mode | (inherits && type === 'directory' ? S_ISGID : 0),
      rdev,
      owner: { uid, gid: inherits ? above.gid : gid },
    };
  }

  /** The record of an inode. @throws ENOENT */
  inode(ino: number): Inode {
    const inode = this.#store.inode(ino);
    if (inode === undefined) throw new PosixError('ENOENT');
    return inode;
  }
}
