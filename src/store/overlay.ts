/**
 * The overlay of a store: contents in use, the journal, checkpoints, and what a crash left (`docs/overlay.md`).
 */
import fs from 'node:fs';
import { promisify } from 'node:util';
import { messageOf } from '../errors.ts';
import type { ExtentMap } from '../extent/extent-map.ts';
import type { Logger } from '../logger.ts';
import { createClock, later, type Timestamp } from '../posix/timestamp.ts';
import { Content } from './content.ts';
import { type Database, del, NOTHING, put, type Write } from './database.ts';
import { Journal, type JournalRecord } from './journal.ts';
import { garbageKey, lastNumber, OVERLAYS, overlayKey, writtenKey, writtenOf } from './key.ts';
import { OverlayFiles } from './overlay-files.ts';
import { damaged, type Inode } from './record.ts';
import type { Tree } from './tree.ts';

const fdatasync = promisify(fs.fdatasync);

/** How long what is not fsynced may wait for its checkpoint: as the kernel has it for dirty pages. */
const CHECKPOINT_MS = 30_000;

export interface OverlayProblem {
  readonly path: string;
  readonly what: string;
}

export class Overlay {
  readonly files: OverlayFiles;
  readonly now = createClock();
  readonly #db: Database;
  readonly #tree: Tree;
  readonly #journal: Journal;
  readonly #logger: Logger;
  readonly #contents = new Map<number, Content>();
  readonly #loading = new Map<number, Promise<Content>>();
  readonly #checkpoints = new Map<Content, Promise<void>>();
  readonly #problems: OverlayProblem[] = [];
  #timer: NodeJS.Timeout | undefined;
  #checkpointing: Promise<void> | undefined;

  private constructor(db: Database, tree: Tree, files: OverlayFiles, journal: Journal, logger: Logger) {
    this.#db = db;
    this.#tree = tree;
    this.files = files;
    this.#journal = journal;
    this.#logger = logger;
  }

  /** Replays what a killed server has left. Throws AutotorrentError('STORE'), or what the disk says. */
  static async open(db: Database, tree: Tree, statePath: string, logger: Logger): Promise<Overlay> {
    const files = new OverlayFiles(statePath);
    const { journal, left } = Journal.open(files.folder);
    const overlay = new Overlay(db, tree, files, journal, logger);
    for (const record of left) await overlay.#replay(record);
    return overlay;
  }

  /** Overlay files that do not fit the store. */
  get problems(): readonly OverlayProblem[] {
    return this.#problems;
  }

  /** One that is open or not yet checkpointed. */
  inUse(ino: number): Content | undefined {
    return this.#contents.get(ino);
  }

