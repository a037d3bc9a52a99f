/**
 * The system calls of the portable cases, on a mount and on the bare vfs. Names, arguments and errors are those of
 * `node:fs/promises`, so that a mount needs only that module.
 */

/** Times in milliseconds since the epoch; `mode` with the bits of the type. */
export interface Stat {
  readonly ino: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly size: number;
  readonly blocks: number;
  readonly atimeMs: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
}

export interface OpenedFile {
  read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ bytesRead: number; buffer: Buffer }>;
  write(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>;
  stat(): Promise<Stat>;
  truncate(size: number): Promise<void>;
  chmod(mode: number): Promise<void>;
  /** Seconds. */
  utimes(atime: number, mtime: number): Promise<void>;
  sync(): Promise<void>;
  datasync(): Promise<void>;
  close(): Promise<void>;
}

export interface Calls {
  stat(path: string): Promise<Stat>;
  lstat(path: string): Promise<Stat>;
  /** `flags`: a word of fopen(3) (`r+`, `wx`, …), or bits of open(2). */
  open(path: string, flags?: string | number, mode?: number): Promise<OpenedFile>;
  readFile(path: string): Promise<Buffer>;
  writeFile(path: string, data: string | Buffer): Promise<void>;
  readdir(path: string): Promise<string[]>;
  mkdir(path: string, mode?: number): Promise<unknown>;
  rmdir(path: string): Promise<void>;
  unlink(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  link(existing: string, path: string): Promise<void>;
  symlink(target: string, path: string): Promise<void>;
  readlink(path: string): Promise<string>;
  truncate(path: string, size: number): Promise<void>;
  chmod(path: string, mode: number): Promise<void>;
  chown(path: string, uid: number, gid: number): Promise<void>;
  /** Seconds. */
  utimes(path: string, atime: number, mtime: number): Promise<void>;
}

/** Removes a file, or a folder with everything in it. */
export async function removeTree(calls: Calls, path: string): Promise<void> {
  const DIRECTORY = 0o040000;
  if (((await calls.lstat(path)).mode & 0o170000) !== DIRECTORY) return await calls.unlink(path);
  for (const name of await calls.readdir(path)) await removeTree(calls, `${path}/${name}`);
  await calls.rmdir(path);
}
