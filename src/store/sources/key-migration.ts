/**
 * Writes the keys under which sources are found by their paths, for a store of format 3 or older: in the background, in
 * slices. A crash leaves the number of the next source, and the next start goes on there.
 */
import { type Database, del, put, type Write } from '../records/database.ts';
import { KEYING_KEY, lastNumber, sourceKey, sourcesFrom } from '../records/key.ts';
import { decodeSource, Reader, Writer } from '../records/record.ts';
import type { SourceKeys } from './source-keys.ts';

/** Sources in a batch: some milliseconds of work. */
const SLICE = 500;

/** The write that begins the migration. */
export function beginKeying(): Write {
  return put(KEYING_KEY, new Writer().integer(0).finish());
}

export class KeyMigration {
  readonly #db: Database;
  readonly #keys: SourceKeys;
  readonly #stopped: () => boolean;

  constructor(db: Database, keys: SourceKeys, stopped: () => boolean) {
    this.#db = db;
    this.#keys = keys;
    this.#stopped = stopped;
  }

  /** Writes the keys that are missing; none for a store that has them. */
  async run(): Promise<void> {
    const bytes = this.#db.get(KEYING_KEY);
    if (bytes === undefined) return;
    for await (const page of this.#db.pages(sourcesFrom(new Reader(bytes).integer()), SLICE)) {
      if (this.#stopped()) return;
      const ids = page.map(([key]) => lastNumber(key));
      await this.#db.exclusive(async () => await this.#keySlice(ids));
    }
    await this.#db.exclusive(async () => await this.#db.commit([del(KEYING_KEY)]));
  }

  async #keySlice(ids: readonly number[]): Promise<void> {
    const keys = this.#keys.change();
    for (const id of ids) {
      // Read again: it may have changed, or be gone.
      const bytes = this.#db.get(sourceKey(id));
      if (bytes !== undefined) keys.add(id, decodeSource(bytes));
    }
    const next = new Writer().integer((ids.at(-1) ?? 0) + 1).finish();
    await this.#db.commit([...keys.writes(), put(KEYING_KEY, next)], { sync: false });
  }
}
