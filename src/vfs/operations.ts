/**
 * The file system as inode-based operations, before any driver.
 *
 * Glossary. An *inode* is a file or a directory, named by `ino`, a counter kept in the store that survives remounts.
 * A *dentry* is a name in a directory that leads to an inode; an inode may have several. A *handle* is an open file.
 *
 * Invariants: operations throw `PosixError` and nothing else on purpose; no operation scans, hashes or talks to a
 * client; a result that is not a promise is the common case and costs no tick of the event loop.
 */

export const ROOT_INO = 1;

export type MaybePromise<T> = T | Promise<T>;

export type FileType = 'file' | 'directory' | 'symlink';

export interface Attributes {
  readonly ino: number;
  readonly type: FileType;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
  /** 512-byte blocks. */
  readonly blocks: number;
  /** Milliseconds since the epoch, with a fraction. */
  readonly atimeMs: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
}

export interface Dentry {
  readonly name: string;
  readonly ino: number;
  readonly type: FileType;
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

export interface Operations {
  /** Rises when a directory has gone or moved: a path that was resolved before may lead elsewhere now. */
  readonly treeVersion: number;
  /** @throws ENOENT, ENOTDIR, EIO */
  lookup(parent: number, name: string): MaybePromise<number>;
  /** @throws ENOENT, EIO */
  getattr(ino: number): MaybePromise<Attributes>;
  /** In pages, so that a directory of 100,000 names never stands whole in memory by our doing. @throws ENOTDIR, ENOENT */
  readdir(ino: number): AsyncIterable<readonly Dentry[]>;
  /** @throws ENOENT, EINVAL */
  readlink(ino: number): MaybePromise<string>;
  /** `flags` as open(2) has them. A handle. @throws EROFS for writing, EISDIR, ENOENT, EIO where a source changed */
  open(ino: number, flags: number): MaybePromise<number>;
  /**
   * Reads `buffer.length` bytes at `position` into `buffer`; the bytes read: fewer only at the end of the file.
   * @throws EBADF, EIO
   */
  read(handle: number, buffer: Buffer, position: number): MaybePromise<number>;
  release(handle: number): MaybePromise<void>;
  statfs(): MaybePromise<FileSystemStats>;
}
