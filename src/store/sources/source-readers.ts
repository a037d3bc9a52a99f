/**
 * Who may read each source, as far as somebody has looked: a record of its own beside the source, since it changes while
 * the source stays the same. A source without one was never looked at (a store of format 2): nobody may read it then.
 *
 * A change counts at once, and is written soon. If a crash takes it, the next look finds it again.
 */
import type { Readers } from '../../source/readers.ts';
import type { Notices } from '../notices.ts';
import { type Database, put, type Write } from '../records/database.ts';
import { readersKey, sourceKey } from '../records/key.ts';
import { Lru } from '../records/lru.ts';
import { decodeReaders, encodeReaders, sameReaders } from '../records/readers.ts';

/** Some 6 MB. */
const CACHED = 65_536;

export class SourceReaders {
  readonly #db: Database;
  readonly #notices: Notices;
  readonly #cache = new Lru<number, Readers>(CACHED);
  /** Changes that are not written yet. */
  #pending = new Map<number, Readers>();
  #writing = false;

  constructor(db: Database, notices: Notices) {
    this.#db = db;
    this.#notices = notices;
  }

  get(id: number): Readers | undefined {
    const known = this.#cache.get(id) ?? this.#pending.get(id);
    if (known !== undefined) return known;
    const bytes = this.#db.get(readersKey(id));
    if (bytes === undefined) return undefined;
    const readers = decodeReaders(bytes);
    this.#cache.set(id, readers);
    return readers;
  }

  /** The record of a source that is being made. */
  recording(id: number, readers: Readers): Write {
    return put(readersKey(id), encodeReaders(readers));
  }

  /** Notes what somebody found who looked at a source. */
  note(id: number, readers: Readers): void {
    const before = this.get(id);
    if (before !== undefined && sameReaders(before, readers)) return;
    this.#cache.set(id, readers);
    this.#pending.set(id, readers);
    this.#notices.readersChanged({ source: id, before: before ?? 'nobody', now: readers });
    if (this.#writing) return;
    this.#writing = true;
    // On a full disk they wait for the next change.
    void this.#db
      .exclusive(async () => await this.#write())
      .catch(() => {})
      .finally(() => {
        this.#writing = false;
      });
  }

  async #write(): Promise<void> {
    const pending = this.#pending;
    // One that was released meanwhile must not come back.
    const there = [...pending].filter(([id]) => this.#db.get(sourceKey(id)) !== undefined);
    this.#pending = new Map();
    try {
      await this.#db.commit(there.map(([id, readers]) => this.recording(id, readers)));
    } catch (error) {
      this.#pending = new Map([...pending, ...this.#pending]);
      throw error;
    }
  }

  /** Forgets sources that were released. */
  forget(ids: Iterable<number>): void {
    for (const id of ids) {
      this.#cache.delete(id);
      this.#pending.delete(id);
    }
  }
}
