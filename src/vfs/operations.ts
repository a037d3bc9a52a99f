/**
 * The file system as inode-based operations, independent of a driver.
 *
 * Glossary. An *inode* is a file or a directory, named by `ino`, a counter kept in the store that survives remounts. A
 * *dentry* is a name in a directory that leads to an inode; an inode may have several. A *handle* is an open file or
 * directory.
 *
 * Invariants: operations throw only `PosixError` on purpose; no operation scans, hashes or talks to a client. Most
 * results are no promises and cost no tick of the event loop.
 */

import type { Timestamp } from '../native/timestamp.ts';
import type { MaybePromise } from '../store/maybe-promise.ts';
import type { Stale } from '../store/notices.ts';
import type { InodeType } from '../store/records/record.ts';
import type { LendingAbility } from './lending/lending.ts';

export type { MaybePromise } from '../store/maybe-promise.ts';
export type { Stale } from '../store/notices.ts';

export const ROOT_INO = 1;

/**
 * Milliseconds for which a driver may let the kernel use names and attributes that it has: for so long, an open may be let
 * through by permissions that the file has lost.
 */
export const ATTRIBUTES_MS = 1000;

export type FileType = InodeType;

export interface Attributes {
  readonly ino: number;
  readonly type: FileType;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  /** The device number, of `block` and `character`. */
  readonly rdev: number;
  /** In bytes. */
  readonly size: number;
  /** In 512-byte blocks. */
  readonly blocks: number;
  readonly atime: Timestamp;
  readonly mtime: Timestamp;
  readonly ctime: Timestamp;
}

/** The attributes that `setattr` changes; absent ones stay. */
export interface AttributeChanges {
  /** Permission bits. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** In bytes, as in ftruncate(2). */
  readonly size?: number;
  readonly atime?: Timestamp | 'now';
  readonly mtime?: Timestamp | 'now';
}

/**
 * The owner of a new inode. A driver that does not know the caller leaves it out; then the mount's owner owns the
 * inode.
 */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
}

/** The flag of renameat2(2). */
export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;

export interface Dentry {
  readonly name: string;
  readonly ino: number;
  readonly type: FileType;
  /** The offset at which `readdir` continues after this name. */
  readonly offset: number;
}

/** SEEK_DATA and SEEK_HOLE of lseek(2). */
export type SeekTo = 'data' | 'hole';

export interface FileSystemStats {
  /** Bytes per block. */
  readonly bsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
}

/** Calls for a driver that works with paths instead of inodes; other drivers do not use them. */
export interface PathAbility {
  /** Rises when a directory was removed or moved; paths that were resolved before may then lead elsewhere. */
  readonly treeVersion: number;
  /** Reports whether an inode is open. */
  isOpen(ino: number): boolean;
  /** Reports whether a file has names of a client's beside the torrent's own. */
  hasClientNames(ino: number): boolean;
  /** Looks up the inode number alone, which costs less than `lookup`. @throws ENOENT, ENOTDIR, ENAMETOOLONG */
  find(parent: number, name: string): MaybePromise<number>;
}

/** A file whose bytes are all the bytes of an open file, and are trusted. */
export interface Backing {
  /** Open for reading. Only for the call that gets it: it may be closed afterwards. */
  readonly fd: number;
  /**
   * Why nobody changes its bytes unnoticed. `pool`, `kept`, `pin`: it is a file of our own, to which nobody writes. `leased`: the
   * kernel has writers wait until the vfs knows of them.
   */
  readonly kind: 'pool' | 'kept' | 'pin' | 'leased';
  /** The same object for handles with the same backing. */
  readonly file: object;
  /** The device number of its file system. */
  readonly dev: number;
}

