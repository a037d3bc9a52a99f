/**
 * The overlay of a store: what clients have written (`docs/overlay.md`). It joins the contents in use, the journal with
 * its checkpoints, and the deletion of overlay files, and replays the journal of a killed server.
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
import { OverlaidFiles } from './overlaid-files.ts';
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
  readonly overlaid: OverlaidFiles;
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
    this.overlaid = new OverlaidFiles(db, tree);
    this.check = new OverlayCheck(db, files, this.contents, logger);
  }

  /**
   * Opens the overlay and replays the journal of a killed server.
   * @throws AutotorrentError('STORE'), file errors of the disk
   */
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

  /** Gives an overlay file to a mapped file that is in use. @throws ENOENT, file errors of the disk */
  async begin(content: MappedContent): Promise<void> {
    const { ino } = content;
    await this.departures.cancel(ino);
    // It may have had an earlier one, which went to the pool or was discarded, and whose writes are still in the
    // journal.
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
    if (content.torrentOffset !== undefined) this.overlaid.added(content.entry, ino);
  }

  /** Makes bytes that are in the overlay file count. @throws file errors of the disk; nothing counts then */
  recordWrite(content: MappedContent, offset: number, end: number, now: Timestamp): void {
    this.checkpoints.append({ kind: 'write', ino: content.ino, time: now, offset, end });
    content.written(offset, end);
    this.checkpoints.touch(content, now);
  }

  /** Records a truncate. @throws file errors of the disk; nothing is changed then */
  recordTruncate(content: MappedContent, size: number, now: Timestamp): void {
    this.checkpoints.append({ kind: 'truncate', ino: content.ino, time: now, size });
    content.truncated(size);
    this.checkpoints.touch(content, now);
  }

  /** Returns the writes that delete what an inode has in the overlay; call `freed` once they are committed. */
  async deleting(ino: number, inode: Inode): Promise<Write[]> {
    if (inode.type !== 'file' || inode.content === 'mapped') return [];
    const writes: Write[] = [del(overlayKey(ino)), put(garbageKey(ino), NOTHING)];
    for await (const page of this.#db.pages(writtenOf(ino))) writes.push(...page.map(([key]) => del(key)));
    return writes;
  }

  /** Called once the batch is committed that has deleted an inode, or its overlay. */
  freed(ino: number): void {
    this.contents.gone(ino);
    this.overlaid.removed(ino);
    this.departures.add(ino);
  }

  /** Called once the batch is committed that maps a file to `extents`; its overlay file is deleted. */
  becameMapped(ino: number, extents: ExtentMap): void {
    this.contents.inUse(ino)?.becomeMapped(extents);
    this.contents.plainIsSource(ino);
    this.overlaid.removed(ino);
    this.departures.add(ino);
  }

  /** Called once the batch is committed that gives a file other extents. */
  remapped(ino: number, extents: ExtentMap): void {
    this.contents.inUse(ino)?.remapped(extents);
  }

  /** Deletes an overlay file that an earlier server noted as garbage but did not delete. */
  collect(ino: number): void {
    // A whiteout that came back, and is or was written to: the note is old.
    if (this.#db.get(overlayKey(ino)) !== undefined) this.#db.postpone(del(garbageKey(ino)));
    else if (this.contents.inUse(ino)?.overlay === undefined) this.departures.add(ino);
  }

  /** Replays a record. Undefined if it need not wait, as almost all of many records. */
  #replay(record: JournalRecord): Promise<void> | undefined {
    const known = this.contents.inUse(record.ino);
    if (known?.overlaid === true) return this.#apply(known, record);
    const inode = this.#tree.inode(record.ino);
    // It is gone since, or the server died before it had an overlay.
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
    // Values that were set later, as by utimens(2), are recorded with a later ctime.
    if (isLater(record.time, content.ctime)) this.checkpoints.touch(content, record.time);
    else this.checkpoints.markDirty(content);
  }

  /** Records everything. Contents that are still open can be read. @throws file errors of the disk */
  async close(): Promise<void> {
    await this.checkpoints.finish();
    await this.departures.done();
    this.checkpoints.close();
  }
}
