/**
 * Completes records of older versions, which have no ctime, handle or disk, with the look at which such a source was first
 * found as recorded. The records are changed in batches, soon after.
 */
import { messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { FileIdentity, RecordedSource } from '../source/identity.ts';
import type { Placing } from '../source/placing.ts';
import type { Store } from '../store/store.ts';

/** Milliseconds between the first look and the batch. */
const SOON_MS = 1000;
/** Records in a batch. What is found meanwhile comes with a later look. */
const MOST = 500;
/** Sources remembered of which nothing more can be found out. */
const MOST_TRIED = 100_000;

export interface RecordCompletionOptions {
  readonly store: { readonly living: Pick<Store['living'], 'changeSources'> };
  readonly placing: Pick<Placing, 'placeAt'>;
  /** Tells of a path if it lies in a folder of our own state: links that come and go change the ctimes of its files. */
  readonly isOwn: (path: Buffer) => boolean;
  readonly logger: Logger;
}

interface Found {
  readonly id: number;
  readonly record: RecordedSource;
  readonly identity: FileIdentity;
}

export class RecordCompletion {
  readonly #options: RecordCompletionOptions;
  readonly #found = new Map<number, Found>();
  readonly #tried = new Set<number>();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: RecordCompletionOptions) {
    this.#options = options;
  }

  /** Notes a source that was found as recorded: `identity` is what was found. */
  asRecorded(id: number, record: RecordedSource, identity: FileIdentity): void {
    if (record.ctimeNs !== undefined && record.disk !== undefined) return;
    if (this.#found.size >= MOST || this.#tried.has(id)) return;
    this.#found.set(id, { id, record, identity });
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#running = this.#running.then(async () => await this.#complete());
    }, SOON_MS);
    this.#timer.unref();
  }

  /** Resolves when no batch is being written, and begins no more. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#found.clear();
    await this.#running;
  }

  async #complete(): Promise<void> {
    const { store, placing, isOwn, logger } = this.#options;
    const found = [...this.#found.values()];
    this.#found.clear();
    try {
      const changes: Parameters<Store['living']['changeSources']>[0][number][] = [];
      for (const { id, record, identity } of found) {
        const { path, handle, disk } = record;
        const place = await placing.placeAt(path, identity.dev);
        const ctimeNs = isOwn(path) ? undefined : identity.ctimeNs;
        if (this.#tried.size >= MOST_TRIED) this.#tried.clear();
        this.#tried.add(id);
        if (ctimeNs === record.ctimeNs && (place.disk === undefined || place.disk === disk)) continue;
        const known = { ...(handle === undefined ? {} : { handle }), ...(disk === undefined ? {} : { disk }) };
        changes.push({ id, was: record, now: { path, ...identity, ctimeNs, ...known, ...place }, trusted: true });
      }
      await store.living.changeSources(changes);
    } catch (error) {
      logger.warn(`the records of ${found.length} sources could not be completed: ${messageOf(error)}`);
    }
  }
}
