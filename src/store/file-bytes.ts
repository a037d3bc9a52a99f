/**
 * The bytes of the mount's files as verbs: what `vfs/` may do with a file once it has its content.
 *
 * A *content* is what a file consists of (`overlay/content.ts`), with a count of its users. Changes of one file take
 * turns: a caller of `write`, `truncate` or `pool` ensures that no other change of that file is running.
 */
import fs from 'node:fs';
import { promisify } from 'node:util';
import { PosixError, posixErrorOf } from '../errors.ts';
import { isOutOfDescriptors } from '../native/descriptor-budget.ts';
import { later, type Timestamp, toMilliseconds } from '../native/timestamp.ts';
import type { Pieces } from './entries/pieces.ts';
import type { MaybePromise } from './maybe-promise.ts';
import type { Content, PlainContent } from './overlay/content.ts';
import { type BaseBytes, MappedWriting } from './overlay/mapped-writing.ts';
import type { Overlay } from './overlay/overlay.ts';
import type { OverlayDisk } from './overlay/overlay-disk.ts';
import type { OverlayFileStats } from './overlay/overlay-files.ts';
import { PlainWriting, readAll } from './overlay/plain-writing.ts';
import type { Database } from './records/database.ts';
import type { Inode } from './records/record.ts';
import type { Tree } from './tree/tree.ts';

const fsync = promisify(fs.fsync);

/** The largest size of a file, in bytes; the journal's records can hold twice that. */
export const LARGEST_FILE = 2 ** 47;

/** The attributes that `stat` shows of a file's bytes. */
export interface FileStats {
  readonly size: number;
  /** In units of 512 bytes. */
  readonly blocks: number;
  readonly atime: Timestamp;
  readonly mtime: Timestamp;
  readonly ctime: Timestamp;
}

export interface FileBytesParts {
  readonly db: Database;
  readonly tree: Tree;
  readonly overlay: Overlay;
  readonly pieces: Pieces;
  readonly disk: OverlayDisk;
  /** Called with the id of each entry whose bytes change; often. */
  readonly onChange: (entry: number) => void;
}

export class FileBytes {
  readonly #db: Database;
  readonly #overlay: Overlay;
  readonly #mapped: MappedWriting;
  readonly #plain: PlainWriting;

  constructor({ db, tree, overlay, pieces, disk, onChange }: FileBytesParts) {
    this.#db = db;
    this.#overlay = overlay;
    this.#mapped = new MappedWriting(overlay, pieces, disk, onChange);
    this.#plain = new PlainWriting(tree, pieces, disk, onChange);
  }

  /** The overlay's folder, on the disk whose free space counts. */
  get folder(): string {
    return this.#overlay.files.folder;
  }

  /** Returns the content of a file and adds a user, until `release`. @throws ENOENT, EIO, AutotorrentError('STORE') */
  acquire(ino: number): MaybePromise<Content> {
    try {
      const content = this.#overlay.contents.acquire(ino);
      return content instanceof Promise ? content.then((loaded) => this.#usable(loaded)) : this.#usable(content);
    } catch (error) {
      throw unusable(ino, error);
    }
  }

  /** Opens the overlay file, so that a missing one is noticed here. */
  #usable(content: Content): Content {
    try {
      if (content.kind === 'plain' || content.overlaid) void content.overlay?.fd;
      return content;
    } catch (error) {
      this.release(content);
      throw unusable(content.ino, error);
    }
  }

  /** Removes a user; the last one closes the content. */
  release(content: Content): void {
    this.#overlay.contents.release(content);
  }

  /**
   * Writes all of `buffer`, or fails. `base` reads the base of a mapped file; a plain file has none.
   * @throws EFBIG, ENOSPC, EIO, file errors of the disk
   */
  write(content: Content, buffer: Buffer, position: number, base: BaseBytes | undefined): MaybePromise<number> {
    if (position + buffer.length > LARGEST_FILE) throw new PosixError('EFBIG');
    if (buffer.length === 0) return 0;
    return asPosix(() => this.#write(content, buffer, position, base));
  }

  #write(content: Content, buffer: Buffer, position: number, base: BaseBytes | undefined): MaybePromise<number> {
    if (content.kind === 'plain') return this.#plain.write(content, buffer, position);
    if (base === undefined) throw new Error('a mapped file is written to, and nobody reads its base');
    return this.#mapped.write(content, buffer, position, base);
  }

