/**
 * Lets go of pins whose originals are gone (`docs/sources.md`, "Pins"): after `protect_days`, or when the disk is nearly full. What
 * nothing else has is lost then, by the rules of loss.
 */
import { promises as fs } from 'node:fs';
import type { Config } from '../../config/config.ts';
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { KeptFiles } from '../../rescue/kept-files.ts';
import type { Store } from '../../store/store.ts';
import { within } from '../../within.ts';

export interface PinAgesParts {
  readonly store: Store;
  readonly config: Pick<Config, 'protectDays'>;
  readonly pins: Pick<KeptFiles, 'isKept' | 'drop'>;
  /** Notes the case of a source that was deleted on purpose. */
  readonly noteDeleted: (id: number) => void;
  readonly logger: Logger;
}

const HOUR_MS = 60 * 60_000;
const DAY_MS = 24 * HOUR_MS;
/** A disk of which less is free is nearly full. */
const FREE = 0.05;
/** A disk that does not answer in time counts as one that has room. */
const STATFS_MS = 5000;
/** The line in the story of a pin: from then on nothing but it has the bytes. */
const ALONE = 'has what its original had, which is gone';

interface Alone {
  readonly id: number;
  readonly path: Buffer;
  readonly sinceMs: number;
}

export class PinAges {
  readonly #parts: PinAgesParts;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(parts: PinAgesParts) {
    this.#parts = parts;
  }

  /** Looks at all pins now, and once an hour. */
  start(): void {
    this.#look();
    this.#timer = setInterval(() => this.#look(), HOUR_MS).unref();
  }

  #look(): void {
    this.#running = this.#running
      .then(async () => await this.#lookNow())
      .catch((error: unknown) => {
        if (!this.#closed) this.#parts.logger.warn(`old pins stay for now: ${messageOf(error)}`);
      });
  }

  async #lookNow(): Promise<void> {
    const { protectDays } = this.#parts.config;
    const alone = (await this.#alone()).toSorted((a, b) => a.sinceMs - b.sinceMs);
    for (const pin of alone) {
      if (this.#closed) return;
      const days = (Date.now() - pin.sinceMs) / DAY_MS;
      if (days >= protectDays) await this.#letGo(pin, `its original is gone for ${Math.floor(days)} day(s)`);
      else if (await isNearlyFull(pin.path))
        await this.#letGo(pin, 'its original is gone, and its disk is nearly full');
    }
  }

  /** Lists the pins that stand for files which are gone, and notes since when they do. */
  async #alone(): Promise<Alone[]> {
    const { store, pins } = this.#parts;
    const found = new Map<number, Buffer>();
    const spares = new Set<number>();
    for await (const page of store.sources()) {
      if (this.#closed) return [];
      for (const { id, path } of page) {
        if (pins.isKept(path)) found.set(id, path);
        for (const spare of store.source(id)?.spares ?? []) spares.add(spare);
      }
    }
    const alone: Alone[] = [];
    for (const [id, path] of found) {
      if (spares.has(id) || this.#closed || !(await this.#isAllOfFiles(id))) continue;
      alone.push({ id, path, sinceMs: await this.#since(id) });
    }
    return alone;
  }

  /** Tells if the files that a pin supplies have no byte of another source: else their original is there, and changed. */
  async #isAllOfFiles(id: number): Promise<boolean> {
    const { store } = this.#parts;
    let files = 0;
    for (const entry of await store.living.usersOf(id)) {
      for await (const page of store.living.filesOf(id, entry)) {
        for (const { ino } of page) {
          files++;
          for (const source of store.sourcesOf(ino)) if (source !== id) return false;
        }
      }
    }
    return files > 0;
  }

  async #since(id: number): Promise<number> {
    const { living } = this.#parts.store;
    const known = living.story(id).find(({ how }) => how === ALONE);
    if (known !== undefined) return known.atMs;
    const record = this.#parts.store.source(id);
    if (record !== undefined) {
      const { spares: _, ...now } = record;
      await living.changeSources([{ id, was: record, now, trusted: living.condition(id) === undefined, how: ALONE }]);
    }
    return Date.now();
  }

  async #letGo({ id, path }: Alone, why: string): Promise<void> {
    const { store, pins, noteDeleted, logger } = this.#parts;
    logger.warn(`${path.toString()} is let go: ${why}`);
    await pins.drop(path);
    store.living.setCondition(id, { state: 'healing', reason: `was a pin, which was let go: ${why}` });
    noteDeleted(id);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#running;
  }
}

async function isNearlyFull(path: Buffer): Promise<boolean> {
  const room = await within(
    STATFS_MS,
    fs.statfs(path).catch(() => undefined),
  );
  return room !== undefined && room.blocks > 0 && room.bavail / room.blocks < FREE;
}
