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
  /** Entries with notes, and the number of their remappings. */
  readonly #remappings = new Map<number, number>();
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

  /** Called once a file of an entry was mapped anew. */
  note(entry: number): void {
    this.#remappings.set(entry, (this.#remappings.get(entry) ?? 0) + 1);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#releasing = this.#releaseAll().catch((error: unknown) => {
        this.#parts.logger.warn(`sources that nothing uses stay recorded until the next start: ${messageOf(error)}`);
      });
    }, QUIET_MS).unref();
  }

  /** Releases what an earlier server has left. */
  async recover(): Promise<void> {
    for await (const page of this.#parts.db.pages(UNMAPPED)) {
      for (const [key] of page) {
        const entry = entryBeforeLast(key);
        if (!this.#remappings.has(entry)) this.#remappings.set(entry, 0);
      }
    }
    await this.#releaseAll();
  }

  async #releaseAll(): Promise<void> {
    for (const entry of this.#remappings.keys()) if (!this.#parts.stopped()) await this.#release(entry);
  }

  async #release(entry: number): Promise<void> {
    const { db, sources, stopped } = this.#parts;
    const remappings = this.#remappings.get(entry);
    const still = (): boolean => this.#remappings.get(entry) === remappings;
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
      this.#remappings.delete(entry);
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
