/**
 * How many hard links each source has, as of the last look at it: a record of its own beside the source, for those that have
 * another number than one. A change counts at once, and is written with the next batch; if a crash takes it, the next look finds
 * it again.
 */
import { type Database, del, put } from '../records/database.ts';
import { linksKey, sourceKey } from '../records/key.ts';
import { Lru } from '../records/lru.ts';
import { Reader, Writer } from '../records/record.ts';

/** Some 4 MB. */
const CACHED = 65_536;

export class SourceLinks {
  readonly #db: Database;
  readonly #cache = new Lru<number, number>(CACHED);

  constructor(db: Database) {
    this.#db = db;
  }

  /** One, where nobody has looked yet. */
  get(id: number): number {
    const known = this.#cache.get(id);
    if (known !== undefined) return known;
    const bytes = this.#db.get(linksKey(id));
    const links = bytes === undefined ? 1 : new Reader(bytes).integer();
    this.#cache.set(id, links);
    return links;
  }

  /** Notes the number that somebody found. Returns whether it is another one. */
  note(id: number, links: number): boolean {
    if (links === this.get(id) || this.#db.get(sourceKey(id)) === undefined) return false;
    this.#cache.set(id, links);
    this.#db.postpone(links === 1 ? del(linksKey(id)) : put(linksKey(id), new Writer().integer(links).finish()));
    return true;
  }

  /** Forgets sources that were released. */
  forget(ids: Iterable<number>): void {
    for (const id of ids) this.#cache.delete(id);
  }
}