  /** What a mapped or overlaid inode is made of, shared by all that use it, until `release`. */
  acquire(ino: number): Content | Promise<Content> {
    const known = this.#contents.get(ino);
    if (known !== undefined) {
      known.users++;
      return known;
    }
    const inode = this.#tree.inode(ino);
    if (inode === undefined) throw damaged(`inode ${ino} is not there`);
    if (inode.content !== 'overlaid') {
      const content = new Content(ino, inode, this.#tree.extents(ino));
      content.users = 1;
      this.#contents.set(ino, content);
      return content;
    }
    return this.#load(ino).then((content) => {
      content.users++;
      return content;
    });
  }

  release(content: Content): void {
    content.users--;
    this.#dropIfUnused(content);
  }

  async #load(ino: number): Promise<Content> {
    const loading = this.#loading.get(ino) ?? this.#read(ino).finally(() => this.#loading.delete(ino));
    this.#loading.set(ino, loading);
    return await loading;
  }

  async #read(ino: number): Promise<Content> {
    const inode = this.#tree.inode(ino);
    if (inode?.type !== 'file') throw damaged(`inode ${ino} is no file`);
    const content = new Content(ino, inode, this.#tree.extents(ino));
    if (content.overlaid) {
      for await (const page of this.#db.pages(writtenOf(ino))) {
        for (const [key, value] of page) content.blocks.load(lastNumber(key), value);
      }
    }
    const known = this.#contents.get(ino);
    if (known !== undefined) return known;
    this.#contents.set(ino, content);
    return content;
  }

  #dropIfUnused(content: Content): void {
    if (content.users > 0 || (content.dirty && !content.gone) || this.#checkpoints.has(content)) return;
    if (this.#contents.get(content.ino) === content) this.#contents.delete(content.ino);
    for (const fd of content.takeDescriptors()) fs.closeSync(fd);
  }

  /** The overlay file of a content that has one. Throws what the disk says. */
  descriptor(content: Content): number {
    content.fd ??= this.files.open(content.ino);
    return content.fd;
  }

  /** Gives a mapped file an overlay file. It must be in use. */
  async begin(content: Content): Promise<void> {
    content.fd = this.files.create(content.ino);
    await this.#db.exclusive(async () => {
      const inode = this.#tree.inode(content.ino);
      if (inode === undefined) throw damaged(`inode ${content.ino} is not there`);
      const writes = [put(overlayKey(content.ino), NOTHING), del(garbageKey(content.ino))];
      writes.push(this.#tree.writing(content.ino, { ...inode, content: 'overlaid' }));
      await this.#db.commit(writes, { sync: false });
      this.#tree.forget([content.ino]);
    });
    content.overlaid = true;
  }

  /** Bytes that are in the overlay file now count. Throws what the disk says; nothing counts then. */
  recordWrite(content: Content, offset: number, end: number, now: Timestamp): void {
    this.#append({ kind: 'write', ino: content.ino, time: now, offset, end });
    content.written(offset, end);
    this.touch(content, now);
  }

  recordTruncate(content: Content, size: number, now: Timestamp): void {
    this.#append({ kind: 'truncate', ino: content.ino, time: now, size });
    content.truncated(size);
    this.touch(content, now);
  }

  #append(record: JournalRecord): void {
    this.#journal.append(record);
    if (this.#journal.isFull) void this.#checkpointInBackground();
  }

  /** Its bytes changed. */
  touch(content: Content, now: Timestamp): void {
    content.mtime = now;
    content.ctime = now;
    this.markDirty(content);
  }

  markDirty(content: Content): void {
    content.dirty = true;
    this.#timer ??= setTimeout(() => void this.#checkpointInBackground(), CHECKPOINT_MS).unref();
  }

  async #checkpointInBackground(): Promise<void> {
    try {
      await this.checkpointAll();
    } catch (error) {
      this.#logger.error(`what was written could not be recorded yet: ${messageOf(error)}`);
      this.#timer ??= setTimeout(() => void this.#checkpointInBackground(), CHECKPOINT_MS).unref();
    }
  }

  /** Records all that is not recorded. Throws what the disk says, or AutotorrentError('STORE'). */
  async checkpointAll(): Promise<void> {
    this.#checkpointing ??= this.#checkpointEach().finally(() => {
      this.#checkpointing = undefined;
    });
    await this.#checkpointing;
  }

  async #checkpointEach(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const journal = this.#journal.rotate();
    try {
      for (const content of this.#contents.values()) await this.checkpoint(content);
    } catch (error) {
      journal.keep();
      throw error;
    }
    journal.forget();
  }

  /** After it, what was written before is found again after a power loss. */
  async checkpoint(content: Content): Promise<void> {
    for (;;) {
      const running = this.#checkpoints.get(content);
      if (running === undefined) break;
      await running.catch(() => {});
    }
    if (!content.dirty || content.gone) return;
    const work = this.#checkpointOne(content).finally(() => {
      this.#checkpoints.delete(content);
      this.#dropIfUnused(content);
    });
    this.#checkpoints.set(content, work);
    await work;
  }

  async #checkpointOne(content: Content): Promise<void> {
    const { ino, size, baseEnd, mtime, ctime } = content;
    const chunks = content.blocks.takeChanged();
    content.dirty = false;
    try {
      // What was read of a content that a crash left has no descriptor yet.
      if (content.overlaid) {
        await fdatasync(this.descriptor(content));
        await this.files.syncName(ino);
      }
      await this.#db.exclusive(async () => {
        const inode = this.#tree.inode(ino);
        if (inode === undefined || content.gone) return;
        const writes: Write[] = [];
        for (const [chunk, record] of chunks) {
          writes.push(record === undefined ? del(writtenKey(ino, chunk)) : put(writtenKey(ino, chunk), record));
        }
        const times = { mtime, ctime: later(ctime, inode.ctime) };
        writes.push(this.#tree.writing(ino, { ...inode, size, baseEnd, ...times }));
        await this.#db.commit(writes);
        this.#tree.forget([ino]);
      });
    } catch (error) {
      content.blocks.putBack(chunks.keys());
      content.dirty = true;
      throw error;
    }
    this.#cut(content, size);
  }

  /** Frees what lies behind the end of the file, as recorded and as it is. */
  #cut(content: Content, recorded: number): void {
    if (content.fd === undefined) return;
    const end = Math.max(recorded, content.size);
    if (fs.fstatSync(content.fd).size > end) fs.ftruncateSync(content.fd, end);
  }

  /** The writes that delete what an inode has in the overlay; `freed` is called once they are committed. */
  async deleting(ino: number, inode: Inode): Promise<Write[]> {
    if (inode.type !== 'file' || inode.content === 'mapped') return [];
    const writes: Write[] = [del(overlayKey(ino)), put(garbageKey(ino), NOTHING)];
    for await (const page of this.#db.pages(writtenOf(ino))) writes.push(...page.map(([key]) => del(key)));
    return writes;
  }

  /** Behind the batch that has deleted an inode, or its overlay. */
  freed(ino: number): void {
    const content = this.#contents.get(ino);
    if (content !== undefined) {
      content.gone = true;
      this.#contents.delete(ino);
      this.#dropIfUnused(content);
    }
    this.#removeFile(ino);
  }

  #removeFile(ino: number): void {
    try {
      this.files.remove(ino);
      this.#db.postpone(del(garbageKey(ino)));
    } catch (error) {
      this.#logger.warn(`an overlay file that is not needed could not be deleted: ${messageOf(error)}`);
    }
  }

  /** All that was written over a file is its base now, and its overlay file goes. */
  becameMapped(ino: number, extents: ExtentMap): void {
    const content = this.#contents.get(ino);
    if (content !== undefined) content.becomeMapped(extents);
    this.#removeFile(ino);
  }

  /** An overlay file that a server noted as garbage and did not get to delete. */
  collect(ino: number): void {
    // The inode is a whiteout that came back and was written to: the note is old.
    if (this.#db.get(overlayKey(ino)) === undefined) this.freed(ino);
    else this.#db.postpone(del(garbageKey(ino)));
  }

  async #replay(record: JournalRecord): Promise<void> {
    const inode = this.#tree.inode(record.ino);
    // Gone since, or the server died before it had an overlay.
    if (inode?.type !== 'file' || inode.content !== 'overlaid') return;
    const content = this.#contents.get(record.ino) ?? (await this.#load(record.ino));
    if (record.kind === 'write') content.written(record.offset, record.end);
    else content.truncated(record.size);
    this.touch(content, record.time);
  }

  /**
   * Compares the overlay's folder with the store. What nothing refers to is set aside, what is missing is told; neither
   * is in the way of anything. `stopped` ends it early.
   */
  async check(stopped: () => boolean): Promise<void> {
    const expected = new Set<number>();
    for await (const page of this.#db.pages(OVERLAYS)) for (const [key] of page) expected.add(lastNumber(key));
    for (const shard of this.files.list()) {
      if (stopped()) return;
      for (const { path, ino } of shard) {
        if (ino !== undefined && expected.delete(ino)) continue;
        // Made since this began, or on its way out.
        if (ino !== undefined && (this.#db.get(overlayKey(ino)) ?? this.#db.get(garbageKey(ino))) !== undefined)
          continue;
        if (ino !== undefined && this.#contents.has(ino)) continue;
        this.#setAside(path, ino);
      }
      await new Promise(setImmediate);
    }
    for (const ino of expected) {
      if (this.#db.get(overlayKey(ino)) === undefined || fs.existsSync(this.files.path(ino))) continue;
      this.#tell({
        path: this.files.path(ino),
        what: 'an overlay file is missing: what was written to its file is lost',
      });
    }
  }

  #setAside(path: string, ino: number | undefined): void {
    try {
      if (fs.lstatSync(path).size === 0) {
        // Of a create that was cut short: there is nothing in it.
        fs.rmSync(path);
        return;
      }
      const to = this.files.setAside(path, ino === undefined ? 'unknown' : `${ino}`);
      this.#tell({ path: to, what: 'an overlay file that no file of the mount has was set aside' });
    } catch (error) {
      this.#tell({ path, what: `an overlay file that no file of the mount has cannot be moved: ${messageOf(error)}` });
    }
  }

  #tell(problem: OverlayProblem): void {
    this.#problems.push(problem);
    this.#logger.warn(`${problem.what} (${problem.path})`);
  }

  /** Records everything. Contents that are open still can be read. Throws what the disk says. */
  async close(): Promise<void> {
    await this.checkpointAll();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#journal.close();
  }
}
