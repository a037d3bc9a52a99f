/**
 * The file system as inode-based operations, before any driver.
 *
 * Glossary. An *inode* is a file or a directory, named by `ino`, a counter kept in the store that survives remounts.
 * A *dentry* is a name in a directory that leads to an inode; an inode may have several. A *handle* is an open file or
 * directory.
 *
 * Invariants: operations throw `PosixError` and nothing else on purpose; no operation scans, hashes or talks to a
 * client; a result that is not a promise is the common case and costs no tick of the event loop.
 */

import type { Timestamp } from '../native/timestamp.ts';
import type { MaybePromise } from '../store/maybe-promise.ts';
import type { Stale } from '../store/notices.ts';
import type { InodeType } from '../store/records/record.ts';

export type { MaybePromise } from '../store/maybe-promise.ts';
export type { Stale } from '../store/notices.ts';

export const ROOT_INO = 1;

export type FileType = InodeType;

export interface Attributes {
  readonly ino: number;
  readonly type: FileType;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  /** Of `block` and `character`. */
  readonly rdev: number;
  /** Bytes. */
  readonly size: number;
  /** 512-byte blocks. */
  readonly blocks: number;
  readonly atime: Timestamp;
  readonly mtime: Timestamp;
  readonly ctime: Timestamp;
}

/** What `setattr` changes; what is absent stays. */
export interface AttributeChanges {
  /** Permission bits. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Bytes: ftruncate(2). */
  readonly size?: number;
  readonly atime?: Timestamp | 'now';
  readonly mtime?: Timestamp | 'now';
}

/** Whom a new inode belongs to. A driver that is not told leaves it out: then it is the mount's owner. */
export interface Caller {
  readonly uid: number;
  readonly gid: number;
}

/** renameat2(2). */
export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;

export interface Dentry {
  readonly name: string;
  readonly ino: number;
  readonly type: FileType;
  /** Where `readdir` goes on behind this one. */
  readonly offset: number;
}

export interface FileSystemStats {
  /** Bytes to a block. */
  readonly bsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
}

/** What a driver needs that knows paths and no inodes. Another has no use for it. */
export interface PathAbility {
  /** Rises when a directory has gone or moved: a path that was resolved before may lead elsewhere now. */
  readonly treeVersion: number;
  /** Whether anybody has it open. */
  isOpen(ino: number): boolean;
  /** `lookup` of the inode number alone, which costs less. @throws ENOENT, ENOTDIR, ENAMETOOLONG */
  find(parent: number, name: string): MaybePromise<number>;
}

/**
 * Where two are given, `parent` and `name` are a directory and a name in it. Names are text; one that no folder can hold
 * is EINVAL, one of more than 255 bytes ENAMETOOLONG. A driver checks permissions (the kernel's default_permissions).
 */
export interface Operations {
  /** Optional: for a driver that is given paths. */
  readonly paths?: PathAbility | undefined;
  /**
   * Optional: calls `listener` with whatever the kernel may have kept and must not believe any more: changes that no
   * operation has asked for, such as a removed entry. Gives a function that ends it.
   */
  watchStale?(listener: (stale: Stale) => void): () => void;
  /** @throws ENOENT, ENOTDIR, ENAMETOOLONG, EIO */
  lookup(parent: number, name: string): MaybePromise<Attributes>;
  /** @throws ENOENT, EIO */
  getattr(ino: number): MaybePromise<Attributes>;
  /** @throws ENOENT, EISDIR and EINVAL for the size of what is no file, EFBIG, ENOSPC, EROFS, EIO */
  setattr(ino: number, changes: AttributeChanges): MaybePromise<Attributes>;
  /** A handle of a directory, which stays, without a name, until its last handle is released. @throws ENOTDIR, ENOENT */
  opendir(ino: number): MaybePromise<number>;
  /**
   * The names behind `offset` (0, or a `Dentry.offset` of this handle), in pages. Each name that is there all the time
   * comes once, however many come and go meanwhile. A handle remembers the names that it has given. @throws EBADF, EINVAL
   */
  readdir(handle: number, offset: number): AsyncIterable<readonly Dentry[]>;
  /** @throws EBADF */
  releasedir(handle: number): MaybePromise<void>;
  /** @throws ENOENT, EINVAL */
  readlink(ino: number): MaybePromise<string>;
  /** A regular file, and a handle of it. `mode` has permission bits, `flags` as open(2). @throws EEXIST, ENOSPC, … */
  create(
    parent: number,
    name: string,
    mode: number,
    flags: number,
    caller?: Caller,
  ): MaybePromise<{ readonly attributes: Attributes; readonly handle: number }>;
  /** A file, FIFO, socket or device. @throws EEXIST, ENOENT, ENOTDIR, ENOSPC */
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
  /** An open file stays until its last handle is released. @throws ENOENT, ENOTDIR, EISDIR */
  unlink(parent: number, name: string): MaybePromise<void>;
  /** @throws ENOENT, ENOTDIR, ENOTEMPTY, EBUSY for an entry's own directory */
  rmdir(parent: number, name: string): MaybePromise<void>;
  /**
   * `flags`: 0, `RENAME_NOREPLACE` or `RENAME_EXCHANGE`.
   * @throws ENOENT, ENOTDIR, EISDIR, ENOTEMPTY, EEXIST, EINVAL into itself, EXDEV between entries, EBUSY for an entry
   */
  rename(parent: number, name: string, newParent: number, newName: string, flags?: number): MaybePromise<void>;
  /** `flags` as open(2) has them; O_TRUNC truncates. A handle. @throws EISDIR, ENOENT, EROFS, EIO where a source changed */
  open(ino: number, flags: number): MaybePromise<number>;
  /**
   * Reads `buffer.length` bytes at `position` into `buffer`; the bytes read: fewer only at the end of the file.
   * @throws EBADF, EIO
   */
  read(handle: number, buffer: Buffer, position: number): MaybePromise<number>;
  /** All of `buffer`, or as much as there was room for. The bytes written. @throws EBADF, EFBIG, ENOSPC, EDQUOT, EIO */
  write(handle: number, buffer: Buffer, position: number): MaybePromise<number>;
  /** A close(2) of one of the handle's descriptors. @throws EBADF, EIO */
  flush(handle: number): MaybePromise<void>;
  /** What was written and the name of the file are on the disk when it ends. @throws EBADF, ENOSPC, EIO */
  fsync(handle: number, dataOnly: boolean): MaybePromise<void>;
  /** The names in a directory are on the disk when it ends. @throws ENOENT, EIO */
  fsyncdir(ino: number): MaybePromise<void>;
  /** `mode` as fallocate(2) has it. @throws EBADF, EOPNOTSUPP for a mode that is not known, EINVAL, ENOSPC */
  fallocate(handle: number, mode: number, offset: number, length: number): MaybePromise<void>;
  release(handle: number): MaybePromise<void>;
  statfs(): MaybePromise<FileSystemStats>;
}