/** For a driver that has the kernel read a file's backing without asking. */
export interface BackingAbility {
  /**
   * Calls `take` with the backing of an open file, if it has one now. If that does not return undefined, the backing is lent: the
   * kernel may read it instead of the open file until `giveBack` or the release of the handle. Only handles that cannot write and
   * have not truncated have one.
   * Returns what `take` returned; undefined without a backing. @throws EBADF, and what `take` throws
   */
  lend<T>(handle: number, take: (backing: Backing) => T | undefined): MaybePromise<T | undefined>;
  /** The kernel reads a lent backing no more, or never did. */
  giveBack(handle: number): void;
}

/**
 * The operations of a file system.
 *
 * `parent` and `name` are a directory and a name in it. Names are text: EINVAL for a name that no folder can hold,
 * ENAMETOOLONG for one of more than 1,023 bytes, and, in an entry that shows none that long, for one of more than 255. The
 * driver checks permissions (the kernel's default_permissions).
 */
export interface Operations {
  /** Optional: files whose bytes are all of an open file's. */
  readonly backing?: BackingAbility | undefined;
  /** Optional: files that threads of the driver read. What they read is counted by it alone. */
  readonly lending?: LendingAbility | undefined;
  /** Optional: calls for a driver that works with paths. */
  readonly paths?: PathAbility | undefined;
  /**
   * Optional: calls `listener` with what the kernel may have cached and must drop: changes that no operation asked for,
   * such as a removed entry. Returns a function that ends the watch.
   */
  watchStale?(listener: (stale: Stale) => void): () => void;
  /**
   * Optional: gives the value of an extended attribute. No list names one, and none can be set.
   * @throws ENODATA for one that the file has not, EACCES for one that `caller` must not see
   */
  readonly getxattr?: ((ino: number, name: string, caller: Caller) => MaybePromise<Buffer>) | undefined;
  /**
   * Optional: clears the set-user-ID bit of anything but a directory, and the set-group-ID bit if the group may execute it. For a driver that is
   * told when that is due: when a caller without CAP_FSETID writes or truncates, and when anybody changes the owner.
   */
  readonly killSetIds?: ((ino: number) => MaybePromise<void>) | undefined;
  /**
   * Optional: a number of 32 bits that no other store has had, so that an inode number with it never names another file. Not 0.
   */
  readonly generation?: number | undefined;
  /** Optional: the bytes of the longest name that a folder may list, or the folder of a file. Default: 1,023. @throws ENOENT */
  readonly longestName?: ((ino: number) => MaybePromise<number>) | undefined;
  /** Optional: finds the directory in which a directory lies; of the root the root itself. @throws ENOENT, ENOTDIR */
  readonly parentOf?: ((ino: number) => MaybePromise<number>) | undefined;
  /**
   * Optional: finds the first position from `offset` on that is data, or in a hole; the end of the file counts as a hole.
   * @throws EBADF, ENXIO at and after the end, and where no data follows
   */
  readonly seek?: ((handle: number, offset: number, to: SeekTo) => MaybePromise<number>) | undefined;
  /**
   * Optional: tells if an open file is read alone, and has the bytes of users' files, whose pages the system caches: a second
   * cache of the same bytes costs memory and a copy. @throws EBADF
   */
  readonly isCachedBelow?: ((handle: number) => boolean) | undefined;
  /** @throws ENOENT, ENOTDIR, ENAMETOOLONG, EIO */
  lookup(parent: number, name: string): MaybePromise<Attributes>;
  /** @throws ENOENT, EIO */
  getattr(ino: number): MaybePromise<Attributes>;
  /** @throws ENOENT; EISDIR or EINVAL for the size of anything but a file; EFBIG, ENOSPC, EROFS, EIO */
  setattr(ino: number, changes: AttributeChanges): MaybePromise<Attributes>;
  /** Opens a directory. It lives, even without a name, until its last handle is released. @throws ENOTDIR, ENOENT */
  opendir(ino: number): MaybePromise<number>;
  /**
   * Lists the names after `offset` (0, or a `Dentry.offset` of this handle), in pages. A name that exists throughout
   * comes exactly once, however many others come and go. A handle remembers the names that it listed.
   * @throws EBADF, EINVAL
   */
  readdir(handle: number, offset: number): AsyncIterable<readonly Dentry[]>;
  /** @throws EBADF */
  releasedir(handle: number): MaybePromise<void>;
  /** @throws ENOENT, EINVAL */
  readlink(ino: number): MaybePromise<string>;
  /** Makes a regular file and opens it. `mode` has permission bits; `flags` as in open(2). @throws EEXIST, ENOSPC, … */
  create(
    parent: number,
    name: string,
    mode: number,
    flags: number,
    caller?: Caller,
  ): MaybePromise<{ readonly attributes: Attributes; readonly handle: number }>;
  /** Makes a file, FIFO, socket or device. @throws EEXIST, ENOENT, ENOTDIR, ENOSPC */
  mknod(
    parent: number,
    name: string,
    type: FileType,
    mode: number,
    rdev: number,
    caller?: Caller,
  ): MaybePromise<Attributes>;
  /** @throws EEXIST, ENOENT, ENOTDIR, EMLINK, ENOSPC */
  mkdir(parent: number, name: string, mode: number, caller?: Caller): MaybePromise<Attributes>;
  /** @throws EEXIST, ENOENT, ENOTDIR, ENOSPC */
  symlink(parent: number, name: string, target: string, caller?: Caller): MaybePromise<Attributes>;
  /** @throws EEXIST, ENOENT, ENOTDIR, EPERM for a directory, EXDEV between entries, EMLINK, ENOSPC */
  link(ino: number, parent: number, name: string): MaybePromise<Attributes>;
  /** Removes a name. An open file lives until its last handle is released. @throws ENOENT, ENOTDIR, EISDIR */
  unlink(parent: number, name: string): MaybePromise<void>;
  /** @throws ENOENT, ENOTDIR, ENOTEMPTY, EBUSY for an entry's own directory */
  rmdir(parent: number, name: string): MaybePromise<void>;
  /**
   * `flags`: 0, `RENAME_NOREPLACE` or `RENAME_EXCHANGE`.
   * @throws ENOENT, ENOTDIR, EISDIR, ENOTEMPTY, EEXIST, EINVAL into itself, EXDEV between entries, EBUSY for an entry
   */
  rename(parent: number, name: string, newParent: number, newName: string, flags?: number): MaybePromise<void>;
  /**
   * Opens a file and returns a handle. `flags` as in open(2); O_TRUNC truncates.
   * @throws EISDIR, ENOENT, EROFS, EIO if a source changed, ESTALE if the kernel must look up the permissions again
   */
  open(ino: number, flags: number): MaybePromise<number>;
  /**
   * Reads into `buffer` at `position`. Returns the bytes read, fewer than `buffer.length` only at the end of the file.
   * @throws EBADF, EIO
   */
  read(handle: number, buffer: Buffer, position: number): MaybePromise<number>;
  /**
   * Writes `buffer`, or as much as there is room for. Returns the bytes written.
   * @throws EBADF, EFBIG, ENOSPC, EDQUOT, EIO
   */
  write(handle: number, buffer: Buffer, position: number): MaybePromise<number>;
  /** Called for each close(2) of a descriptor of the handle. @throws EBADF, EIO */
  flush(handle: number): MaybePromise<void>;
  /** Makes a file's data and name durable. @throws EBADF, ENOSPC, EIO */
  fsync(handle: number, dataOnly: boolean): MaybePromise<void>;
  /** Makes the names in a directory durable. @throws ENOENT, EIO */
  fsyncdir(ino: number): MaybePromise<void>;
  /** `mode` as in fallocate(2). @throws EBADF, EOPNOTSUPP for an unknown mode, EINVAL, ENOSPC */
  fallocate(handle: number, mode: number, offset: number, length: number): MaybePromise<void>;
  release(handle: number): MaybePromise<void>;
  statfs(): MaybePromise<FileSystemStats>;
}
