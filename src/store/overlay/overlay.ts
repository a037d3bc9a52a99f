/**
 * The overlay of a store: what clients have written (`docs/overlay.md`). It joins the contents in use, the journal and its
 * checkpoints, and the deletion of overlay files, and replays what a killed server has left in the journal.
 */

import { PosixError } from '../../errors.ts';
import type { ExtentMap } from '../../extent/extent-map.ts';
import type { Logger } from '../../logger.ts';
import type { DescriptorBudget } from '../../native/descriptor-budget.ts';
import { createClock, isLater, type Timestamp } from '../../native/timestamp.ts';
import { type Database, del, NOTHING, put, type Write } from '../records/database.ts';
import { garbageKey, overlayKey, writtenOf } from '../records/key.ts';
import type { Inode } from '../records/record.ts';
import type { Tree } from '../tree/tree.ts';
import { Checkpoints } from './checkpoints.ts';
import type { MappedContent } from './content.ts';
import { Contents } from './contents.ts';
import { Departures } from './departures.ts';
import { Descriptors } from './descriptors.ts';
import { Journal, type JournalRecord } from './journal.ts';
import { OverlayCheck } from './overlay-check.ts';
import { OverlayFiles } from './overlay-files.ts';

export interface OverlayOptions {
  readonly statePath: string;
  readonly logger: Logger;
  readonly descriptors: DescriptorBudget;
}

export class Overlay {
  readonly files: OverlayFiles;
  readonly contents: Contents;
  readonly checkpoints: Checkpoints;
  readonly departures: Departures;
  readonly check: OverlayCheck;
  readonly descriptors: Descriptors;
  readonly now = createClock();
  readonly #db: Database;
  readonly #tree: Tree;

  private constructor(db: Database, tree: Tree, files: OverlayFiles, journal: Journal, options: OverlayOptions) {
    const { logger } = options;
    this.#db = db;
    this.#tree = tree;
    this.files = files;
    this.descriptors = new Descriptors(files, options.descriptors);
    this.contents = new Contents(db, tree, this.descriptors);
    this.checkpoints = new Checkpoints({ db, tree, files, contents: this.contents, journal, logger });
    this.departures = new Departures(db, files, logger);
    this.check = new OverlayCheck(db, files, this.contents, logger);
  }

  /** Replays what a killed server has left. @throws AutotorrentError('STORE'), what the disk says */
  static async open(db: Database, tree: Tree, options: OverlayOptions): Promise<Overlay> {
    const files = new OverlayFiles(options.statePath);
    const { journal, left } = Journal.open(files.folder);
    const overlay = new Overlay(db, tree, files, journal, options);
    for (const record of left) {
      const replaying = overlay.#replay(record);
      if (replaying !== undefined) await replaying;
    }
    return overlay;
  }

  /** Gives a mapped file that is in use an overlay file. @throws ENOENT, what the disk says */
  async begin(content: MappedContent): Promise<void> {
    const { ino } = content;
    await this.departures.cancel(ino);
    // It may have had one before, which went (to the pool, or discarded), and whose writes the journal still lists.
    this.checkpoints.append({ kind: 'begin', ino, time: this.now() });
    const overlay = this.descriptors.create(ino);
    content.overlay = overlay;
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
      overlay.close();
      content.overlay = undefined;
      await this.files.remove(ino).catch(() => {});
      throw error;
    }
    content.overlaid = true;
  }

  /** Bytes that are in the overlay file now count. @throws what the disk says; nothing counts then */
  recordWrite(content: MappedContent, offset: number, end: number, now: Timestamp): void {
    this.checkpoints.append({ kind: 'write', ino: content.ino, time: now, offset, end });
    content.written(offset, end);
    this.checkpoints.touch(content, now);
  }

  /** @throws what the disk says; nothing is changed then */
  recordTruncate(content: MappedContent, size: number, now: Timestamp): void {
    this.checkpoints.append({ kind: 'truncate', ino: content.ino, time: now, size });
    content.truncated(size);
    this.checkpoints.touch(content, now);
  }

  /** The writes that delete what an inode has in the overlay; `freed` is called once they are committed. */
  async deleting(ino: number, inode: Inode): Promise<Write[]> {
    if (inode.type !== 'file' || inode.content === 'mapped') return [];
    const writes: Write[] = [del(overlayKey(ino)), put(garbageKey(ino), NOTHING)];
    for await (const page of this.#db.pages(writtenOf(ino))) writes.push(...page.map(([key]) => del(key)));
    return writes;
  }

  /** The batch is committed that has deleted an inode, or its overlay. */
  freed(ino: number): void {
    this.contents.gone(ino);
    this.departures.add(ino);
  }

  /** The batch is committed that has made a file one of `extents`, and its overlay file goes. */
  becameMapped(ino: number, extents: ExtentMap): void {
    this.contents.inUse(ino)?.becomeMapped(extents);
    this.contents.plainIsSource(ino);
    this.departures.add(ino);
  }

  /** Deletes an overlay file that a server noted as garbage and did not get to delete. */
  collect(ino: number): void {
    // A whiteout that came back, and is or was written to: the note is old.
    if (this.#db.get(overlayKey(ino)) !== undefined) this.#db.postpone(del(garbageKey(ino)));
    else if (this.contents.inUse(ino)?.overlay === undefined) this.departures.add(ino);
  }

  /** Undefined where it needed not wait: of many records, almost all. */
  #replay(record: JournalRecord): Promise<void> | undefined {
    const known = this.contents.inUse(record.ino);
    if (known?.overlaid === true) return this.#apply(known, record);
    const inode = this.#tree.inode(record.ino);
    // Gone since, or the server died before it had an overlay.
    if (inode?.type !== 'file' || inode.content !== 'overlaid') return undefined;
    return this.contents.load(record.ino).then((content) => this.#apply(content, record));
  }

  #apply(content: MappedContent, record: JournalRecord): undefined {
    if (record.kind === 'begin') {
      content.begun();
      this.checkpoints.markDirty(content);
      return;
    }
    if (record.kind === 'write') content.written(record.offset, record.end);
    else content.truncated(record.size);
    // What was set since, as utimens(2) does, is recorded with a later ctime.
    if (isLater(record.time, content.ctime)) this.checkpoints.touch(content, record.time);
    else this.checkpoints.markDirty(content);
  }

  /** Records everything. Contents that are open still can be read. @throws what the disk says */
  async close(): Promise<void> {
    await this.checkpoints.finish();
    await this.departures.done();
    this.checkpoints.close();
  }
}
