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
import { close, constants, fsync, lstat, statfs, utimesSync } from 'node:fs';
import { promisify } from 'node:util';
import { PosixError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Libc } from '../posix/libc.ts';
import { later, type Timestamp } from '../posix/timestamp.ts';
import type { Content } from '../store/content.ts';
import { put } from '../store/database.ts';
import type { Quiet } from '../store/discard.ts';
import { overlayKey } from '../store/key.ts';
import { notThere, type Uses } from '../store/namespace.ts';
import type { Pooling } from '../store/pool-files.ts';
import { type Inode, newInode } from '../store/record.ts';
import type { Store, StoredFile } from '../store/store.ts';
import { BLOCK_BYTES } from '../store/written-blocks.ts';
import { OpenFile } from './open-file.ts';
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
import type { OwnMounts } from './own-mounts.ts';
import { Reading } from './reading.ts';
import { type BrokenSource, FRESH_MS, SourceFiles } from './sources.ts';
import { asPosix, Writing } from './writing.ts';

const statfsAsync = promisify(statfs);
const fsyncAsync = promisify(fsync);
const lstatAsync = promisify(lstat);

export interface FileSystemOptions {
  readonly store: Store;
  readonly libc: Libc;
  readonly logger: Logger;
  readonly ownMounts: OwnMounts;
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
const S_ISGID = 0o2000;
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
  readonly #files = new Map<number, OpenFile>();
  readonly #handles = new Map<number, Handle>();
  /** Inodes whose deletion is being recorded. */
  readonly #doomed = new Set<number>();
  /** How many calls wait for what they need to open an inode. */
  readonly #opening = new Map<number, number>();
  /** Inodes that are being changed by other ways than through the mount: who opens one waits for that. */
  readonly #held = new Map<number, Promise<void>>();
  #lastHandle = 0;
  #statfs: { readonly at: number; readonly stats: Promise<FileSystemStats> } | undefined;
  readonly #count = { opens: 0, reads: 0, bytesRead: 0, writes: 0, bytesWritten: 0, errors: 0 };

  constructor(options: FileSystemOptions) {
    this.#store = options.store;
    this.#options = options;
    this.#sources = new SourceFiles((id) => options.store.source(id), options.ownMounts, options.logger);
    this.#reading = new Reading(options.libc, this.#sources, options.store.overlay);
    const disk = new OverlayDisk(options.store.overlay.files.folder);
    this.#writing = new Writing(options.store, this.#reading, disk, options.onChange ?? (() => {}));
  }

  get treeVersion(): number {
    return this.#store.treeVersion;
  }

  lookup(parent: number, name: string): number {
    const dirent = this.#store.lookup(parent, name);
    if (dirent !== undefined) return dirent.ino;
    throw this.#inode(parent).type === 'directory' ? notThere(name) : new PosixError('ENOTDIR');
  }

