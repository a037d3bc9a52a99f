/**
 * Records that are written soon: a change counts in memory at once, and is on the disk a moment later, in batches. A
 * crash loses what is not written yet; whoever uses this must find it again.
 */
import type { Database, Write } from '../records/database.ts';

/** Records in a batch: some milliseconds of work. */
const SLICE = 500;

export class Soon {
  readonly #db: Database;
  /** Returns the writes for the present state of a record. Called when its batch is about to be committed. */
  readonly #writesOf: (id: number) => readonly Write[];
  #pending = new Set<number>();
  #writing: Promise<void> | undefined;

  constructor(db: Database, writesOf: (id: number) => readonly Write[]) {
    this.#db = db;
    this.#writesOf = writesOf;
  }

  add(id: number): void {
    this.#pending.add(id);
    // On a full disk they wait for the next change.
    this.#writing ??= this.#write()
      .catch(() => {})
      .finally(() => {
        this.#writing = undefined;
      });
  }

  /** Called when another batch has written the present state, or nothing of it is to be written any more. */
  forget(id: number): void {
    this.#pending.delete(id);
  }

  async #write(): Promise<void> {
    while (this.#pending.size > 0) await this.#db.exclusive(async () => await this.#writeSlice());
  }

  async #writeSlice(): Promise<void> {
    const slice: number[] = [];
    for (const id of this.#pending) {
      slice.push(id);
      if (slice.length === SLICE) break;
    }
    const writes = slice.flatMap((id) => this.#writesOf(id));
    for (const id of slice) this.#pending.delete(id);
    try {
      if (writes.length > 0) await this.#db.commit(writes, { sync: false });
    } catch (error) {
      for (const id of slice) this.#pending.add(id);
      throw error;
    }
  }

  /** Resolves when all is written, or cannot be. */
  async settled(): Promise<void> {
    await this.#writing;
  }
}
