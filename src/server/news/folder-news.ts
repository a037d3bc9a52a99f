/**
 * What is reported of folders. The sources below one that was renamed are at their new paths at once; their records are written
 * anew in the background, in batches, while readers go first. Those below one that is gone become cases.
 */
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { Moves } from './moves.ts';
import type { Cases, MayHold, NewsStore } from './parts.ts';
import type { Reckoning } from './reckoning.ts';
import { inSpareTime } from './spare-time.ts';

/** Milliseconds between the two reports of an exchange, at most. */
const EXCHANGE_MS = 2000;

export interface FolderNewsParts {
  readonly store: NewsStore;
  /** Absent: nobody settles cases. */
  readonly cases?: Cases | undefined;
  readonly mayHold: MayHold;
  readonly logger: Logger;
  readonly moves: Moves;
  readonly reckoning: Reckoning;
}

export class FolderNews {
  readonly #parts: FolderNewsParts;
  /** Sources below a folder whose place another one has taken: it is exchanged, and the next report says so. */
  readonly #displaced = new Map<string, { readonly ids: ReadonlySet<number>; readonly at: number }>();
  readonly #closed = new AbortController();
  /** Resolves when the records of all renamed folders are written. */
  #recording: Promise<void> = Promise.resolve();

  constructor(parts: FolderNewsParts) {
    this.#parts = parts;
  }

  /** Resolves when the records of all folders that were renamed so far are written. */
  async settled(): Promise<void> {
    await this.#recording;
  }

  /** Writes what is left at once. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#recording;
  }

  /** A folder was renamed. Its files are not touched: nothing of them has changed but their path. */
  async renamed(from: Buffer, to: Buffer): Promise<void> {
    const { mayHold } = this.#parts;
    // Nothing is served from there: its sources keep their places, and their cases are settled.
    if (!(await mayHold(to))) return await this.gone(from, false);
    await this.#follow(from, to);
    if (!(await mayHold(from))) await this.appeared(to);
  }

  async #follow(from: Buffer, to: Buffer): Promise<void> {
    const name = from.toString('latin1');
    const displaced = this.#displaced.get(name);
    this.#displaced.delete(name);
    const only = displaced !== undefined && performance.now() - displaced.at < EXCHANGE_MS ? displaced.ids : undefined;
    await this.#noteDisplaced(to);
    this.#parts.moves.folderRenamed(from, to);
    const pages = this.#parts.store.living.renameFolder(from, to, only);
    // The oldest rename first.
    this.#recording = this.#recordAll(pages, this.#recording);
  }

  async #recordAll(pages: AsyncIterable<readonly number[]>, before: Promise<void>): Promise<void> {
    await before;
    try {
      for await (const ids of pages) await inSpareTime(async () => await this.#record(ids), this.#closed.signal);
    } catch (error) {
      this.#parts.logger.error(`sources of a renamed folder could not be recorded: ${messageOf(error)}`);
    }
  }

  async #record(ids: readonly number[]): Promise<void> {
    const { store, cases } = this.#parts;
    await store.living.recordPlaces(ids, 'was moved with its folder (seen as it happened)');
    for (const id of ids) {
      const state = store.living.condition(id)?.state;
      // What is lost was looked for; that its folder has another name says nothing new.
      if (state === 'healing' || state === 'waiting') cases?.note(id);
    }
  }

  async #noteDisplaced(to: Buffer): Promise<void> {
    const now = performance.now();
    for (const [name, { at }] of this.#displaced) if (now - at > EXCHANGE_MS) this.#displaced.delete(name);
    const ids = new Set<number>();
    for await (const page of this.#parts.store.living.sourcesBelow(to)) for (const { id } of page) ids.add(id);
    if (ids.size > 0) this.#displaced.set(to.toString('latin1'), { ids, at: now });
  }

  /** A folder was deleted, or moved to where nothing is seen of it. */
  async gone(folder: Buffer, seenDeleted: boolean): Promise<void> {
    await this.#each(folder, (id) => {
      if (this.#parts.store.living.condition(id)?.state !== 'waiting') this.#parts.reckoning.gone(id, seenDeleted);
    });
  }

  /** A folder has come to a place below which there are sources. */
  async appeared(folder: Buffer): Promise<void> {
    await this.#each(folder, (id) => {
      if (this.#parts.store.living.condition(id) !== undefined) this.#parts.reckoning.back(id);
    });
  }

  async #each(folder: Buffer, take: (id: number) => void): Promise<void> {
    for await (const page of this.#parts.store.living.sourcesBelow(folder)) {
      for (const { id } of page) take(id);
      await this.#parts.reckoning.reckon();
    }
  }
}
