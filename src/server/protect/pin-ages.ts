/**
 * Lets go of pins whose originals are gone (`docs/sources.md`, "Pins"): after `protect_days`, or when the disk is nearly full. What
 * nothing else has is lost then, by the rules of loss.
 */
import { promises as fs } from 'node:fs';
import type { Config } from '../../config/config.ts';
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { bytesTaken } from '../../rescue/keep-file.ts';
import type { KeptFiles } from '../../rescue/kept-files.ts';
import { ownFolderIn } from '../../source/own-folder.ts';
import type { ReleasedFolders } from '../../source/released-folders.ts';
import type { Store } from '../../store/store.ts';
import { within } from '../../within.ts';
import type { LeftPin, PinTable } from './pin-table.ts';

export interface PinAgesParts {
  readonly store: Store;
  readonly config: Pick<Config, 'protectDays'>;
  readonly pins: Pick<KeptFiles, 'drop'>;
  readonly table: PinTable;
  readonly released: ReleasedFolders;
  /** Closes the file of a source, if it is open: as long as it is, it takes its room. */
  readonly close: (id: number) => void;
  /** Notes the case of a source that was deleted on purpose. */
  readonly noteDeleted: (id: number) => void;
  /** Tells how full the disk of a path is. Default: statfs(2). */
  readonly room?: (path: Buffer) => Promise<Room | undefined>;
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
/** And in that of one whose original was moved to another disk. */
const LEFT = 'is of a file that was moved to another disk';

/** Of a disk, in bytes. `free`: to this user. */
export interface Room {
  readonly total: number;
  readonly free: number;
}

interface Alone extends LeftPin {
  readonly disk: string | undefined;
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

  /** Looks at all pins once those of earlier servers are known, and then once an hour. Resolves after the first look. */
  async start(known: Promise<void>): Promise<void> {
    this.#running = known;
    this.#timer = setInterval(() => this.#look(), HOUR_MS).unref();
    this.#look();
    await this.#running;
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
    // What is deleted need not be free at once: it is not asked again of the same disk.
    const lacking = new Map<string, number>();
    for (const pin of alone) {
      if (this.#closed) return;
      const gone = pin.original === undefined ? 'its original is gone' : 'its original is on another disk';
      const days = (Date.now() - pin.sinceMs) / DAY_MS;
      const isFull = (await this.#lacking(pin, lacking)) > 0;
      if (days >= protectDays) await this.#letGo(pin, `${gone} for ${Math.floor(days)} day(s)`, lacking);
      else if (isFull) await this.#letGo(pin, `${gone}, and its disk is nearly full`, lacking);
    }
  }

  /** The bytes that the disk of a pin lacks. */
  async #lacking(pin: Alone, known: Map<string, number>): Promise<number> {
    const disk = diskOf(pin);
    const found = known.get(disk);
    if (found !== undefined) return found;
    const room = await within(STATFS_MS, (this.#parts.room ?? roomOf)(pin.path));
    const lacking = room === undefined ? 0 : room.total * FREE - room.free;
    known.set(disk, lacking);
    return lacking;
  }

  /** Lists the pins that stand for files which are gone, and notes since when they do. What is away may be right where it is. */
  async #alone(): Promise<Alone[]> {
    const { store, table, released } = this.#parts;
    const alone: Alone[] = [];
    for (const pin of table.left()) {
      const { id, path, original } = pin;
      if (this.#closed) return [];
      if (released.holds(path) || !this.#isThere(id)) continue;
      if (original !== undefined && !this.#isThere(original)) continue;
      if (original === undefined ? !(await this.#isAllOfFiles(id)) : !(await this.#isNamedByNone(id))) continue;
      const sinceMs = await this.#since(id, original === undefined ? ALONE : LEFT);
      alone.push({ ...pin, disk: store.source(id)?.disk, sinceMs });
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

  /** Tells if a source is where it is recorded, as far as is known. */
  #isThere(id: number): boolean {
    const state = this.#parts.store.living.condition(id)?.state;
    return state === undefined || state === 'doubted';
  }

  async #isNamedByNone(id: number): Promise<boolean> {
    return (await this.#parts.store.living.rangesOf(id)).length === 0;
  }

  async #since(id: number, line: string): Promise<number> {
    const { living } = this.#parts.store;
    const known = living.story(id).findLast(({ how }) => how === line);
    if (known !== undefined) return known.atMs;
    const record = this.#parts.store.source(id);
    if (record !== undefined) {
      const { spares: _, ...now } = record;
      await living.changeSources([{ id, was: record, now, trusted: living.condition(id) === undefined, how: line }]);
    }
    return Date.now();
  }

  async #letGo(pin: Alone, why: string, lacking: Map<string, number>): Promise<void> {
    const { id, path, original } = pin;
    const { store, pins, close, noteDeleted, logger } = this.#parts;
    const before = await this.#bytesOf(path);
    // It is not there: its disk may be away.
    if (before === undefined) return;
    try {
      await pins.drop(path);
    } catch (error) {
      logger.warn(`${path.toString()} stays for now: ${messageOf(error)}`);
      return;
    }
    logger.warn(`${path.toString()} is let go: ${why}`);
    lacking.set(diskOf(pin), (lacking.get(diskOf(pin)) ?? 0) - before);
    if (original !== undefined) {
      await store.living.forget(id, original);
      close(id);
      return;
    }
    store.living.setCondition(id, { state: 'healing', reason: `was a pin, which was let go: ${why}` });
    close(id);
    noteDeleted(id);
  }

  /** The room that a pin takes. Undefined: it is not there, or its disk does not answer. */
  async #bytesOf(path: Buffer): Promise<number | undefined> {
    const stats = await within(
      STATFS_MS,
      fs.lstat(path).catch(() => undefined),
    );
    return stats === undefined ? undefined : bytesTaken(stats.blocks);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#running;
  }
}

/** Pins are of one disk by what is recorded of it, else if they lie in one folder of ours. */
function diskOf({ disk, path }: Alone): string {
  return disk ?? (ownFolderIn(path) ?? path).toString('latin1');
}

async function roomOf(path: Buffer): Promise<Room | undefined> {
  const found = await fs.statfs(path).catch(() => undefined);
  return found && { total: found.blocks * found.bsize, free: found.bavail * found.bsize };
}
