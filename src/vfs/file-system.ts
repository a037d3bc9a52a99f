/**
 * The mount's operations over a store (glossary: `operations.ts`, `store/store.ts`; writes: `docs/overlay.md`).
 *
 * Invariants:
 * - Sources are opened read-only. Every write goes to the overlay.
 * - No wrong byte is served as right: a source is looked at after each read of a local file, and at most once a second
 *   elsewhere; what is read of one that is doubted is hashed (`docs/sources.md` has the windows). Bytes of a source that
 *   was modified in place within the window may have reached a reader and the kernel's page cache. So a source that becomes
 *   doubted while it is open makes the pages of its files stale (`watchStale`). A driver that cannot report that must mount
 *   without kernel_cache and auto_cache: then the kernel drops its pages of a file at each open. (auto_cache would keep
 *   them, since neither size nor mtime of our file changes with the source.) The price: a file that is opened again is
 *   read again.
 * - The event loop never waits for a source's disk: bytes in the page cache are returned at once, a thread reads the
 *   others.
 */
import { constants, statfs } from 'node:fs';
import { promisify } from 'node:util';
import { isNameText, lengthOfName } from '../bytes/name-text.ts';
import { PosixError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { DISK_NAME_BYTES, SHOWN_NAME_BYTES } from '../name-limits.ts';
import type { DescriptorBudget } from '../native/descriptor-budget.ts';
import type { FileCalls } from '../native/files.ts';
import type { BrokenSource } from '../source/broken-sources.ts';
import type { SourceDoubts } from '../source/doubts.ts';
import { hangingBytes } from '../source/hanging.ts';
import type { Hold } from '../source/held-sources.ts';
import type { LeaseCounts, LeaseOptions } from '../source/leased-sources.ts';
import type { ReadersLook } from '../source/look-at-readers.ts';
import { FRESH_MS, SourceFiles } from '../source/served-sources.ts';
import type { SourceAccess } from '../source/source-access.ts';
import type { SourceFile, SourceLooks } from '../source/source-file.ts';
import type { StoredFile } from '../store/entries/entry-files.ts';
import type { Quiet } from '../store/overlay/discard.ts';
import type { Pooling } from '../store/sources/pool-files.ts';
import type { Store } from '../store/store.ts';
import { type BackingCounts, Backings } from './backing.ts';
import { ExtendedAttributes } from './extended-attributes.ts';
import { FileReaders } from './file-readers.ts';
import { Handles } from './handles.ts';
import { InodeAttributes } from './inode-attributes.ts';
import { Lending, type LendingAbility } from './lending/lending.ts';
import type { MappedFile, OpenInode, PlainFile } from './open-file.ts';
import { OpenFiles } from './open-files.ts';
import {
  type AttributeChanges,
  type Attributes,
  type BackingAbility,
  type Caller,
  type Dentry,
  type FileSystemStats,
  type FileType,
  type MaybePromise,
  type Operations,
  type PathAbility,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  ROOT_INO,
  type SeekTo,
  type Stale,
} from './operations.ts';
import { poolFile } from './pooling.ts';
import { Proving } from './proving/proving.ts';
import { Reading } from './reading.ts';
import { seekMapped, seekPlain } from './seeking.ts';
import { ShownLinks } from './shown-links.ts';
import { StaleFiles } from './stale-files.ts';

const statfsAsync = promisify(statfs);

export interface FileSystemOptions {
  readonly store: Store;
  readonly libc: FileCalls;
  readonly logger: Logger;
  readonly access: SourceAccess;
  readonly readersLook: ReadersLook;
  readonly looks: SourceLooks;
  /** Absent: only sources that are as recorded are served. */
  readonly doubts?: SourceDoubts | undefined;
  /** Absent: a write to a source is found by the look after the next read. */
  readonly leases?: LeaseOptions | undefined;
  /** Which files the kernel may read itself (`backing.ts`). Default: all that may be. */
  readonly passthrough?: 'auto' | 'safe' | 'off';
  /** Called with the inodes of files that the kernel reads from a file that has other bytes by now: once for each. */
  readonly onReadChanged?: ((inodes: readonly number[]) => void) | undefined;
  readonly descriptors: DescriptorBudget;
  readonly hold?: Hold | undefined;
  /** Called with a doubted source that was held for long enough, before it is closed. Never rejects. */
  readonly lastChance?: ((file: SourceFile) => Promise<void>) | undefined;
  /** Called with a source whose pin cannot be served. */
  readonly onPinFailed?: (id: number) => void;
  /** The owner of every file in the mount, until `setOwner`. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /** Permission bits cleared in every planned mode. */
  readonly umask: number;
  /** Adds the hard links of sources to those of their files. Default: no. */
  readonly showLinks?: boolean;
  /** The overlay's folder on the disk: `statfs` reports its space. */
  readonly statePath: string;
}

export interface FileSystemStatus {
  readonly openFiles: number;
  readonly openSources: number;
  /** Of those, the ones that nobody uses. */
  readonly heldSources: number;
  /** Bytes of files that only their open descriptors lead to. */
  readonly hangingBytes: number;
  /** Broken sources, with the names of the entries that use them. */
  readonly broken: readonly (BrokenSource & { readonly entries: readonly string[] })[];
}

/** Resolves names without waiting. */
interface SyncPaths extends PathAbility {
  find(parent: number, name: string): number;
}

/** Bytes in the longest symlink target: PATH_MAX without its zero byte. */
const LONGEST_TARGET = 4095;
/** fallocate(2). */
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const FALLOC_FL_ZERO_RANGE = 16;
const ZERO_CHUNK = 2 ** 20;

export class FileSystem implements Operations {
  readonly #store: Store;
  readonly #options: FileSystemOptions;
  readonly #sources: SourceFiles;
  readonly #proving: Proving;
  readonly #reading: Reading;
  readonly #attributes: InodeAttributes;
  readonly #extended: ExtendedAttributes;
  readonly #open: OpenFiles;
  readonly #readers: FileReaders;
  readonly #links: ShownLinks | undefined;
  readonly #handles = new Handles();
  readonly #stale: StaleFiles;
  readonly #backings: Backings | undefined;
  #lending: Lending | undefined;
  readonly #unwatch: () => void;
  readonly paths: SyncPaths;
  #statfs: { readonly at: number; readonly stats: Promise<FileSystemStats> } | undefined;

  constructor(options: FileSystemOptions) {
    const { store, libc, access, readersLook, looks, doubts, leases, descriptors, hold, lastChance, logger } = options;
    const { onPinFailed, passthrough = 'auto', onReadChanged: onChanged } = options;
    this.#store = store;
    this.#options = options;
    this.#sources = new SourceFiles({
      record: (id) => store.source(id),
      onReaders: (id, readers) => store.noteReaders(id, readers),
      onLinks: (id, links) => store.noteLinks(id, links),
      onDoubted: (id) => this.#stale.note(id),
      access,
      readersLook,
      looks,
      doubts,
      leases,
      writers: {
        come: (file) => this.#backings?.come(file),
        gone: (file) => this.#backings?.gone(file),
      },
      descriptors,
      isKept: (path) => store.living.isKept(path),
      hold,
      lastChance,
      // The ctime of a hard link says nothing: links come and go.
      isPin: ({ path, ctimeNs }) => ctimeNs !== undefined && store.living.isPin(path),
      onPinFailed,
      logger,
    });
    this.#proving = new Proving({ store, sources: this.#sources });
    this.#readers = new FileReaders(store, readersLook, logger);
    this.#reading = new Reading(libc, this.#sources, this.#proving);
    this.#open = new OpenFiles(store, this.#reading);
    this.#links = options.showLinks === true ? new ShownLinks(store) : undefined;
    this.#attributes = new InodeAttributes(options, this.#readers, this.#links);
    this.#stale = new StaleFiles(this.#open);
    this.#extended = new ExtendedAttributes({
      store,
      open: this.#open,
      ownerUid: () => this.#attributes.ownerUid,
      broken: () => this.#sources.broken,
    });
    const [sources, proving, handles] = [this.#sources, this.#proving, this.#handles];
    const mostLeased = Math.floor(descriptors.size / 2);
    this.#backings =
      passthrough === 'off'
        ? undefined
        : new Backings({ store, sources, proving, handles, passthrough, mostLeased, onChanged, logger });
    this.#unwatch = store.watch({
      sourcesChanged: (ids) => this.#sources.sourcesChanged(ids),
      folderRenamed: (from) => this.#sources.folderRenamed(from),
      conditionChanged: (id, _, now) => {
        this.#sources.conditionChanged(id, now?.state);
        if (now?.failed === true) this.#backings?.failed(id);
      },
    });
    const open = this.#open;
    this.paths = {
      get treeVersion(): number {
        return store.treeVersion;
      },
      isOpen: (ino) => open.isOpen(ino),
      hasClientNames: (ino) => store.hasClientNames(ino),
      find: (parent, name) => store.find(parent, name),
    };
  }

  /** Files are lent once a driver has asked for it. */
  get lending(): LendingAbility {
    this.#lending ??= new Lending(this.#reading);
    return this.#lending;
  }

  get backing(): BackingAbility | undefined {
    return this.#backings;
  }

  /** Files that the kernel reads itself; undefined where none may be. */
  get backingCounts(): BackingCounts | undefined {
    return this.#backings?.counts;
  }

  /** Keeps files from being opened while they are changed from the side (`overlay discard`). */
  get quiet(): Quiet {
    return this.#open.quiet;
  }

  /** Gives every file another owner. A kernel may show the one before for `ATTRIBUTES_MS`. */
  setOwner(owner: FileSystemOptions['owner']): void {
    this.#attributes.setOwner(owner);
  }

  watchStale(listener: (stale: Stale) => void): () => void {
    const unwatch = [this.#store.watch({ stale: listener }), this.#stale.watch(listener)];
    return () => {
      for (const each of unwatch) each();
    };
  }

  lookup(parent: number, name: string): Attributes {
    return this.#attributes.of(this.#store.find(parent, name));
  }

  getattr(ino: number): Attributes {
    return this.#attributes.of(ino);
  }

  getxattr(ino: number, name: string, caller: Caller): MaybePromise<Buffer> {
    return this.#extended.get(ino, name, caller);
  }

  isCachedBelow(handle: number): boolean {
    const {
      open: { file },
      readsOnly,
    } = this.#handles.file(handle);
    return readsOnly && file.kind === 'mapped' && file.content.overlay === undefined;
  }

  killSetIds(ino: number): MaybePromise<void> {
    return this.#attributes.killSetIds(ino);
  }

  async setattr(ino: number, changes: AttributeChanges): Promise<Attributes> {
    const { size, mode, uid, gid, atime, mtime } = changes;
    if (size !== undefined) await this.#truncate(ino, size);
    const touched = [mode, uid, gid, atime, mtime].some((change) => change !== undefined);
    if (touched) await this.#changeAttributes(ino, changes);
    return this.getattr(ino);
  }

  async #changeAttributes(ino: number, changes: AttributeChanges): Promise<void> {
    const { type, content } = this.#attributes.inode(ino);
    const setsTimes = changes.atime !== undefined || changes.mtime !== undefined;
    if (type !== 'file' || content !== 'plain' || !setsTimes) return await this.#attributes.change(ino, changes);
    // The times are those of its overlay file. The pool may be taking that file, which makes it a source.
    await this.#open.using(ino, async (open) => open.inTurn(async () => await this.#attributes.change(ino, changes)));
  }

  async #truncate(ino: number, size: number): Promise<void> {
    const { type } = this.#attributes.inode(ino);
    if (type === 'directory') throw new PosixError('EISDIR');
    if (type !== 'file' || Number.isNaN(size) || size < 0) throw new PosixError('EINVAL');
    await this.#open.using(ino, async (open) => await this.#truncateOpen(open, size));
  }

  #truncateOpen(open: OpenInode, size: number): MaybePromise<void> {
    return open.inTurn(() => this.#store.bytes.truncate(open.file.content, size));
  }

  opendir(ino: number): MaybePromise<number> {
    if (this.#attributes.inode(ino).type !== 'directory') throw new PosixError('ENOTDIR');
    const using = this.#open.useDirectory(ino);
    return using === undefined ? this.#handles.addDirectory(ino) : using.then(() => this.#handles.addDirectory(ino));
  }

  async *readdir(handle: number, offset: number): AsyncGenerator<readonly Dentry[], void, undefined> {
    const { ino, listed } = this.#handles.directory(handle);
    if (!Number.isInteger(offset) || offset < 0 || offset > listed.length) throw new PosixError('EINVAL');
    let at = offset;
    for await (const page of this.#store.readdir(ino, listed[offset - 1])) {
      yield page.map(({ name, ino, type }) => {
        listed[at++] = name;
        return { name, ino, type, offset: at };
      });
    }
  }

  releasedir(handle: number): MaybePromise<void> {
    const { ino } = this.#handles.directory(handle);
    this.#handles.remove(handle);
    return this.#open.leaveDirectory(ino);
  }

  get generation(): number {
    return this.#store.generation;
  }

  longestName(ino: number): number {
    return this.#store.takesLongNames(ino) ? SHOWN_NAME_BYTES : DISK_NAME_BYTES;
  }

  parentOf(ino: number): number {
    const { type, parent } = this.#attributes.inode(ino);
    if (type !== 'directory') throw new PosixError('ENOTDIR');
    // A directory of a store of format 1 has no record of it.
    if (ino !== ROOT_INO && parent === 0) throw new PosixError('ENOENT');
    return ino === ROOT_INO ? ino : parent;
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
  ): Promise<{ attributes: Attributes; handle: number }> {
    const open = await this.#makeFile(parent, name, mode, caller);
    return { attributes: this.getattr(open.ino), handle: this.#handles.addFile(open, flags) };
  }

  async mknod(
    parent: number,
    name: string,
    type: FileType,
    mode: number,
    rdev: number,
    caller?: Caller,
  ): Promise<Attributes> {
    if (type === 'directory' || type === 'symlink') throw new PosixError('EINVAL');
    if (type !== 'file') {
      const fresh = this.#attributes.fresh(parent, type, mode, rdev, caller);
      return this.getattr(await this.#store.names.make({ parent, name }, fresh));
    }
    const open = await this.#makeFile(parent, name, mode, caller);
    const attributes = this.getattr(open.ino);
    await this.#open.leave(open);
    return attributes;
  }

  async mkdir(parent: number, name: string, mode: number, caller?: Caller): Promise<Attributes> {
    const fresh = this.#attributes.fresh(parent, 'directory', mode, 0, caller);
    return this.getattr(await this.#store.names.make({ parent, name }, fresh));
  }

  async symlink(parent: number, name: string, target: string, caller?: Caller): Promise<Attributes> {
    const bytes = lengthOfName(target);
    if (!isNameText(target)) throw new PosixError('EINVAL');
    if (bytes === 0) throw new PosixError('ENOENT');
    if (bytes > LONGEST_TARGET) throw new PosixError('ENAMETOOLONG');
    const fresh = this.#attributes.fresh(parent, 'symlink', 0o777, 0, caller);
    return this.getattr(await this.#store.names.make({ parent, name }, fresh, target));
  }

  /** Makes a file and opens it, with the caller as its one user. */
  async #makeFile(parent: number, name: string, mode: number, caller?: Caller): Promise<OpenInode> {
    const fresh = this.#attributes.fresh(parent, 'file', mode, 0, caller);
    return this.#open.made(await this.#store.names.makeFile({ parent, name }, fresh));
  }

  async link(ino: number, parent: number, name: string): Promise<Attributes> {
    await this.#store.names.link(ino, { parent, name });
    return this.getattr(ino);
  }

  async unlink(parent: number, name: string): Promise<void> {
    await this.#open.dooming(async (uses) => await this.#store.names.unlink({ parent, name }, uses));
  }

  async rmdir(parent: number, name: string): Promise<void> {
    await this.#open.dooming(async (uses) => await this.#store.names.rmdir({ parent, name }, uses));
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
    const { type } = this.#attributes.inode(ino);
    if (type === 'directory') throw new PosixError('EISDIR');
    if (type !== 'file') throw new PosixError('EINVAL');
    const open = this.#open.use(ino);
    if ((flags & constants.O_TRUNC) !== 0 || open instanceof Promise) return this.#openWaiting(open, flags);
    const { file } = open;
    return file.kind === 'plain' || file.content.firstSources(1).size === 0
      ? this.#handles.addFile(open, flags)
      : this.#openChecked(open, file, flags);
  }

  async #openWaiting(using: MaybePromise<OpenInode>, flags: number): Promise<number> {
    const open = await using;
    if ((flags & constants.O_TRUNC) !== 0) {
      try {
        await this.#truncateOpen(open, 0);
      } catch (error) {
        await this.#open.leave(open);
        throw error;
      }
    }
    const { file } = open;
    return file.kind === 'plain' ? this.#handles.addFile(open, flags) : await this.#openChecked(open, file, flags);
  }

  async #openChecked(open: OpenInode, file: MappedFile, flags: number): Promise<number> {
    try {
      const checked = await this.#reading.check(file);
      await this.#readers.lookAtOthers(open.ino, checked);
      await this.#readers.refuseStale(open.ino);
    } catch (error) {
      await this.#open.leave(open);
      throw error;
    }
    return this.#handles.addFile(open, flags);
  }

  read(handle: number, buffer: Buffer, position: number): MaybePromise<number> {
    const { open } = this.#handles.file(handle);
    const read = this.#readOpen(open, buffer, position);
    if (this.#lending === undefined) return read;
    return read instanceof Promise ? read.then((bytes) => this.#lend(open, bytes)) : this.#lend(open, read);
  }

  #lend(open: OpenInode, read: number): number {
    // It may have been closed while it was read.
    if (open.users > 0) this.#lending?.offer(open);
    return read;
  }

  #readOpen({ file }: OpenInode, buffer: Buffer, position: number): MaybePromise<number> {
    if (file.kind === 'plain') return this.#readPlain(file, buffer, position);
    const extents = file.content.slice(position, buffer.length);
    const last = extents.at(-1);
    const length = last === undefined ? 0 : last.offset + last.length - position;
    const done = this.#reading.readAtOnce(file, extents, buffer);
    return done < length ? this.#readWaiting(file, buffer, position, done) : done;
  }

  #readPlain({ content }: PlainFile, buffer: Buffer, position: number): MaybePromise<number> {
    const done = this.#reading.cached(content.overlay.fd, buffer, 0, buffer.length, position);
    if (done === buffer.length) return done;
    const rest = this.#store.bytes.readPlain(content, buffer.subarray(done), position + done);
    return rest.then((more) => done + more);
  }

  async #readWaiting(file: MappedFile, buffer: Buffer, position: number, begun: number): Promise<number> {
    const rest = buffer.subarray(begun);
    const extents = file.content.slice(position + begun, rest.length);
    await this.#reading.readWaiting(file, extents, rest);
    return begun + extents.reduce((sum, { length }) => sum + length, 0);
  }

  write(handle: number, buffer: Buffer, position: number): MaybePromise<number> {
    const { open, synced } = this.#handles.file(handle);
    const written = this.#writeOpen(open, buffer, position);
    return synced ? this.#writeSynced(handle, written) : written;
  }

  #writeOpen(open: OpenInode, buffer: Buffer, position: number): MaybePromise<number> {
    return open.inTurn(() => {
      const { file } = open;
      return this.#store.bytes.write(
        file.content,
        buffer,
        position,
        file.kind === 'mapped' ? this.#reading.baseOf(file) : undefined,
      );
    });
  }

  async #writeSynced(handle: number, writing: MaybePromise<number>): Promise<number> {
    const written = await writing;
    await this.fsync(handle);
    return written;
  }

  seek(handle: number, offset: number, to: SeekTo): number {
    const { ino, file } = this.#handles.file(handle).open;
    if (file.kind === 'mapped') return seekMapped(file.content, offset, to);
    return seekPlain(file.content, this.getattr(ino).size, offset, to, this.#options.libc);
  }

  flush(handle: number): void {
    // Nothing is buffered: an acknowledged write is in the overlay.
    this.#handles.file(handle);
  }

  async fsync(handle: number): Promise<void> {
    // Changes that wait for their turn are not acknowledged yet, so they need not be on the disk.
    await this.#store.bytes.sync(this.#handles.file(handle).open.file.content);
  }

  async fsyncdir(ino: number): Promise<void> {
    this.#attributes.inode(ino);
    await this.#store.sync();
  }

  async fallocate(handle: number, mode: number, offset: number, length: number): Promise<void> {
    const { open } = this.#handles.file(handle);
    if (offset < 0 || length <= 0) throw new PosixError('EINVAL');
    const keepsSize = (mode & FALLOC_FL_KEEP_SIZE) !== 0;
    const kind = mode & ~FALLOC_FL_KEEP_SIZE;
    if (kind !== 0 && kind !== FALLOC_FL_ZERO_RANGE && (kind !== FALLOC_FL_PUNCH_HOLE || !keepsSize)) {
      throw new PosixError('EOPNOTSUPP');
    }
    if (kind !== 0) await this.#zero(open, offset, length);
    if (keepsSize || offset + length <= this.getattr(open.ino).size) return;
    await this.#truncateOpen(open, offset + length);
  }

  /** Zeros `[offset, offset + length)`, but nothing after the end of the file. */
  async #zero(open: OpenInode, offset: number, length: number): Promise<void> {
    const end = Math.min(this.getattr(open.ino).size, offset + length);
    const chunk = Buffer.alloc(Math.min(ZERO_CHUNK, Math.max(0, end - offset)));
    for (let at = offset; at < end; at += chunk.length) await this.#writeOpen(open, chunk.subarray(0, end - at), at);
  }

  release(handle: number): MaybePromise<void> {
    const { open } = this.#handles.file(handle);
    this.#backings?.giveBack(handle);
    this.#handles.remove(handle);
    return this.#open.leave(open);
  }

  async statfs(): Promise<FileSystemStats> {
    const now = performance.now();
    if (this.#statfs === undefined || now - this.#statfs.at > FRESH_MS) {
      this.#statfs = { at: now, stats: statfsAsync(this.#options.statePath) };
    }
    const { bsize, blocks, bfree, bavail, files, ffree } = await this.#statfs.stats;
    return { bsize, blocks, bfree, bavail, files, ffree };
  }

  /** Puts a file that a client completed into the pool (`pooling.ts`). */
  async pool(infoHash: string, file: StoredFile, place: readonly string[]): Promise<Pooling | undefined> {
    return await poolFile(this.#store, this.#attributes, this.#open, infoHash, file, place);
  }

  async status(): Promise<FileSystemStatus> {
    const broken = [];
    for (const source of this.#sources.broken) {
      const entries = await this.#store.entriesUsing(source.id);
      if (entries.length > 0) broken.push({ ...source, entries });
    }
    const { open } = this.#sources;
    return {
      openFiles: this.#handles.openFiles,
      openSources: open.size,
      heldSources: open.held,
      hangingBytes: hangingBytes(open.values(), this.#store.living),
      broken,
    };
  }

  /** Looks again at the sources that not everyone may read, as far as is known. Never rejects. */
  async lookAtReaders(): Promise<void> {
    await this.#readers.lookAgain();
  }

  /** Pieces that were hashed for readers since the start. */
  get piecesHashed(): number {
    return this.#proving.hashed;
  }

  /** Closes sources on disks that were released. */
  letGo(): void {
    this.#sources.letGo();
  }

  /** Leases on sources; undefined where none are taken. */
  get leaseCounts(): LeaseCounts | undefined {
    return this.#sources.leaseCounts;
  }

  /** Finds out what became of sources that somebody had opened for writing when the last server ended. */
  takeUpOpened(): void {
    const { living } = this.#store;
    this.#sources.takeUpOpened([...living.conditions()].flatMap(([id, { opened }]) => (opened === true ? [id] : [])));
  }

  /** The open file of a source, whatever it is by now. */
  openSource(id: number): SourceFile | undefined {
    return this.#sources.openFile(id);
  }

  /** Closes the open file of a source. Its next read opens it again. */
  closeSource(id: number): void {
    const file = this.#sources.openFile(id);
    if (file !== undefined) this.#sources.distrust(file);
  }

  /** Mounts have changed: what lies on one that is gone is held no longer. */
  async mountsChanged(): Promise<void> {
    await this.#sources.mountsChanged();
  }

  /** Closes the files that programs left open at the unmount. */
  close(): void {
    this.#unwatch();
    this.#backings?.close();
    this.#lending?.close();
    this.#proving.close();
    this.#readers.close();
    this.#links?.close();
    this.#open.close();
    this.#handles.clear();
    this.#sources.close();
  }
}
