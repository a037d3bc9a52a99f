/**
 * The mount's operations over a store (glossary: `operations.ts`, `store/store.ts`; writes: `docs/overlay.md`).
 *
 * Invariants:
 * - Sources are opened read-only. What is written goes to the overlay.
 * - No wrong byte is served as right: a source is looked at on open and at most once a second while it is read.
 *   What a source that was just modified in place supplied within that second may have reached a reader, and the
 *   kernel's page cache. A driver must therefore mount without kernel_cache and auto_cache: then the kernel drops its
 *   pages of a file at each open. (auto_cache would keep them, since neither size nor mtime of ours changes with the
 *   source.) The price: a file that is opened again is read again.
 * - The event loop never waits for a source's disk: what the page cache holds is answered at once, the rest by a thread.
 */
import { close, constants, fsync, lstat, statfs } from 'node:fs';
import { promisify } from 'node:util';
import { PosixError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { DescriptorBudget } from '../native/descriptor-budget.ts';
import type { FileCalls } from '../native/files.ts';
import type { OwnMounts } from '../source/own-mounts.ts';
import { type BrokenSource, FRESH_MS, SourceFiles } from '../source/served-sources.ts';
import type { StoredFile } from '../store/entries/entry-files.ts';
import type { Content } from '../store/overlay/content.ts';
import type { Quiet } from '../store/overlay/discard.ts';
import { BLOCK_BYTES } from '../store/overlay/written-blocks.ts';
import { put } from '../store/records/database.ts';
import { overlayKey } from '../store/records/key.ts';
import type { Inode } from '../store/records/record.ts';
import type { Pooling } from '../store/sources/pool-files.ts';
import type { Store } from '../store/store.ts';
import { notThere } from '../store/tree/namespace.ts';
import { InodeAttributes } from './inode-attributes.ts';
import type { OpenFile } from './open-file.ts';
import { OpenFiles } from './open-files.ts';
import {
  type AttributeChanges,
  type Attributes,
  type Caller,
  type Dentry,
  type FileSystemStats,
  type FileType,
  type MaybePromise,
  type Operations,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
} from './operations.ts';
import { OverlayDisk } from './overlay-disk.ts';
import { Reading } from './reading.ts';
import { asPosix, Writing } from './writing.ts';

const statfsAsync = promisify(statfs);
const fsyncAsync = promisify(fsync);
const lstatAsync = promisify(lstat);

export interface FileSystemOptions {
  readonly store: Store;
  readonly libc: FileCalls;
  readonly logger: Logger;
  readonly ownMounts: OwnMounts;
  readonly descriptors: DescriptorBudget;
  /** Whose files the mount shows. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /** Permission bits taken from every mode of what was planned. */
  readonly umask: number;
  /** A folder on the disk whose space `statfs` reports: the overlay's. */
  readonly statePath: string;
  /** Told of the id of each entry whose bytes change; often. */
  readonly onChange?: (entry: number) => void;
}

export interface FileSystemStatus {
  readonly openFiles: number;
  readonly openSources: number;
  /** Since the start. */
  readonly opens: number;
  readonly reads: number;
  readonly bytesRead: number;
  readonly writes: number;
  readonly bytesWritten: number;
  /** Opens, reads and writes that failed with EIO or for want of room. */
  readonly errors: number;
  /** With the names of the entries that use them. */
  readonly broken: readonly (BrokenSource & { readonly entries: readonly string[] })[];
}

interface Handle {
  readonly file: OpenFile;
  /** O_SYNC, O_DSYNC: each write is on the disk when it ends. */
  readonly synced: boolean;
}

/** Sources that `open` looks at. A file of more parts has the others looked at when they are read. */
const CHECKED_AT_OPEN = 16;
const FOLDER_BYTES = 4096;
/** fallocate(2). */
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const FALLOC_FL_ZERO_RANGE = 16;

export class FileSystem implements Operations {
  readonly #store: Store;
  readonly #options: FileSystemOptions;
  readonly #sources: SourceFiles;
  readonly #reading: Reading;
  readonly #writing: Writing;
  readonly #attributes: InodeAttributes;
  readonly #open: OpenFiles;
  readonly #handles = new Map<number, Handle>();
  #lastHandle = 0;
  #statfs: { readonly at: number; readonly stats: Promise<FileSystemStats> } | undefined;
  readonly #count = { opens: 0, reads: 0, bytesRead: 0, writes: 0, bytesWritten: 0, errors: 0 };

  constructor(options: FileSystemOptions) {
    this.#store = options.store;
    this.#options = options;
    const { store, ownMounts, descriptors, logger } = options;
    this.#sources = new SourceFiles({ record: (id) => store.source(id), ownMounts, descriptors, logger });
    this.#reading = new Reading(options.libc, this.#sources, options.store.overlay);
    const disk = new OverlayDisk(options.store.overlay.files.folder);
    const onChange = options.onChange ?? ((): void => {});
    this.#writing = new Writing(options.store, this.#reading, disk, onChange);
    const counted = (error: unknown): unknown => this.#counted(error);
    this.#open = new OpenFiles({ store: options.store, reading: this.#reading, counted, onChange });
    this.#attributes = new InodeAttributes({ ...options, openFile: (ino) => this.#open.get(ino) });
  }

  isOpen(ino: number): boolean {
    return this.#open.isOpen(ino);
  }

  /** For what changes files from the side (`overlay discard`). */
  get quiet(): Quiet {
    return this.#open.quiet;
  }

  get treeVersion(): number {
    return this.#store.treeVersion;
  }

  lookup(parent: number, name: string): number {
    const dirent = this.#store.lookup(parent, name);
    if (dirent !== undefined) return dirent.ino;
    throw this.#attributes.inode(parent).type === 'directory' ? notThere(name) : new PosixError('ENOTDIR');
  }

  getattr(ino: number): Attributes {
    return this.#attributes.of(ino);
  }

  async setattr(ino: number, changes: AttributeChanges): Promise<Attributes> {
    const { size, mode, uid, gid, atime, mtime } = changes;
    if (size !== undefined) await this.#truncate(ino, size);
    const touched = [mode, uid, gid, atime, mtime].some((change) => change !== undefined);
    if (touched) await this.#attributes.change(ino, changes);
    return this.getattr(ino);
  }

  async #truncate(ino: number, size: number): Promise<void> {
    const { type } = this.#attributes.inode(ino);
    if (type === 'directory') throw new PosixError('EISDIR');
    if (type !== 'file' || !Number.isSafeInteger(size) || size < 0) throw new PosixError('EINVAL');
    await this.#open.using(ino, async (file) => await this.#writing.truncate(file, size));
  }

  async *readdir(ino: number): AsyncGenerator<readonly Dentry[], void, undefined> {
    if (this.#attributes.inode(ino).type !== 'directory') throw new PosixError('ENOTDIR');
    yield* this.#store.readdir(ino);
  }

  readlink(ino: number): string {
    if (this.#attributes.inode(ino).type !== 'symlink') throw new PosixError('EINVAL');
    const target = this.#store.target(ino);
    if (target === undefined) throw new PosixError('EIO', `inode ${ino} is a symlink without a target`);
    return target;
  }

  async create(
    parent: number,
    name: string,
    mode: number,
    flags: number,
    caller?: Caller,
  ): Promise<{ ino: number; handle: number }> {
    const made = await this.#makeFile(parent, name, mode, caller);
    return { ino: made.ino, handle: this.#register(made, flags) };
  }

  async mknod(
    parent: number,
    name: string,
    type: FileType,
    mode: number,
    rdev: number,
    caller?: Caller,
  ): Promise<number> {
    if (type === 'directory' || type === 'symlink') throw new PosixError('EINVAL');
    if (type !== 'file') return await this.#make(parent, name, type, { mode, rdev }, caller);
    const file = await this.#makeFile(parent, name, mode, caller);
    await this.#open.leave(file);
    return file.ino;
  }

  async mkdir(parent: number, name: string, mode: number, caller?: Caller): Promise<number> {
    return await this.#make(parent, name, 'directory', { mode, nlink: 2, size: FOLDER_BYTES }, caller);
  }

  async symlink(parent: number, name: string, target: string, caller?: Caller): Promise<number> {
    const bytes = Buffer.byteLength(target);
    if (bytes === 0) throw new PosixError('ENOENT');
    if (bytes > 4095) throw new PosixError('ENAMETOOLONG');
    return await this.#make(parent, name, 'symlink', { mode: 0o777, size: bytes }, caller, target);
  }

  /** An open file with one user: whoever asked for it. */
  async #makeFile(parent: number, name: string, mode: number, caller?: Caller): Promise<OpenFile> {
    const { files } = this.#store.overlay;
    const made: { ino?: number; fd?: number } = {};
    try {
      const inode = this.#attributes.newInode(parent, 'file', { mode, content: 'plain' }, caller);
      const ino = await this.#store.names.make({ parent, name }, inode, {
        prepare: (number) => {
          made.fd = files.create(number);
          made.ino = number;
          return [put(overlayKey(number), Buffer.alloc(0))];
        },
      });
      return this.#open.made(ino, made.fd);
    } catch (error) {
      if (made.fd !== undefined) close(made.fd);
      if (made.ino !== undefined) await files.remove(made.ino).catch(() => {});
      throw this.#counted(error);
    }
  }

  async #make(
    parent: number,
    name: string,
    type: FileType,
    more: Partial<Inode>,
    caller?: Caller,
    target?: string,
  ): Promise<number> {
    const inode = this.#attributes.newInode(parent, type, more, caller);
    try {
      return await this.#store.names.make({ parent, name }, inode, target === undefined ? {} : { target });
    } catch (error) {
      throw this.#counted(error);
    }
  }

  async link(ino: number, parent: number, name: string): Promise<void> {
    await this.#store.names.link(ino, { parent, name });
  }

  async unlink(parent: number, name: string): Promise<void> {
    await this.#open.dooming(async (uses) => await this.#store.names.unlink({ parent, name }, uses));
  }

  async rmdir(parent: number, name: string): Promise<void> {
    await this.#store.names.rmdir({ parent, name });
  }

  async rename(parent: number, name: string, newParent: number, newName: string, flags = 0): Promise<void> {
    const [from, to] = [
      { parent, name },
      { parent: newParent, name: newName },
    ];
    if (flags === RENAME_EXCHANGE) return await this.#store.names.exchange(from, to);
    if (flags !== 0 && flags !== RENAME_NOREPLACE) throw new PosixError('EINVAL');
    const noReplace = flags === RENAME_NOREPLACE;
    return await this.#open.dooming(async (uses) => await this.#store.names.rename(from, to, { noReplace, uses }));
  }

  open(ino: number, flags: number): MaybePromise<number> {
    const { type, content } = this.#attributes.inode(ino);
    if (type === 'directory') throw new PosixError('EISDIR');
    if (type !== 'file') throw new PosixError('EINVAL');
    this.#count.opens++;
    const file = this.#open.use(ino);
    if ((flags & constants.O_TRUNC) !== 0 || file instanceof Promise) return this.#openWaiting(file, flags);
    const sources = content === 'plain' ? undefined : firstSources(file.content);
    return sources === undefined || sources.size === 0
      ? this.#register(file, flags)
      : this.#openChecked(file, sources, flags);
  }

  async #openWaiting(using: MaybePromise<OpenFile>, flags: number): Promise<number> {
    const file = await using;
    if ((flags & constants.O_TRUNC) !== 0) {
      try {
        await this.#writing.truncate(file, 0);
      } catch (error) {
        await this.#open.leave(file);
        throw this.#counted(error);
      }
    }
    return await this.#openChecked(file, firstSources(file.content), flags);
  }

  async #openChecked(file: OpenFile, sources: ReadonlySet<number>, flags: number): Promise<number> {
    try {
      for (const id of sources) await this.#reading.bind(file, id, true);
    } catch (error) {
      await this.#open.leave(file);
      throw this.#counted(error);
    }
    return this.#register(file, flags);
  }

  #register(file: OpenFile, flags: number): number {
    // Never 0 (which fuse-native takes for none), within 31 bits, and never one that is in use.
    do this.#lastHandle = (this.#lastHandle % 0x7fff_ffff) + 1;
    while (this.#handles.has(this.#lastHandle));
    this.#handles.set(this.#lastHandle, { file, synced: (flags & (constants.O_SYNC | constants.O_DSYNC)) !== 0 });
    return this.#lastHandle;
  }

  #handle(handle: number): Handle {
    const found = this.#handles.get(handle);
    if (found === undefined) throw new PosixError('EBADF');
    return found;
  }

  read(handle: number, buffer: Buffer, position: number): MaybePromise<number> {
    const { file } = this.#handle(handle);
    this.#count.reads++;
    if (file.content === undefined) return this.#readPlain(file, buffer, position);
    const extents = file.content.slice(position, buffer.length);
    const last = extents.at(-1);
    const length = last === undefined ? 0 : last.offset + last.length - position;
    const done = this.#reading.readAtOnce(file, extents, buffer);
    if (done < length) return this.#readWaiting(file, buffer, position, done);
    this.#count.bytesRead += done;
    return done;
  }

  #readPlain(file: OpenFile, buffer: Buffer, position: number): MaybePromise<number> {
    const { descriptor } = file;
    if (descriptor === undefined) throw new PosixError('EBADF');
    const done = this.#reading.cached(descriptor, buffer, 0, buffer.length, position);
    if (done === buffer.length) {
      this.#count.bytesRead += done;
      return done;
    }
    return this.#reading.readPlain(descriptor, buffer.subarray(done), position + done).then(
      (more) => {
        this.#count.bytesRead += done + more;
        return done + more;
      },
      (error: unknown) => {
        throw this.#counted(error);
      },
    );
  }

  async #readWaiting(file: OpenFile, buffer: Buffer, position: number, begun: number): Promise<number> {
    const rest = buffer.subarray(begun);
    const extents = file.content?.slice(position + begun, rest.length) ?? [];
    const done = begun + extents.reduce((sum, { length }) => sum + length, 0);
    try {
      await this.#reading.readWaiting(file, extents, rest);
    } catch (error) {
      throw this.#counted(error);
    }
    this.#count.bytesRead += done;
    return done;
  }

  write(handle: number, buffer: Buffer, position: number): MaybePromise<number> {
    const { file, synced } = this.#handle(handle);
    this.#count.writes++;
    let written: MaybePromise<number>;
    try {
      written = this.#writing.write(file, buffer, position);
    } catch (error) {
      throw this.#counted(error);
    }
    if (!synced && typeof written === 'number') {
      this.#count.bytesWritten += written;
      return written;
    }
    return this.#writeWaiting(handle, written, synced);
  }

  async #writeWaiting(handle: number, writing: MaybePromise<number>, synced: boolean): Promise<number> {
    try {
      const written = await writing;
      this.#count.bytesWritten += written;
      if (synced) await this.fsync(handle);
      return written;
    } catch (error) {
      throw this.#counted(error);
    }
  }

  /**
   * Puts a file of an entry, of which every byte is in its overlay file and verified, into the pool, and maps it to it.
   * Whoever has it open goes on. Undefined where it is not so any more, or the store has no pool.
   */
  async pool(infoHash: string, file: StoredFile, place: readonly string[]): Promise<Pooling | undefined> {
    const { pool, overlay } = this.#store;
    if (pool === undefined) return undefined;
    return await this.#open.using(file.ino, async (open) =>
      open.inTurn(async () => {
        const { content } = open;
        if (!isAllOverlay(content ?? this.getattr(file.ino), file.length)) return undefined;
        // It may have been written to since it was.
        if (!(await this.#isVerified(file))) return undefined;
        if (content !== undefined) await overlay.checkpoint(content);
        else if (open.descriptor !== undefined) await fsyncAsync(open.descriptor);
        const path = overlay.files.path(file.ino);
        const pooling = await pool.take(path, place);
        if ('kept' in pooling) return pooling;
        try {
          const { dev, ino, size, mtimeMs } = await lstatAsync(pooling.source);
          const source = { path: Buffer.from(pooling.source), dev, ino, size, mtimeMs, spares: [] };
          await this.#store.adopt(infoHash, file, source);
        } catch (error) {
          await pool.giveBack(pooling);
          throw error;
        }
        await pool.seal(pooling.pooled);
        if (content === undefined) open.becomeMapped(await overlay.acquire(file.ino));
        return pooling;
      }),
    );
  }

  async #isVerified({ ino, torrentOffset, length }: StoredFile): Promise<boolean> {
    const pieces = await this.#store.pieces.of(this.#attributes.inode(ino).entry);
    return torrentOffset !== undefined && pieces?.areVerified(torrentOffset, torrentOffset + length) === true;
  }

  flush(handle: number): void {
    // Nothing is held back: what a write has acknowledged is in the overlay.
    this.#handle(handle);
  }

  async fsync(handle: number): Promise<void> {
    const { file } = this.#handle(handle);
    const { overlay } = this.#store;
    try {
      // What waits for its turn was not acknowledged, and need not be on the disk.
      if (file.content !== undefined) await overlay.checkpoint(file.content);
      else if (file.descriptor !== undefined) {
        await fsyncAsync(file.descriptor);
        await overlay.files.syncNames([file.ino]);
      }
      await this.#store.sync();
    } catch (error) {
      throw this.#counted(error);
    }
  }

  async fsyncdir(ino: number): Promise<void> {
    this.#attributes.inode(ino);
    await this.#store.sync();
  }

  async fallocate(handle: number, mode: number, offset: number, length: number): Promise<void> {
    const { file } = this.#handle(handle);
    if (offset < 0 || length <= 0) throw new PosixError('EINVAL');
    const keepsSize = (mode & FALLOC_FL_KEEP_SIZE) !== 0;
    const kind = mode & ~FALLOC_FL_KEEP_SIZE;
    if (kind !== 0 && kind !== FALLOC_FL_ZERO_RANGE && (kind !== FALLOC_FL_PUNCH_HOLE || !keepsSize)) {
      throw new PosixError('EOPNOTSUPP');
    }
    try {
      if (kind !== 0) await this.#writing.zero(file, offset, length);
      if (keepsSize || offset + length <= this.getattr(file.ino).size) return;
      await this.#writing.truncate(file, offset + length);
    } catch (error) {
      throw this.#counted(error);
    }
  }

  release(handle: number): MaybePromise<void> {
    const { file } = this.#handle(handle);
    this.#handles.delete(handle);
    return this.#open.leave(file);
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

  /** After the unmount: closes what programs left open. */
  close(): void {
    this.#open.close();
    this.#handles.clear();
    this.#sources.close();
  }

  #counted(error: unknown): unknown {
    const posix = asPosix(error);
    if (posix instanceof PosixError && ['EIO', 'ENOSPC', 'EDQUOT'].includes(posix.code)) this.#count.errors++;
    return posix;
  }
}

/** Whether every byte of a file is in its overlay file. */
function isAllOverlay(file: Content | Attributes, length: number): boolean {
  if (file.size !== length || length === 0) return false;
  return (
    !('blocks' in file) || typeof file.blocks === 'number' || file.blocks.hasAll(0, Math.ceil(length / BLOCK_BYTES))
  );
}

function firstSources(content: Content | undefined): ReadonlySet<number> {
  const sources = new Set<number>();
  for (const { source, offset } of content?.extents ?? []) {
    if (offset >= (content?.baseEnd ?? 0)) break;
    if (source >= 0) sources.add(source);
    if (sources.size === CHECKED_AT_OPEN) break;
  }
  return sources;
}
