/**
 * The overlay of a store: contents in use, the journal, checkpoints, and what a crash left (`docs/overlay.md`).
 */
import fs from 'node:fs';
import { promisify } from 'node:util';
import { messageOf, PosixError } from '../../errors.ts';
import type { ExtentMap } from '../../extent/extent-map.ts';
import type { Logger } from '../../logger.ts';
import { createClock, isLater, later, type Timestamp } from '../../native/timestamp.ts';
import { type Database, del, NOTHING, put, type Write } from '../records/database.ts';
import { garbageKey, lastNumber, OVERLAYS, overlayKey, writtenKey, writtenOf } from '../records/key.ts';
import { damaged, type Inode } from '../records/record.ts';
import type { Tree } from '../tree/tree.ts';
import { Content } from './content.ts';
import { Journal, type JournalRecord } from './journal.ts';
import { type OverlayFilePlace, OverlayFiles } from './overlay-files.ts';

const fdatasync = promisify(fs.fdatasync);

/** How long what is not fsynced may wait for its checkpoint: as the kernel has it for dirty pages. */
const CHECKPOINT_MS = 30_000;
/** Files that are recorded with one batch. */
const TOGETHER = 32;

/** What of a content is being recorded. */
interface Recording {
  readonly content: Content;
  readonly size: number;
  readonly baseEnd: number;
  readonly chunks: ReadonlyMap<number, Buffer | undefined>;
}

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
  readonly #checkpoints = new Map<Content, Promise<unknown[]>>();
  readonly #problems: OverlayProblem[] = [];
  /** Inodes whose overlay files are not needed, and go once that is on the disk. */
  readonly #leaving = new Set<number>();
  readonly #removing = new Map<number, Promise<void>>();
  #removal: Promise<void> | undefined;
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
    for (const record of left) {
      const replaying = overlay.#replay(record);
      if (replaying !== undefined) await replaying;
    }
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
    for (;;) {
      const inode = this.#tree.inode(ino);
      if (inode === undefined) throw new PosixError('ENOENT');
      if (inode.type !== 'file') throw damaged(`inode ${ino} is no file`);
      const content = new Content(ino, inode, this.#tree.extents(ino));
      if (content.overlaid) {
        for await (const page of this.#db.pages(writtenOf(ino))) {
          for (const [key, value] of page) content.blocks.load(lastNumber(key), value);
        }
      }
      const known = this.#contents.get(ino);
      if (known !== undefined) return known;
      // Changed meanwhile: its times, or it was deleted and what was written to it has gone.
      if (this.#tree.inode(ino) !== inode) continue;
      this.#contents.set(ino, content);
      return content;
    }
  }

  #dropIfUnused(content: Content): void {
    if (content.users > 0 || this.#checkpoints.has(content)) return;
    // Also of one that waits for its checkpoint: there may be more of them than there may be open files.
    for (const fd of content.takeDescriptors()) fs.closeSync(fd);
    if (content.dirty && !content.gone) return;
    if (this.#contents.get(content.ino) === content) this.#contents.delete(content.ino);
  }

  /** The overlay file of a content that has one. Throws what the disk says. */
  descriptor(content: Content): number {
    content.fd ??= this.files.open(content.ino);
    return content.fd;
  }

  /** Gives a mapped file an overlay file. It must be in use. */
  async begin(content: Content): Promise<void> {
    const { ino } = content;
    this.#leaving.delete(ino);
    await this.#removing.get(ino);
    // It may have had one before, which went (to the pool, or discarded), and whose writes the journal still lists.
    this.#append({ kind: 'begin', ino, time: this.now() });
    content.fd = this.files.create(ino);
    try {
      await this.#db.exclusive(async () => {
        const inode = this.#tree.inode(ino);
        if (inode === undefined) throw new PosixError('ENOENT');
        const writes = [put(overlayKey(ino), NOTHING), del(garbageKey(ino))];
        writes.push(this.#tree.writing(ino, { ...inode, content: 'overlaid' }));
        await this.#db.commit(writes, { sync: false });
        this.#tree.forget([ino]);
      });
    } catch (error) {
      fs.closeSync(content.fd);
      content.fd = undefined;
      await this.files.remove(ino).catch(() => {});
      throw error;
    }
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
    // One whose checkpoint is under way may turn out not to be recorded.
    const changed = [...this.#contents.values()].filter((content) => content.dirty || this.#checkpoints.has(content));
    const failures: unknown[] = [];
    // One that cannot be recorded (its overlay file is not there) is in the way of no other.
    for (let from = 0; from < changed.length; from += TOGETHER) {
      failures.push(...(await this.#checkpointSome(changed.slice(from, from + TOGETHER))));
    }
    if (failures.length === 0) return journal.forget();
    journal.keep();
    throw failures[0];
  }

  /** After it, what was written before is found again after a power loss. */
  async checkpoint(content: Content): Promise<void> {
    const [failure] = await this.#checkpointSome([content]);
    if (failure !== undefined) throw failure;
  }

  /** With one batch. Why it failed, for each that could not be recorded. */
  async #checkpointSome(contents: readonly Content[]): Promise<unknown[]> {
    for (;;) {
      const running = contents.flatMap((content) => this.#checkpoints.get(content) ?? []);
      if (running.length === 0) break;
      await Promise.all(running);
    }
    const dirty = contents.filter((content) => content.dirty && !content.gone);
    if (dirty.length === 0) return [];
    const work = this.#record(dirty).finally(() => {
      for (const content of dirty) this.#checkpoints.delete(content);
      for (const content of dirty) this.#dropIfUnused(content);
    });
    for (const content of dirty) this.#checkpoints.set(content, work);
    return await work;
  }

  async #record(contents: readonly Content[]): Promise<unknown[]> {
    const recordings = contents.map((content): Recording => {
      const { size, baseEnd } = content;
      content.dirty = false;
      return { content, size, baseEnd, chunks: content.blocks.takeChanged() };
    });
    const failures: unknown[] = [];
    const fail = ({ content, chunks }: Recording, error: unknown): void => {
      content.blocks.putBack(chunks.keys());
      content.dirty = true;
      failures.push(error);
    };
    const synced: Recording[] = [];
    await Promise.all(
      recordings.map(async (recording) => {
        try {
          // What was read of a content that a crash left has no descriptor yet.
          if (recording.content.overlaid) await fdatasync(this.descriptor(recording.content));
          synced.push(recording);
        } catch (error) {
          fail(recording, error);
        }
      }),
    );
    try {
      await this.files.syncNames(synced.flatMap(({ content }) => (content.overlaid ? [content.ino] : [])));
      await this.#db.exclusive(async () => await this.#commit(synced));
    } catch (error) {
      for (const recording of synced) fail(recording, error);
      return failures;
    }
    for (const { content, size } of synced) this.#cut(content, size);
    return failures;
  }

  async #commit(recordings: readonly Recording[]): Promise<void> {
    const writes: Write[] = [];
    const inodes: number[] = [];
    for (const { content, size, baseEnd, chunks } of recordings) {
      const { ino, mtime, ctime } = content;
      const inode = this.#tree.inode(ino);
      if (inode === undefined || content.gone) continue;
      for (const [chunk, record] of chunks) {
        writes.push(record === undefined ? del(writtenKey(ino, chunk)) : put(writtenKey(ino, chunk), record));
      }
      // Times as they are now: utimens(2) may have set them while the disk was waited for.
      writes.push(this.#tree.writing(ino, { ...inode, size, baseEnd, mtime, ctime: later(ctime, inode.ctime) }));
      inodes.push(ino);
    }
    if (writes.length === 0) return;
    await this.#db.commit(writes, { needed: true });
    this.#tree.forget(inodes);
  }

  /** Frees what lies behind the end of the file, as recorded and as it is. */
  #cut(content: Content, recorded: number): void {
    // What is being written makes it dirty: it is cut another time.
    if (content.fd === undefined || content.beingWritten > 0) return;
    const end = Math.max(recorded, content.size);
    try {
      if (fs.fstatSync(content.fd).size > end) fs.ftruncateSync(content.fd, end);
    } catch (error) {
      this.#logger.warn(`what ${this.files.path(content.ino)} needs no more cannot be freed: ${messageOf(error)}`);
    }
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

  /** Not before its inode has gone from the disk: after a power loss a file that was replaced may have its name back. */
  #removeFile(ino: number): void {
    this.#leaving.add(ino);
    this.#removal ??= this.#removeLeaving();
  }

  /** Resolves when the overlay files of what was deleted until now have gone. */
  async filesGone(): Promise<void> {
    await this.#removal;
  }

  async #removeLeaving(): Promise<void> {
    while (this.#leaving.size > 0) {
      const deleted = [...this.#leaving];
      try {
        await this.#db.sync();
      } catch (error) {
        this.#logger.warn(`overlay files that are not needed cannot be deleted yet: ${messageOf(error)}`);
        break;
      }
      for (const ino of deleted) {
        // Begun anew meanwhile.
        if (!this.#leaving.delete(ino) || this.#db.get(overlayKey(ino)) !== undefined) continue;
        const removal = this.#remove(ino).finally(() => this.#removing.delete(ino));
        this.#removing.set(ino, removal);
        await removal;
      }
    }
    this.#removal = undefined;
  }

  async #remove(ino: number): Promise<void> {
    try {
      await this.files.remove(ino);
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
    // A whiteout that came back, and is or was written to: the note is old.
    if (this.#db.get(overlayKey(ino)) !== undefined) this.#db.postpone(del(garbageKey(ino)));
    else if (this.#contents.get(ino)?.fd === undefined) this.#removeFile(ino);
  }

  /** Undefined where it needed not wait: of many records, almost all. */
  #replay(record: JournalRecord): Promise<void> | undefined {
    const known = this.#contents.get(record.ino);
    if (known?.overlaid === true) return this.#apply(known, record);
    const inode = this.#tree.inode(record.ino);
    // Gone since, or the server died before it had an overlay.
    if (inode?.type !== 'file' || inode.content !== 'overlaid') return undefined;
    return this.#load(record.ino).then((content) => this.#apply(content, record));
  }

  #apply(content: Content, record: JournalRecord): undefined {
    if (record.kind === 'begin') {
      content.begun();
      this.markDirty(content);
      return;
    }
    if (record.kind === 'write') content.written(record.offset, record.end);
    else content.truncated(record.size);
    // What was set since, as utimens(2) does, is recorded with a later ctime.
    if (isLater(record.time, content.ctime)) this.touch(content, record.time);
    else this.markDirty(content);
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
      const strays = shard.filter(({ ino }) => ino === undefined || !expected.delete(ino));
      // Not while one is being made: its file is there before its record.
      if (strays.length > 0) await this.#db.exclusive(async () => this.#checkStrays(strays));
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

  #checkStrays(strays: readonly OverlayFilePlace[]): void {
    for (const { path, ino } of strays) {
      // Made since this began, or on its way out.
      if (ino !== undefined && (this.#db.get(overlayKey(ino)) ?? this.#db.get(garbageKey(ino))) !== undefined) continue;
      if (ino !== undefined && this.#contents.has(ino)) continue;
      this.#setAside(path, ino);
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
    // One that is under way does not know of what came since it began.
    await this.#checkpointing?.catch(() => {});
    await this.checkpointAll();
    await this.#removal;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#journal.close();
  }
}