  /**
   * Reads a plain file until `buffer` is full or the file ends; returns the bytes read. @throws file errors of the disk
   */
  async readPlain(content: PlainContent, buffer: Buffer, position: number): Promise<number> {
    return await content.overlay.during(async (fd) => await readAll(fd, buffer, position));
  }

  /** @throws EFBIG, ENOSPC, EIO, file errors of the disk */
  truncate(content: Content, size: number): MaybePromise<void> {
    if (size > LARGEST_FILE) throw new PosixError('EFBIG');
    if (content.kind === 'plain') return asPosix(() => this.#plain.truncate(content, size));
    return size === content.size ? undefined : asPosix(() => this.#mapped.truncate(content, size));
  }

  /** Makes the written bytes and the file's name durable. @throws file errors of the disk, AutotorrentError('STORE') */
  async sync(content: Content): Promise<void> {
    await asPosix(async () => {
      await this.syncBytes(content);
      if (content.kind === 'plain') await this.#overlay.files.syncNames([content.ino]);
      await this.#db.sync();
    });
  }

  /** Makes the written bytes durable, not necessarily the file's name. @throws as `sync` */
  async syncBytes(content: Content): Promise<void> {
    if (content.kind === 'mapped') await this.#overlay.checkpoints.one(content);
    else await content.overlay.during(fsync);
  }

  /** Reports whether a power loss would keep everything that was written to a file. */
  isRecorded(ino: number): boolean {
    return this.#overlay.contents.inUse(ino)?.dirty !== true;
  }

  /** Returns what `stat` shows of the bytes of `inode`, open or not. @throws EIO */
  stat(ino: number, inode: Inode): FileStats {
    if (inode.type === 'file' && inode.content === 'plain') {
      const stats = this.#plainStats(ino);
      return { ...stats, ctime: later(stats.ctime, inode.ctime) };
    }
    const open = this.#overlay.contents.inUse(ino);
    const { size, mtime } = open ?? inode;
    const ctime = open === undefined ? inode.ctime : later(open.ctime, inode.ctime);
    const blocks = inode.type === 'file' || inode.type === 'directory' ? Math.ceil(size / 512) : 0;
    return { size, blocks, atime: inode.atime, mtime, ctime };
  }

  /** Notes that times of an inode were set; a mapped file that is open takes them, too. */
  setOpenTimes(ino: number, ctime: Timestamp, mtime: Timestamp | undefined): void {
    const open = this.#overlay.contents.inUse(ino);
    if (open === undefined) return;
    open.mtime = mtime ?? open.mtime;
    open.ctime = ctime;
  }

  /** Sets the times of a plain file, which are those of its overlay file. @throws EIO, file errors of the disk */
  setPlainTimes(
    ino: number,
    atime: Timestamp | undefined,
    mtime: Timestamp | undefined,
    setTimes: ((path: string, atime: Timestamp | undefined, mtime: Timestamp | undefined) => boolean) | undefined,
  ): void {
    const path = this.#overlay.files.path(ino);
    if (setTimes?.(path, atime, mtime) === true) return;
    const before = this.#plainStats(ino);
    fs.utimesSync(path, forNode(atime ?? before.atime), forNode(mtime ?? before.mtime));
  }

  #plainStats(ino: number): OverlayFileStats {
    const { files, contents } = this.#overlay;
    try {
      // By its descriptor if it is open: its path may be gone.
      return files.stat(ino, contents.plainInUse(ino)?.overlay.openFd);
    } catch (error) {
      throw new PosixError('EIO', `the overlay file of inode ${ino} is not there`, error);
    }
  }
}

/** Node takes a negative number for the present time, but a date for what it is. */
function forNode(time: Timestamp): number | Date {
  return time.seconds < 0 ? new Date(toMilliseconds(time)) : time.seconds + time.nanoseconds / 1e9;
}

function unusable(ino: number, error: unknown): unknown {
  if (error instanceof PosixError && error.code === 'ENOENT') return error;
  // This error tells nothing about the file.
  if (isOutOfDescriptors(error)) return new PosixError('ENFILE', 'too many files are open', error);
  return new PosixError('EIO', `the bytes of inode ${ino} cannot be opened`, error);
}

/** Runs `work` and turns file errors of the disk into `PosixError`. */
function asPosix<T>(work: () => MaybePromise<T>): MaybePromise<T> {
  try {
    const result = work();
    return result instanceof Promise ? result.catch(rethrow) : result;
  } catch (error) {
    return rethrow(error);
  }
}

function rethrow(error: unknown): never {
  throw posixErrorOf(error) ?? error;
}
