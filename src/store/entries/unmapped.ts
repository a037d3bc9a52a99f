/**
 * Ends the use of sources that no file of an entry names any more, after files were mapped anew.
 *
 * A remapping notes the sources that a file named before. Some seconds after the last one, when reads that had begun have
 * ended, the files of the entry are listed once, and what nothing names is released. A crash leaves the notes, and the next
 * start reads them.
 */
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { type Database, del, NOTHING, put, type Write } from '../records/database.ts';
import { entryBeforeLast, filesOf, lastNumber, UNMAPPED, unmappedKey, unmappedOf } from '../records/key.ts';
import { decodeFile } from '../records/record.ts';
import type { Sources } from '../sources/sources.ts';
import type { Tree } from '../tree/tree.ts';

/** Milliseconds after the last remapping of an entry. A read waits up to five seconds for a source. */
const QUIET_MS = 8000;
/** Files listed between two turns of the event loop. */
const PAGE = 100;

interface UnmappedParts {
  readonly db: Database;
  readonly tree: Tree;
  readonly sources: Sources;
  readonly logger: Logger;
  readonly stopped: () => boolean;
}

export class Unmapped {
  readonly #parts: UnmappedParts;
  /** Entries with notes: the number of their remappings, and when the last one was (`performance.now`). */
  readonly #noted = new Map<number, { readonly count: number; readonly at: number }>();
  #timer: NodeJS.Timeout | undefined;
  #releasing: Promise<void> = Promise.resolve();

  constructor(parts: UnmappedParts) {
    this.#parts = parts;
  }

  /** The writes that note sources which a file names no more, and their spares, in the batch that maps it anew. */
  noting(entry: number, ids: Iterable<number>): Write[] {
    const all = new Set<number>();
    for (const id of ids) for (const each of [id, ...(this.#parts.sources.get(id)?.spares ?? [])]) all.add(each);
    return [...all].map((id) => put(unmappedKey(entry, id), NOTHING));
  }

  /**
   * Called once a file of an entry was mapped anew, before another writer's turn: it may use a source that is about to be
   * released.
   */
  note(entry: number): void {
    this.#noted.set(entry, { count: (this.#noted.get(entry)?.count ?? 0) + 1, at: performance.now() });
    this.#timer ??= setTimeout(() => void this.#inBackground(), QUIET_MS).unref();
  }

  async #inBackground(): Promise<void> {
    let failed = false;
    this.#releasing = this.#releaseAll(performance.now() - QUIET_MS).catch((error: unknown) => {
      failed = true;
      this.#parts.logger.warn(`sources that nothing uses stay recorded for now: ${messageOf(error)}`);
    });
    await this.#releasing;
    this.#timer = undefined;
    // After a failure the next remapping, or the next start, tries again.
    if (this.#noted.size > 0 && !failed && !this.#parts.stopped()) {
      this.#timer = setTimeout(() => void this.#inBackground(), QUIET_MS).unref();
    }
  }

  /** Releases what an earlier server has left. */
  async recover(): Promise<void> {
    for await (const page of this.#parts.db.pages(UNMAPPED)) {
      for (const [key] of page) {
        const entry = entryBeforeLast(key);
        if (!this.#noted.has(entry)) this.#noted.set(entry, { count: 0, at: Number.NEGATIVE_INFINITY });
      }
    }
    await this.#releaseAll(Number.NEGATIVE_INFINITY);
  }

  /** Releases what entries use no more whose last remapping was at `before` or earlier. */
  async #releaseAll(before: number): Promise<void> {
    for (const [entry, { at }] of this.#noted) {
      if (at <= before && !this.#parts.stopped()) await this.#release(entry);
    }
  }

  async #release(entry: number): Promise<void> {
    const { db, sources, stopped } = this.#parts;
    const count = this.#noted.get(entry)?.count;
    const still = (): boolean => this.#noted.get(entry)?.count === count;
    const noted: number[] = [];
    for await (const page of db.pages(unmappedOf(entry))) noted.push(...page.map(([key]) => lastNumber(key)));
    const used = await this.#used(entry, new Set(noted));
    if (stopped()) return;
    const unused = noted.filter((id) => !used.has(id));
    if (unused.length > 0) await sources.release(unused, entry, still);
    await db.exclusive(async () => {
      // A remapping since has noted its own, and will look at all again.
      if (!still()) return;
      await db.commit(noted.map((id) => del(unmappedKey(entry, id))));
      this.#noted.delete(entry);
    });
  }

  /** Finds those of `candidates` that files of an entry name, or that are spares of what they name. */
  async #used(entry: number, candidates: ReadonlySet<number>): Promise<Set<number>> {
    const { db, tree, sources, stopped } = this.#parts;
    const named = new Set<number>();
    if (candidates.size === 0) return named;
    const used = new Set<number>();
    for await (const page of db.pages(filesOf(entry), PAGE)) {
      if (stopped()) break;
      for (const [, value] of page) {
        for (const id of tree.sources(decodeFile(value).ino)) {
          if (named.has(id)) continue;
          named.add(id);
          for (const each of [id, ...(sources.get(id)?.spares ?? [])]) if (candidates.has(each)) used.add(each);
        }
      }
    }
    return used;
  }

  /** Waits for what is under way; the rest is left for the next start. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#releasing;
  }
}
