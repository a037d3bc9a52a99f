/**
 * `overlay discard`: restores an entry, or some of its files, to its plan.
 *
 * It works in slices, each a batch of its own: what was written over a file goes together with the restored names. A
 * crash between two batches leaves some files as they were and some as planned; a second run does the rest. None of the
 * files is open, and an open waits until the batch is committed (`Quiet`).
 *
 * The order: first files that clients made, so that names become free; then files of the torrent; then those whose
 * names another file had until then (of two that were exchanged, both are without a name for a moment, which in the
 * store means deleted); last the folders, deepest first, if they are empty.
 */
import { AutotorrentError } from '../../errors.ts';
import type { StoredEntry } from '../entries/entry.ts';
import type { Pieces } from '../entries/pieces.ts';
import type { Notices } from '../notices.ts';
import type { Database } from '../records/database.ts';
import type { Inode } from '../records/record.ts';
import { Batch } from '../tree/batch.ts';
import type { Tree } from '../tree/tree.ts';
import type { Difference, Stray } from './differences.ts';
import { removeEmptyFolders } from './made-folders.ts';
import type { Overlay } from './overlay.ts';
import { type Kept, OwnNames } from './own-names.ts';
import { BLOCK_BYTES } from './written-blocks.ts';

/** Knows which files are open, and keeps others from being opened. */
export interface Quiet {
  isOpen(ino: number): boolean;
  /** Makes every open of these inodes wait until the returned function is called. */
  hold(inodes: readonly number[]): () => void;
}

export interface Discarded {
  /** Files and folders that are as planned now, or gone. */
  readonly files: number;
  /** The bytes that they had in the overlay. */
  readonly bytes: number;
  /** Files that could not get their names back, with the reason. */
  readonly kept: readonly Kept[];
}

const SLICE = 200;
const SHOWN = 3;
/** Ranges examined between two turns of the event loop. */
const RANGES = 10_000;

interface Step {
  readonly batch: Batch;
  /** The torrent's bytes that change. */
  readonly changed: [offset: number, end: number][];
}

export class Discard {
  readonly #db: Database;
  readonly #tree: Tree;
  readonly #overlay: Overlay;
  readonly #pieces: Pieces;
  readonly #notices: Notices;
  readonly #entry: StoredEntry;
  readonly #quiet: Quiet;
  /** Called after a batch that removed folders. */
  readonly #onFoldersGone: () => void;
  /** Inodes that will give up names that others wait for. */
  readonly #leaving = new Set<number>();
  readonly #names: OwnNames;

  constructor(
    parts: {
      readonly db: Database;
      readonly tree: Tree;
      readonly overlay: Overlay;
      readonly pieces: Pieces;
      readonly notices: Notices;
    },
    entry: StoredEntry,
    quiet: Quiet,
    onFoldersGone: () => void,
  ) {
    this.#db = parts.db;
    this.#tree = parts.tree;
    this.#overlay = parts.overlay;
    this.#pieces = parts.pieces;
    this.#notices = parts.notices;
    this.#names = new OwnNames(parts.db, entry, this.#leaving);
    this.#entry = entry;
    this.#quiet = quiet;
    this.#onFoldersGone = onFoldersGone;
  }

