/**
 * The journal and the checkpoints: a write is appended to the journal at once, and recorded in the store later.
 *
 * A checkpoint syncs the overlay file before it records which of its blocks are written. One batch records several
 * files.
 */
import fs from 'node:fs';
import { promisify } from 'node:util';
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { later, type Timestamp } from '../../native/timestamp.ts';
import { type Database, del, put, type Write } from '../records/database.ts';
import { writtenKey } from '../records/key.ts';
import type { Tree } from '../tree/tree.ts';
import type { MappedContent } from './content.ts';
import type { Contents } from './contents.ts';
import type { Journal, JournalRecord } from './journal.ts';
import type { OverlayFiles } from './overlay-files.ts';

const fdatasync = promisify(fs.fdatasync);

/** The longest wait of a write without fsync for its checkpoint; the kernel waits as long with dirty pages. */
const CHECKPOINT_MS = 30_000;
/** Files that one batch records. */
const TOGETHER = 32;

/** The part of a content that is being recorded. */
interface Recording {
  readonly content: MappedContent;
  readonly size: number;
  readonly baseEnd: number;
  readonly chunks: ReadonlyMap<number, Buffer | undefined>;
}

export interface CheckpointParts {
  readonly db: Database;
  readonly tree: Tree;
  readonly files: OverlayFiles;
  readonly contents: Contents;
  readonly journal: Journal;
  readonly logger: Logger;
}

export class Checkpoints {
  readonly #parts: CheckpointParts;
  #timer: NodeJS.Timeout | undefined;
  #all: Promise<void> | undefined;

  constructor(parts: CheckpointParts) {
    this.#parts = parts;
  }

  /** @throws file errors of the disk */
  append(record: JournalRecord): void {
    const { journal } = this.#parts;
    journal.append(record);
    // Not in this call: the listed record takes effect after it, and the checkpoint forgets the list. It also opens
    // files, for which it may close the caller's.
    if (journal.isFull) queueMicrotask(() => void this.#inBackground());
  }

  /** Notes that bytes of a content changed. */
  touch(content: MappedContent, now: Timestamp): void {
    content.mtime = now;
    content.ctime = now;
    this.markDirty(content);
  }

  markDirty(content: MappedContent): void {
    content.dirty = true;
    this.#timer ??= setTimeout(() => void this.#inBackground(), CHECKPOINT_MS).unref();
  }

  async #inBackground(): Promise<void> {
    try {
      await this.all();
    } catch (error) {
      this.#parts.logger.error(`writes could not be recorded yet: ${messageOf(error)}`);
      this.#timer ??= setTimeout(() => void this.#inBackground(), CHECKPOINT_MS).unref();
    }
  }

  /** Records everything that is not recorded yet. @throws file errors of the disk, AutotorrentError('STORE') */
  async all(): Promise<void> {
    this.#all ??= this.#each().finally(() => {
      this.#all = undefined;
    });
    await this.#all;
  }

  async #each(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { journal, contents } = this.#parts;
    const rotated = journal.rotate();
    // A content whose checkpoint is running may turn out not to be recorded.
    const changed = [...contents.mapped].filter((content) => content.dirty || content.checkpoint !== undefined);
    const failures: unknown[] = [];
    // A content that cannot be recorded (its overlay file is missing) does not hold up the others.
    for (let from = 0; from < changed.length; from += TOGETHER) {
      failures.push(...(await this.#some(changed.slice(from, from + TOGETHER))));
    }
    if (failures.length === 0) return rotated.forget();
    rotated.keep();
    throw failures[0];
  }

  /** Records one content, so that everything written before survives a power loss. */
  async one(content: MappedContent): Promise<void> {
    const [failure] = await this.#some([content]);
    if (failure !== undefined) throw failure;
  }

  /** Records several contents with one batch. Returns the reason for each that could not be recorded. */
  async #some(contents: readonly MappedContent[]): Promise<unknown[]> {
    for (;;) {
      const running = contents.flatMap((content) => content.checkpoint ?? []);
      if (running.length === 0) break;
      await Promise.all(running);
    }
    const dirty = contents.filter((content) => content.dirty && !content.gone);
    if (dirty.length === 0) return [];
    const work = this.#record(dirty).finally(() => {
      for (const content of dirty) content.checkpoint = undefined;
      for (const content of dirty) this.#parts.contents.dropIfUnused(content);
    });
    for (const content of dirty) content.checkpoint = work;
    return await work;
  }

  async #record(contents: readonly MappedContent[]): Promise<unknown[]> {
    const { files, db } = this.#parts;
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
          const { overlay, overlaid } = recording.content;
          if (overlaid) await overlay?.during(fdatasync);
          synced.push(recording);
        } catch (error) {
          fail(recording, error);
        }
      }),
    );
    try {
      await files.syncNames(synced.flatMap(({ content }) => (content.overlaid ? [content.ino] : [])));
      await db.exclusive(async () => await this.#commit(synced));
    } catch (error) {
      for (const recording of synced) fail(recording, error);
      return failures;
    }
    for (const { content, size } of synced) this.#cut(content, size);
    return failures;
  }

  async #commit(recordings: readonly Recording[]): Promise<void> {
    const { db, tree } = this.#parts;
    const writes: Write[] = [];
    const inodes: number[] = [];
    for (const { content, size, baseEnd, chunks } of recordings) {
      const { ino, mtime, ctime } = content;
      const inode = tree.inode(ino);
      if (inode === undefined || content.gone) continue;
      for (const [chunk, record] of chunks) {
        writes.push(record === undefined ? del(writtenKey(ino, chunk)) : put(writtenKey(ino, chunk), record));
      }
      // The present times: utimens(2) may have set them during the wait for the disk.
      writes.push(tree.writing(ino, { ...inode, size, baseEnd, mtime, ctime: later(ctime, inode.ctime) }));
      inodes.push(ino);
    }
    if (writes.length === 0) return;
    await db.commit(writes, { needed: true });
    tree.forget(inodes);
  }

  /** Frees the blocks after the end of the file, both as recorded and as it is now. */
  #cut(content: MappedContent, recorded: number): void {
    // A running write makes the content dirty, so it is cut another time.
    if (content.overlay === undefined || content.beingWritten > 0) return;
    const end = Math.max(recorded, content.size);
    try {
      const { fd } = content.overlay;
      if (fs.fstatSync(fd).size > end) fs.ftruncateSync(fd, end);
    } catch (error) {
      const path = this.#parts.files.path(content.ino);
      this.#parts.logger.warn(`space that ${path} no longer needs cannot be freed: ${messageOf(error)}`);
    }
  }

  /** Records everything, at the end. @throws file errors of the disk, AutotorrentError('STORE') */
  async finish(): Promise<void> {
    // A running checkpoint does not include what came since it began.
    await this.#all?.catch(() => {});
    await this.all();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#parts.journal.close();
  }
}
