/**
 * The mount's operations over a store (glossary: `operations.ts`, `store/store.ts`).
 *
 * Invariants:
 * - Sources are opened read-only. Whatever asks for writing gets EROFS.
 * - No wrong byte is served as right: a source is looked at on open and at most once a second while it is read.
 *   What a source that was just modified in place supplied within that second may have reached a reader, and the
 *   kernel's page cache. A driver must therefore mount without kernel_cache and auto_cache: then the kernel drops its
 *   pages of a file at each open. (auto_cache would keep them, since neither size nor mtime of ours changes with the
 *   source.) The price: a file that is opened again is read again.
 * - The event loop never waits for a disk: what the page cache holds is answered at once (`Libc.preadCached`), the rest
 *   by a thread.
 */
import { constants, read, statfs } from 'node:fs';
import { promisify } from 'node:util';
import { messageOf, PosixError } from '../errors.ts';
import type { Extent } from '../extent/extent.ts';
import type { ExtentMap } from '../extent/extent-map.ts';
import type { Logger } from '../logger.ts';
import type { Libc } from '../posix/libc.ts';
import type { Inode } from '../store/record.ts';
import type { Store } from '../store/store.ts';
import type { Attributes, Dentry, FileSystemStats, MaybePromise, Operations } from './operations.ts';
import type { OwnMounts } from './own-mounts.ts';
import type { SourceFile } from './source-file.ts';
import { type BrokenSource, FRESH_MS, SourceFiles } from './sources.ts';

const readAsync = promisify(read);
const statfsAsync = promisify(statfs);

export interface FileSystemOptions {
  readonly store: Store;
  readonly libc: Libc;
  readonly logger: Logger;
  readonly ownMounts: OwnMounts;
  /** Whose files the mount shows. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /** Permission bits taken from every mode. */
  readonly umask: number;
  /** A folder on the disk whose space `statfs` reports. */
  readonly statePath: string;
}

export interface FileSystemStatus {
  readonly openFiles: number;
  readonly openSources: number;
  /** Since the start. */
  readonly opens: number;
  readonly reads: number;
  readonly bytesRead: number;
  /** Opens and reads that failed with EIO. */
  readonly errors: number;
  /** With the names of the entries that use them. */
  readonly broken: readonly (BrokenSource & { readonly entries: readonly string[] })[];
}

interface Handle {
  readonly extents: ExtentMap;
  /** By source id as the extents name it: the file that serves it, which may be a spare. */
  readonly bound: Map<number, SourceFile>;
}

/** Sources that `open` looks at. A file of more parts has the others looked at when they are read. */
const CHECKED_AT_OPEN = 16;
/** Of one read: the source, the source opened anew, its spares. */
const ATTEMPTS = 6;
const WRITING = constants.O_WRONLY | constants.O_RDWR | constants.O_TRUNC | constants.O_CREAT | constants.O_APPEND;

export class FileSystem implements Operations {
  readonly #store: Store;
  readonly #options: FileSystemOptions;
  readonly #sources: SourceFiles;
  readonly #handles = new Map<number, Handle>();
  #lastHandle = 0;
  #statfs: { readonly at: number; readonly stats: Promise<FileSystemStats> } | undefined;
  readonly #count = { opens: 0, reads: 0, bytesRead: 0, errors: 0 };

  constructor(options: FileSystemOptions) {
    this.#store = options.store;
    this.#options = options;
    this.#sources = new SourceFiles((id) => options.store.source(id), options.ownMounts, options.logger);
  }

  get treeVersion(): number {
    return this.#store.treeVersion;
  }

  lookup(parent: number, name: string): number {
    const dirent = this.#store.lookup(parent, name);
    if (dirent !== undefined) return dirent.ino;
    throw new PosixError(this.#inode(parent).type === 'directory' ? 'ENOENT' : 'ENOTDIR');
  }

  getattr(ino: number): Attributes {
    const { type, mode, nlink, size, atimeMs, mtimeMs, ctimeMs } = this.#inode(ino);
    const { owner, umask } = this.#options;
    return {
      ino,
      type,
      // A symlink's own mode means nothing, and Linux shows it whole.
      mode: type === 'symlink' ? mode : mode & ~umask,
      nlink,
      uid: owner.uid,
      gid: owner.gid,
      size,
      blocks: Math.ceil(size / 512),
      atimeMs,
      mtimeMs,
      ctimeMs,
    };
  }

  async *readdir(ino: number): AsyncGenerator<readonly Dentry[], void, undefined> {
    if (this.#inode(ino).type !== 'directory') throw new PosixError('ENOTDIR');
    yield* this.#store.readdir(ino);
  }

  readlink(ino: number): string {
    if (this.#inode(ino).type !== 'symlink') throw new PosixError('EINVAL');
    const target = this.#store.target(ino);
    if (target === undefined) throw new PosixError('EIO', `inode ${ino} is a symlink without a target`);
    return target;
  }

  open(ino: number, flags: number): MaybePromise<number> {
    const { type } = this.#inode(ino);
    if (type === 'directory') throw new PosixError('EISDIR');
    if (type === 'symlink') throw new PosixError('EINVAL');
    if ((flags & WRITING) !== 0) throw new PosixError('EROFS');
    const extents = this.#store.extents(ino);
    const handle: Handle = { extents, bound: new Map() };
    this.#count.opens++;
    const sources = firstSources(extents);
    return sources.size === 0 ? this.#register(handle) : this.#openChecked(handle, sources);
  }

  async #openChecked(handle: Handle, sources: ReadonlySet<number>): Promise<number> {
    try {
      for (const id of sources) await this.#bind(handle, id, true);
    } catch (error) {
      this.#unbind(handle);
      this.#count.errors++;
      throw error;
    }
    return this.#register(handle);
  }

  #register(handle: Handle): number {
    // Never 0 (which fuse-native takes for none), within 31 bits, and never one that is in use.
    do this.#lastHandle = (this.#lastHandle % 0x7fff_ffff) + 1;
    while (this.#handles.has(this.#lastHandle));
    this.#handles.set(this.#lastHandle, handle);
    return this.#lastHandle;
  }

  read(handle: number, buffer: Buffer, position: number): MaybePromise<number> {
    const file = this.#handles.get(handle);
    if (file === undefined) throw new PosixError('EBADF');
    const extents = file.extents.slice(position, buffer.length);
    this.#count.reads++;
    const now = performance.now();
    let done = 0;
    for (const extent of extents) {
      const got = this.#readAtOnce(file, extent, buffer, done, now);
      done += got;
      if (got < extent.length) return this.#readWaiting(file, buffer, position, done);
    }
    this.#count.bytesRead += done;
    return done;
  }

  /** What can be had without waiting: up to the whole extent. */
  #readAtOnce(file: Handle, extent: Extent, buffer: Buffer, offset: number, now: number): number {
    if (extent.source < 0) {
      buffer.fill(0, offset, offset + extent.length);
      return extent.length;
    }
    const source = file.bound.get(extent.source);
    if (source === undefined || source.closed || now - source.checkedAt >= FRESH_MS) return 0;
    const { preadCached } = this.#options.libc;
    if (preadCached === undefined) return 0;
    return Math.max(0, preadCached(source.fd, buffer, offset, extent.length, extent.sourceOffset));
  }

  async #readWaiting(file: Handle, buffer: Buffer, position: number, begun: number): Promise<number> {
    let done = begun;
    try {
      for (const extent of file.extents.slice(position + done, buffer.length - done)) {
        if (extent.source < 0) buffer.fill(0, done, done + extent.length);
        else await this.#readSource(file, extent, buffer, done);
        done += extent.length;
      }
    } catch (error) {
      this.#count.errors++;
      throw error;
    }
    this.#count.bytesRead += done;
    return done;
  }