  /** Restores files; those restored before a failure stay so. @throws AutotorrentError('CONFLICT') if a file is open */
  async run(differences: readonly Difference[]): Promise<Discarded> {
    this.#refuseOpen(differences);
    const made = differences.filter(({ changes, type }) => changes.includes('made') && type !== 'directory');
    const folders = differences.filter(({ changes, type }) => changes.includes('made') && type === 'directory');
    const planned = differences.filter(({ changes }) => !changes.includes('made'));
    for (const { ino, strays, type } of differences)
      if (strays.length > 0 || type === 'directory') this.#leaving.add(ino);

    await this.#each(made, async (step, { ino, strays }) => await this.#deleteMade(step, ino, strays));
    await this.#removeFolders(folders);
    const waiting: Difference[] = [];
    await this.#each(planned, async (step, difference) => {
      await this.#restore(step, difference);
      if (!this.#names.giveBack(step.batch, difference)) waiting.push(difference);
    });
    await this.#removeFolders(folders);
    await this.#each(waiting, async (step, difference) => this.#names.giveBackOrKeep(step.batch, difference));
    await this.#removeFolders(folders);
    return {
      files: differences.length - this.#names.kept.length,
      bytes: differences.reduce((sum, { writtenBytes }) => sum + writtenBytes, 0),
      kept: this.#names.kept,
    };
  }

  #refuseOpen(differences: readonly Difference[]): void {
    const open = differences.filter((difference) => inodesOf(difference).some((ino) => this.#quiet.isOpen(ino)));
    if (open.length === 0) return;
    const names = open.slice(0, SHOWN).map(({ path }) => JSON.stringify(path.join('/')));
    const rest = open.length - names.length;
    throw new AutotorrentError(
      'CONFLICT',
      `${open.length === 1 ? 'a file is' : `${open.length} files are`} open in the mount: ${names.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`,
      { hint: 'Stop the torrent in its client, or end the program that reads the files, and run the command again.' },
    );
  }

  /** Runs one batch for each slice. */
  async #each(
    differences: readonly Difference[],
    work: (step: Step, difference: Difference) => Promise<void> | void,
  ): Promise<void> {
    for (let from = 0; from < differences.length; from += SLICE) {
      const slice = differences.slice(from, from + SLICE);
      const release = this.#quiet.hold(slice.flatMap(inodesOf));
      try {
        this.#refuseOpen(slice);
        await this.#commit(async (step) => {
          for (const difference of slice) await work(step, difference);
        });
      } finally {
        release();
      }
      this.#notices.bytesChanged(this.#entry.id);
      await new Promise(setImmediate);
    }
  }

  async #commit(work: (step: Step) => Promise<void>): Promise<void> {
    await this.#db.exclusive(async () => {
      const step: Step = { batch: new Batch(this.#tree, this.#overlay), changed: [] };
      await work(step);
      const unverifying = await this.#pieces.unverifyingAll(this.#entry.id, step.changed);
      const writes = [...step.batch.finish(), ...unverifying.writes];
      if (writes.length === 0) return;
      await this.#db.commit(writes, { needed: true });
      this.#tree.forget(step.batch.changed);
      unverifying.recorded();
      for (const ino of step.batch.freed) this.#overlay.freed(ino);
      for (const after of step.batch.afterwards) after();
      for (const stale of step.batch.stale()) this.#notices.stale(stale);
    });
  }

  /** Removes a name of a file that a client made; the file goes with its last name. */
  async #deleteMade({ batch, changed }: Step, ino: number, names: readonly Stray[]): Promise<void> {
    for (const { parent, name } of names) {
      const inode = batch.has(ino) ? batch.inode(ino) : undefined;
      if (inode === undefined || batch.lookup(parent, name)?.ino !== ino) continue;
      batch.unlink(parent, name);
      if (inode.nlink > 1) {
        batch.set(ino, { ...inode, nlink: inode.nlink - 1, ctime: batch.now });
        continue;
      }
      const { torrentOffset } = inode;
      // It may have been verified in place of the torrent's file.
      if (torrentOffset !== undefined) {
        changed.push([torrentOffset, torrentOffset + this.#overlay.files.sizeOf(ino)]);
      }
      const overlay = await this.#overlay.deleting(ino, inode);
      batch.writes.push(...overlay);
      if (overlay.length > 0) batch.freed.push(ino);
      batch.delete(ino, inode);
    }
  }

  /** Removes what was written over a file of the torrent, and the file that has its name. */
  async #restore(step: Step, { ino, replacedBy }: Difference): Promise<void> {
    const { batch } = step;
    if (replacedBy !== undefined) await this.#deleteMade(step, replacedBy.ino, [replacedBy.at]);
    const inode = batch.has(ino) ? batch.inode(ino) : undefined;
    if (inode?.type !== 'file' || inode.content === 'plain') return;
    const mtime = inode.plannedMtime ?? inode.mtime;
    if (inode.content === 'mapped') {
      const open = this.#overlay.contents.inUse(ino);
      if (open !== undefined) open.mtime = mtime;
      batch.set(ino, { ...inode, mtime, ctime: batch.now });
      return;
    }
    const size = this.#tree.extents(ino).length;
    await this.#noteChanged(step, ino, inode, size);
    batch.writes.push(...(await this.#overlay.deleting(ino, inode)));
    batch.freed.push(ino);
    batch.set(ino, { ...inode, content: 'mapped', size, baseEnd: size, mtime, ctime: batch.now });
  }

  /** Notes where bytes of a file of the torrent will change. */
  async #noteChanged({ changed }: Step, ino: number, { torrentOffset }: Inode, planned: number): Promise<void> {
    if (torrentOffset === undefined) return;
    const pieceLength = (await this.#pieces.of(this.#entry.id))?.pieceLength ?? 0;
    const content = await this.#overlay.contents.acquireMapped(ino);
    try {
      const { size, baseEnd, blocks } = content;
      let turns = 0;
      for (const [first, last] of blocks.ranges(Math.ceil(Math.min(size, planned) / BLOCK_BYTES))) {
        const [offset, end] = [first * BLOCK_BYTES, Math.min(last * BLOCK_BYTES, planned)];
        const before = changed.at(-1);
        // A file may have millions of ranges. If no whole piece lies between two, one range covers both.
        if (
          before !== undefined &&
          before[1] <= torrentOffset + offset &&
          torrentOffset + offset - before[1] < pieceLength
        )
          before[1] = torrentOffset + end;
        else changed.push([torrentOffset + offset, torrentOffset + end]);
        if (++turns % RANGES === 0) await new Promise(setImmediate);
      }
      if (baseEnd < planned) changed.push([torrentOffset + baseEnd, torrentOffset + planned]);
    } finally {
      this.#overlay.contents.release(content);
    }
  }

  async #removeFolders(folders: readonly Difference[]): Promise<void> {
    // In the list, a folder comes after its parent.
    const deepestFirst = folders.toReversed();
    for (let from = 0; from < deepestFirst.length; from += SLICE) {
      const slice = deepestFirst.slice(from, from + SLICE);
      const release = this.#quiet.hold(slice.map(({ ino }) => ino));
      let went = false;
      try {
        await this.#commit(async ({ batch }) => {
          went = await removeEmptyFolders(this.#db, batch, slice, (ino) => this.#quiet.isOpen(ino));
        });
      } finally {
        release();
      }
      if (went) this.#onFoldersGone();
    }
  }
}

/** The inodes that a difference concerns, but no folders. */
function inodesOf({ ino, type, replacedBy }: Difference): number[] {
  if (type === 'directory') return [];
  return replacedBy === undefined ? [ino] : [ino, replacedBy.ino];
}