  getattr(ino: number): Attributes {
    const inode = this.#inode(ino);
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
      return this.#store.overlay.files.stat(ino, this.#files.get(ino)?.descriptor);
    } catch (error) {
      throw new PosixError('EIO', `the overlay file of inode ${ino} is not there`, error);
    }
  }

  async setattr(ino: number, changes: AttributeChanges): Promise<Attributes> {
    const { size, mode, uid, gid, atime, mtime } = changes;
    if (size !== undefined) await this.#truncate(ino, size);
    const touched = [mode, uid, gid, atime, mtime].some((change) => change !== undefined);
    if (touched) await this.#setAttributes(ino, changes);
    return this.getattr(ino);
  }

  async #truncate(ino: number, size: number): Promise<void> {
    const { type } = this.#inode(ino);
    if (type === 'directory') throw new PosixError('EISDIR');
    if (type !== 'file' || !Number.isSafeInteger(size) || size < 0) throw new PosixError('EINVAL');
    await this.#using(ino, async (file) => await this.#writing.truncate(file, size));
  }

  async #setAttributes(ino: number, { mode, uid, gid, atime, mtime }: AttributeChanges): Promise<void> {
    const now = this.#store.overlay.now();
    const times = { atime: atime === 'now' ? now : atime, mtime: mtime === 'now' ? now : mtime };
    const { content } = this.#inode(ino);
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
    const { type } = this.#inode(ino);
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
    await this.#leave(file);
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
      const inode = this.#newInode(parent, 'file', { mode, content: 'plain' }, caller);
      const ino = await this.#store.names.make({ parent, name }, inode, {
        prepare: (number) => {
          made.fd = files.create(number);
          made.ino = number;
          return [put(overlayKey(number), Buffer.alloc(0))];
        },
      });
      const file = new OpenFile(ino, undefined, made.fd);
      file.users = 1;
      this.#files.set(ino, file);
      return file;
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
    const inode = this.#newInode(parent, type, more, caller);
    try {
      return await this.#store.names.make({ parent, name }, inode, target === undefined ? {} : { target });
    } catch (error) {
      throw this.#counted(error);
    }
  }

  /** As System V has it: in a directory with the set-group-ID bit, what is made belongs to its group. */
  #newInode(parent: number, type: FileType, more: Partial<Inode>, caller: Caller | undefined): Inode {
    const above = this.getattr(parent);
    const { uid, gid } = caller ?? this.#options.owner;
    const inherits = (above.mode & S_ISGID) !== 0;
    const mode = (more.mode ?? 0) | (inherits && type === 'directory' ? S_ISGID : 0);
    return newInode(type, this.#store.overlay.now(), {
      ...more,
      mode,
      owner: { uid, gid: inherits ? above.gid : gid },
    });
  }

  async link(ino: number, parent: number, name: string): Promise<void> {
    await this.#store.names.link(ino, { parent, name });
  }

  async unlink(parent: number, name: string): Promise<void> {
    await this.#dooming(async (uses) => await this.#store.names.unlink({ parent, name }, uses));
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
    return await this.#dooming(async (uses) => await this.#store.names.rename(from, to, { noReplace, uses }));
  }

  /** Runs what may delete inodes. */
  async #dooming(work: (uses: Uses) => Promise<void>): Promise<void> {
    const doomed: number[] = [];
    try {
      await work({
        isOpen: (ino) => this.#isOpen(ino),
        doom: (ino) => {
          doomed.push(ino);
          this.#doomed.add(ino);
        },
      });
    } finally {
      for (const ino of doomed) this.#doomed.delete(ino);
    }
  }

  open(ino: number, flags: number): MaybePromise<number> {
    const { type, content } = this.#inode(ino);
    if (type === 'directory') throw new PosixError('EISDIR');
    if (type !== 'file') throw new PosixError('EINVAL');
    this.#count.opens++;
    const file = this.#use(ino);
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
        await this.#leave(file);
        throw this.#counted(error);
      }
    }
    return await this.#openChecked(file, firstSources(file.content), flags);
  }

  async #openChecked(file: OpenFile, sources: ReadonlySet<number>, flags: number): Promise<number> {
    try {
      for (const id of sources) await this.#reading.bind(file, id, true);
    } catch (error) {
      await this.#leave(file);
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

  /** Also when somebody is about to have it open. */
  #isOpen(ino: number): boolean {
    return this.#files.has(ino) || this.#opening.has(ino);
  }

  /** For what changes files from the side (`overlay discard`). */
  readonly quiet: Quiet = {
    isOpen: (ino) => this.#isOpen(ino),
    hold: (inodes) => {
      let release = (): void => {};
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      for (const ino of inodes) this.#held.set(ino, released);
      return () => {
        for (const ino of inodes) if (this.#held.get(ino) === released) this.#held.delete(ino);
        release();
      };
    },
    changed: (entry) => this.#options.onChange?.(entry),
  };

  /** The open file of an inode, with one user more. @throws ENOENT, EIO */
  #use(ino: number): MaybePromise<OpenFile> {
    const held = this.#held.get(ino);
    if (held !== undefined) return held.then(() => this.#use(ino));
    if (this.#doomed.has(ino)) throw new PosixError('ENOENT');
    const known = this.#files.get(ino);
    if (known !== undefined) {
      known.users++;
      return known;
    }
    const inode = this.#inode(ino);
    if (inode.nlink === 0) throw new PosixError('ENOENT');
    if (inode.content === 'plain') {
      try {
        return this.#opened(new OpenFile(ino, undefined, this.#store.overlay.files.open(ino)));
      } catch (error) {
        throw this.#counted(new PosixError('EIO', `the overlay file of inode ${ino} cannot be opened`, error));
      }
    }
    const content = this.#store.overlay.acquire(ino);
    return content instanceof Promise
      ? this.#openLoaded(ino, content)
      : this.#opened(new OpenFile(ino, content, undefined));
  }

  async #openLoaded(ino: number, loading: Promise<Content>): Promise<OpenFile> {
    this.#opening.set(ino, (this.#opening.get(ino) ?? 0) + 1);
    try {
      return this.#opened(new OpenFile(ino, await loading, undefined));
    } finally {
      const others = (this.#opening.get(ino) ?? 1) - 1;
      if (others === 0) this.#opening.delete(ino);
      else this.#opening.set(ino, others);
    }
  }

  #opened(file: OpenFile): OpenFile {
    const known = this.#files.get(file.ino);
    if (known !== undefined) {
      // Opened by another call while this one waited.
      if (file.content !== undefined) this.#store.overlay.release(file.content);
      known.users++;
      return known;
    }
    const { content } = file;
    try {
      // Deleted while its blocks were being loaded; a whiteout still has an inode.
      if ((this.#store.inode(file.ino)?.nlink ?? 0) === 0) throw new PosixError('ENOENT');
      if (content?.overlaid === true) this.#overlayDescriptor(content);
    } catch (error) {
      this.#close(file);
      throw this.#counted(error);
    }
    file.users = 1;
    this.#files.set(file.ino, file);
    return file;
  }

  #overlayDescriptor(content: Content): void {
    try {
      this.#store.overlay.descriptor(content);
    } catch (error) {
      throw new PosixError('EIO', `the overlay file of inode ${content.ino} cannot be opened`, error);
    }
  }

  async #using<T>(ino: number, work: (file: OpenFile) => Promise<T>): Promise<T> {
    const file = await this.#use(ino);
    try {
      return await work(file);
    } catch (error) {
      throw this.#counted(error);
    } finally {
      await this.#leave(file);
    }
  }

  /** One user less; the last one closes the file, and ends it where it has no name any more. */
  #leave(file: OpenFile): MaybePromise<void> {
    file.users--;
    if (file.users > 0) return undefined;
    this.#files.delete(file.ino);
    this.#close(file);
    if (this.#store.inode(file.ino)?.nlink !== 0) return undefined;
    return this.#dooming(async (uses) => await this.#store.names.lastClose(file.ino, uses));
  }

  #close(file: OpenFile): void {
    this.#reading.unbind(file);
    for (const fd of file.takeDescriptors()) close(fd);
    if (file.content !== undefined) this.#store.overlay.release(file.content);
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
    return await this.#using(file.ino, async (open) =>
      open.inTurn(async () => {
        const { content } = open;
        if (!isAllOverlay(content ?? this.getattr(file.ino), file.length)) return undefined;
        if (content !== undefined) await overlay.checkpoint(content);
        else if (open.descriptor !== undefined) await fsyncAsync(open.descriptor);
        const path = overlay.files.path(file.ino);
        const pooling = await pool.take(path, place);
        if ('kept' in pooling) return pooling;
        const { dev, ino, size, mtimeMs } = await lstatAsync(pooling.source);
        const source = { path: Buffer.from(pooling.source), dev, ino, size, mtimeMs, spares: [] };
        await this.#store.adopt(infoHash, file, source);
        if (content === undefined) open.becomeMapped(await overlay.acquire(file.ino));
        return pooling;
      }),
    );
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
        await overlay.files.syncName(file.ino);
      }
      await this.#store.sync();
    } catch (error) {
      throw this.#counted(error);
    }
  }

  async fsyncdir(ino: number): Promise<void> {
    this.#inode(ino);
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
    return this.#leave(file);
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
    for (const file of this.#files.values()) this.#close(file);
    this.#files.clear();
    this.#handles.clear();
    this.#sources.close();
  }

  #counted(error: unknown): unknown {
    const posix = asPosix(error);
    if (posix instanceof PosixError && ['EIO', 'ENOSPC', 'EDQUOT'].includes(posix.code)) this.#count.errors++;
    return posix;
  }

  #inode(ino: number): Inode {
    const inode = this.#store.inode(ino);
    if (inode === undefined) throw new PosixError('ENOENT');
    return inode;
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