  /**
   * All of it, or EIO. A source that ends too early or cannot be read is opened anew once, which finds out whether it
   * changed; should it only be unreadable (a bad disk), a spare stands in.
   */
  async #readSource(file: Handle, extent: Extent, buffer: Buffer, offset: number): Promise<void> {
    let failures = 0;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const source = await this.#bind(file, extent.source);
      if (source.closed) continue; // another reader's doing, since
      const reason = await readWhole(source, buffer, offset, extent.length, extent.sourceOffset);
      if (reason === undefined) {
        if (source.id === extent.source) this.#sources.confirm(source.id);
        return;
      }
      this.#sources.distrust(source);
      if (++failures > 1) this.#rebind(file, extent.source, await this.#sources.replace(extent.source, source, reason));
    }
    throw new PosixError('EIO', 'a source and its spares cannot be read');
  }

  async #bind(file: Handle, id: number, look = false): Promise<SourceFile> {
    const before = file.bound.get(id);
    if (!look && before !== undefined && !before.closed && performance.now() - before.checkedAt < FRESH_MS)
      return before;
    const source = await this.#sources.serve(id, look);
    this.#rebind(file, id, source);
    return source;
  }

  #rebind(file: Handle, id: number, source: SourceFile): void {
    const before = file.bound.get(id);
    if (before === source) return;
    this.#sources.retain(source);
    file.bound.set(id, source);
    if (before !== undefined) this.#sources.release(before);
  }

  #unbind(file: Handle): void {
    for (const source of file.bound.values()) this.#sources.release(source);
    file.bound.clear();
  }

  release(handle: number): void {
    const file = this.#handles.get(handle);
    if (file === undefined) throw new PosixError('EBADF');
    this.#handles.delete(handle);
    this.#unbind(file);
  }

  async statfs(): Promise<FileSystemStats> {
    const now = performance.now();
    if (this.#statfs === undefined || now - this.#statfs.at > FRESH_MS) {
      this.#statfs = { at: now, stats: statfsAsync(this.#options.statePath) };
    }
    const { bsize, blocks, bfree, bavail, files, ffree } = await this.#statfs.stats;
    return { bsize, blocks, bfree, bavail, files, ffree };
  }

  async status(): Promise<FileSystemStatus> {
    const broken = [];
    for (const source of this.#sources.broken) {
      const entries = await this.#store.entriesUsing(source.id);
      if (entries.length > 0) broken.push({ ...source, entries });
    }
    return { openFiles: this.#handles.size, openSources: this.#sources.openCount, ...this.#count, broken };
  }

  /** After the unmount: closes what readers left open. */
  close(): void {
    this.#handles.clear();
    this.#sources.close();
  }

  #inode(ino: number): Inode {
    const inode = this.#store.inode(ino);
    if (inode === undefined) throw new PosixError('ENOENT');
    return inode;
  }
}

function firstSources(extents: ExtentMap): ReadonlySet<number> {
  const sources = new Set<number>();
  for (const { source } of extents) {
    if (source >= 0) sources.add(source);
    if (sources.size === CHECKED_AT_OPEN) break;
  }
  return sources;
}

/** Undefined when all of it was read, else why not. */
async function readWhole(
  source: SourceFile,
  buffer: Buffer,
  offset: number,
  length: number,
  position: number,
): Promise<string | undefined> {
  source.begin();
  try {
    for (let done = 0; done < length; ) {
      const { bytesRead } = await readAsync(source.fd, buffer, offset + done, length - done, position + done);
      if (bytesRead === 0) return 'it ends too early';
      done += bytesRead;
    }
    return undefined;
  } catch (error) {
    return messageOf(error);
  } finally {
    source.done();
  }
}
