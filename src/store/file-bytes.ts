/**
 * The bytes of the mount's files, as verbs: what `vfs/` may do with a file once it has its content.
 *
 * A *content* is what a file is made of (`overlay/content.ts`), with a count of those who use it. Changes of one file take
 * turns: whoever calls `write`, `truncate` or `pool` sees to it that no other change of that file is under way.
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

/** Of any file, in bytes: what the journal's records hold is twice that. */
export const LARGEST_FILE = 2 ** 47;

/** What `stat` shows of a file's bytes. */
export interface FileStats {
  readonly size: number;
  /** Of 512 bytes. */
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
  /** Told of the id of each entry whose bytes change; often. */
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

  /** The folder of the overlay, on the disk whose free space counts. */
  get folder(): string {
    return this.#overlay.files.folder;
  }

  /** The content of a file, with one user more until `release`. @throws ENOENT, EIO, AutotorrentError('STORE') */
  acquire(ino: number): MaybePromise<Content> {
    try {
      const content = this.#overlay.contents.acquire(ino);
      return content instanceof Promise ? content.then((loaded) => this.#usable(loaded)) : this.#usable(content);
    } catch (error) {
      throw unusable(ino, error);
    }
  }

  /** Opens its overlay file, so that one which is missing is noticed here. */
  #usable(content: Content): Content {
    try {
      if (content.kind === 'plain' || content.overlaid) void content.overlay?.fd;
      return content;
    } catch (error) {
      this.release(content);
      throw unusable(content.ino, error);
    }
  }

  /** One user less: the last one closes it. */
  release(content: Content): void {
    this.#overlay.contents.release(content);
  }

  /**
   * All of `buffer`, or an error. `base` reads what a mapped file is made of; a plain one has none.
   * @throws EFBIG, ENOSPC, EIO, what the disk says
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

  /** Reads a plain file until `buffer` is full or the file ends; gives the bytes. @throws what the disk says */
  async readPlain(content: PlainContent, buffer: Buffer, position: number): Promise<number> {
    return await content.overlay.during(async (fd) => await readAll(fd, buffer, position));
  }

  /** @throws EFBIG, ENOSPC, EIO, what the disk says */
  truncate(content: Content, size: number): MaybePromise<void> {
    if (size > LARGEST_FILE) throw new PosixError('EFBIG');
    if (content.kind === 'plain') return asPosix(() => this.#plain.truncate(content, size));
    return size === content.size ? undefined : asPosix(() => this.#mapped.truncate(content, size));
  }

  /** What was written, and the file's name, are on the disk when it ends. @throws what the disk says, AutotorrentError('STORE') */
  async sync(content: Content): Promise<void> {
    await asPosix(async () => {
      await this.syncBytes(content);
      if (content.kind === 'plain') await this.#overlay.files.syncNames([content.ino]);
      await this.#db.sync();
    });
  }

  /** What was written is on the disk when it ends; the name of the file need not be. @throws as `sync` */
  async syncBytes(content: Content): Promise<void> {
    if (content.kind === 'mapped') await this.#overlay.checkpoints.one(content);
    else await content.overlay.during(fsync);
  }

  /** Whether all that was written to a file is found after a power loss. */
  isRecorded(ino: number): boolean {
    return this.#overlay.contents.inUse(ino)?.dirty !== true;
  }

  /** What `stat` shows of the bytes of `inode`, which may be open or not. @throws EIO */
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

  /** Times of an inode were set: those of a mapped file that is open, too. */
  setOpenTimes(ino: number, ctime: Timestamp, mtime: Timestamp | undefined): void {
    const open = this.#overlay.contents.inUse(ino);
    if (open === undefined) return;
    open.mtime = mtime ?? open.mtime;
    open.ctime = ctime;
  }

  /** Sets the times of a plain file, which are those of its overlay file. @throws EIO, what the disk says */
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
      // By its descriptor where it is open: its path may have gone.
      return files.stat(ino, contents.plainInUse(ino)?.overlay.openFd);
    } catch (error) {
      throw new PosixError('EIO', `the overlay file of inode ${ino} is not there`, error);
    }
  }
}

/** Node takes a negative number for the time of day, and a date for what it is. */
function forNode(time: Timestamp): number | Date {
  return time.seconds < 0 ? new Date(toMilliseconds(time)) : time.seconds + time.nanoseconds / 1e9;
}

function unusable(ino: number, error: unknown): unknown {
  if (error instanceof PosixError && error.code === 'ENOENT') return error;
  // Says nothing about the file.
  if (isOutOfDescriptors(error)) return new PosixError('ENFILE', 'too many files are open', error);
  return new PosixError('EIO', `the bytes of inode ${ino} cannot be opened`, error);
}

/** Throws what the disk says as a `PosixError`. */
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
