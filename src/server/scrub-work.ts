/** Answers what `scrub` asks the server: which pieces are due, and where reports of damage go. */
import type { DamagedSource, DueEntry, DueQuestion } from '../control/served.ts';
import type { Logger } from '../logger.ts';
import type { Entry } from '../store/entries/entry.ts';
import type { Store } from '../store/store.ts';
import { dueEntries, duePieces } from './due-pieces.ts';

export class ScrubWork {
  readonly #store: Store;
  readonly #logger: Logger;

  constructor(store: Store, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  /** Lists the entries with pieces to hash. */
  due(question: DueQuestion): AsyncIterable<DueEntry> {
    return dueEntries(this.#store, question);
  }

  /** Gives one byte for each piece of an entry: why it is due. */
  pieces(entry: Entry, question: DueQuestion): Buffer {
    return duePieces(this.#store, entry, question);
  }

  /** Takes a report of sources whose bytes do not agree, or that cannot be read. */
  damaged({ name }: Entry, sources: readonly DamagedSource[]): void {
    for (const { path, reason } of sources) this.#logger.warn(`${name}: ${path.toString()} ${reason}`);
  }
}
