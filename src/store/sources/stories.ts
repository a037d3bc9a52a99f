/** The last changes of each source: when, from where to where, and how that was found out. */

import { decodeStory, encodeStory, type StoryLine } from '../records/condition.ts';
import type { Database, Write } from '../records/database.ts';
import { put } from '../records/database.ts';
import { sourceKey, storyKey } from '../records/key.ts';
import { Soon } from './soon.ts';

/** Lines that are kept of a source. */
const KEPT = 8;

export class Stories {
  readonly #db: Database;
  /** Lines that are not written yet. */
  readonly #lines = new Map<number, StoryLine[]>();
  readonly #soon: Soon;

  constructor(db: Database) {
    this.#db = db;
    this.#soon = new Soon(db, (id) => this.#writesOf(id));
  }

  /** Returns the last changes of a source, the oldest first. */
  of(id: number): StoryLine[] {
    const bytes = this.#db.get(storyKey(id));
    const written = bytes === undefined ? [] : decodeStory(bytes);
    return [...written, ...(this.#lines.get(id) ?? [])].slice(-KEPT);
  }

  /** Adds a line, which is written soon. */
  note(id: number, line: StoryLine): void {
    this.#lines.set(id, [...(this.#lines.get(id) ?? []), line].slice(-KEPT));
    this.#soon.add(id);
  }

  /**
   * The write that adds a line together with other changes; call `recorded` once it is committed. `before`: the story of a
   * source that this one replaces.
   */
  recording(id: number, line: StoryLine, before: readonly StoryLine[] = []): Write {
    return put(storyKey(id), encodeStory([...before, ...this.of(id), line].slice(-KEPT)));
  }

  recorded(id: number): void {
    this.#lines.delete(id);
    this.#soon.forget(id);
  }

  #writesOf(id: number): Write[] {
    const story = this.of(id);
    this.#lines.delete(id);
    return this.#db.get(sourceKey(id)) === undefined ? [] : [put(storyKey(id), encodeStory(story))];
  }

  /** Forgets sources that were released; their records went with them. */
  forget(ids: Iterable<number>): void {
    for (const id of ids) this.recorded(id);
  }

  /** Resolves when all is written, or cannot be. */
  async settled(): Promise<void> {
    await this.#soon.settled();
  }
}
