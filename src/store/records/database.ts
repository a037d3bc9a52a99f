/**
 * The store's LevelDB: reads return at once (getSync, from the block cache or the page cache), writes are batches, and
 * one writer works at a time.
 */
import fs from 'node:fs';
import type { Level } from 'level';
import { AutotorrentError, messageOf, PosixError } from '../../errors.ts';
import type { Ballast } from '../ballast.ts';
import { COUNTERS_KEY, type KeyRange } from './key.ts';
import { Reader, Writer } from './record.ts';

/** Opened and closed by the caller, with both encodings `buffer`. */
export type StoreLevel = Level<Buffer, Buffer>;

export type Write =
  | { readonly type: 'put'; readonly key: Buffer; readonly value: Buffer }
  | { readonly type: 'del'; readonly key: Buffer };

export const put = (key: Buffer, value: Buffer): Write => ({ type: 'put', key, value });
export const del = (key: Buffer): Write => ({ type: 'del', key });

export const NOTHING = Buffer.alloc(0);

/**
 * The free space that a batch needs: the log and the tables that it becomes. LevelDB must not find its disk full. A
 * record that is appended after a truncated one is lost at the next opening, and a table that cannot be written ends
 * all writes until then.
 */
const ROOM_BYTES = 6 * 2 ** 20;
/** The largest part of a small disk that is required free. */
const ROOM_PART = 1 / 32;
/** The free space for writes that free space, or record that space was taken. */
const LEAST_ROOM_BYTES = 256 * 2 ** 10;

/** Rows that an iterator fetches at once: a few milliseconds of work between two turns of the event loop. */
const PAGE = 500;

/**
 * Counters whose numbers are given once and never again, even after a crash: a number is written with what it names.
 */
export type Counter = 'ino' | 'source' | 'entry';

export class Database {
  readonly #level: StoreLevel;
  /** Deleted to make room for writes that free space, when the disk is full. */
  readonly #ballast: Ballast | undefined;
  readonly #next: Record<Counter, number>;
  /** The newest epoch of a doubt (`sources/conditions.ts`). Every batch writes it, so none is given twice. */
  #epoch: number;
  #last: Promise<unknown> = Promise.resolve();
  #unsynced = false;
  /** The log may end with a truncated record. */
  #torn = false;
  #postponed: Write[] = [];
  /** What `fetch` has read, by key, as byte strings. */
  readonly #fetched = new Map<string, Buffer | undefined>();
  /** The sync that waits for its turn. It covers whatever is committed before it begins. */
  #nextSync: Promise<void> | undefined;

  constructor(level: StoreLevel, rootIno: number, ballast?: Ballast) {
    this.#level = level;
    this.#ballast = ballast;
    const counters = this.get(COUNTERS_KEY);
    const from = counters === undefined ? undefined : new Reader(counters);
    this.#next = {
      ino: from?.integer() ?? rootIno + 1,
      source: from?.integer() ?? 0,
      entry: from?.integer() ?? 1,
    };
    this.#epoch = from === undefined || from.done ? 0 : from.integer();
  }

  get(key: Buffer): Buffer | undefined {
    if (this.#fetched.size === 0) return this.#level.getSync(key);
    const name = key.toString('latin1');
    return this.#fetched.get(name) ?? (this.#fetched.has(name) ? undefined : this.#level.getSync(key));
  }

  /**
   * Reads records in another thread: `get` gives them at once, until the end of this turn. Only inside `exclusive`, and before
   * its commit.
   */
  async fetch(keys: readonly Buffer[]): Promise<void> {
    const values = await this.#level.getMany([...keys]);
    for (const [i, key] of keys.entries()) this.#fetched.set(key.toString('latin1'), values[i]);
  }

  /**
   * Takes the next number. Only inside `exclusive`; the batch that uses the number must be committed before the next
   * one.
   */
  take(counter: Counter): number {
    return this.#next[counter]++;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Counts the epoch up. It is written with the next batch, before anything that names it or with it. */
  nextEpoch(): number {
    return ++this.#epoch;
  }

  /**
   * Commits a batch: all or nothing.
   * With `sync` it is durable when it resolves. Without, kill -9 keeps it, and a power loss may drop it together with
   * all that came after it. `needed`: the write frees or accounts for space, so it may use the reserve.
   * @throws AutotorrentError('STORE')
   */
  async commit(
    writes: readonly Write[],
    { sync = true, needed = false }: { readonly sync?: boolean; readonly needed?: boolean } = {},
  ): Promise<void> {
    const { ino, source, entry } = this.#next;
    const postponed = this.#postponed;
    this.#postponed = [];
    try {
      const all = [...postponed, ...writes];
      this.#requireRoom(all, needed && !this.#torn, needed);
      if (this.#torn) await this.#beginLog();
      // Chained: an array of operations takes abstract-level 3.1 twelve times as long, on the event loop.
      const batch = this.#level.batch();
      for (const write of all) {
        if (write.type === 'put') batch.put(write.key, write.value);
        else batch.del(write.key);
      }
      const counters = new Writer().integer(ino).integer(source).integer(entry).integer(this.#epoch);
      batch.put(COUNTERS_KEY, counters.finish());
      this.#unsynced = true;
      this.#torn = true;
      await batch.write({ sync });
      this.#fetched.clear();
      this.#torn = false;
    } catch (error) {
      this.#postponed.push(...postponed);
      throw new AutotorrentError('STORE', `the store could not be written: ${messageOf(error)}`, {
        cause: ofTheDisk(error),
        hint: 'Look at the free space and the health of the disk that holds state_path, then start the server again.',
      });
    }
    if (sync) this.#unsynced = false;
  }

  #requireRoom(writes: readonly Write[], needed: boolean, freesRoom: boolean): void {
    let bytes = 0;
    for (const write of writes) bytes += write.key.length + (write.type === 'put' ? write.value.length : 0) + 16;
    const most = needed ? LEAST_ROOM_BYTES : ROOM_BYTES;
    if (this.#hasRoom(bytes, most)) {
      this.#ballast?.restore();
      return;
    }
    if (freesRoom && this.#ballast?.letGo() === true && this.#hasRoom(bytes, most)) return;
    throw new PosixError('ENOSPC', `no space is left on the disk of ${this.#level.location}`);
  }

  #hasRoom(bytes: number, most: number): boolean {
    const { bavail, blocks, bsize } = fs.statfsSync(this.#level.location);
    // Some file systems report nothing.
    return blocks === 0 || bavail * bsize >= bytes + Math.min(most, blocks * bsize * ROOM_PART);
  }

  /** Begins a new log if the last one may end with a truncated record: what is in memory becomes a table. */
  async #beginLog(): Promise<void> {
    const logs = (): string[] => fs.readdirSync(this.#level.location).filter((name) => name.endsWith('.log'));
    const before = logs();
    if ('compactRange' in this.#level && typeof this.#level.compactRange === 'function') {
      await this.#level.compactRange(COUNTERS_KEY, COUNTERS_KEY);
    }
    if (logs().some((name) => before.includes(name))) throw new Error('its log cannot be begun anew');
  }

  /** Adds a write to the next batch: useful, but not worth a batch of its own. */
  postpone(write: Write): void {
    this.#postponed.push(write);
  }

  /**
   * Makes everything committed so far durable. Callers that come while another sync runs, or waits for its turn, share the
   * next one: the log is in order, so that one sync covers everything before it.
   */
  async sync(): Promise<void> {
    this.#nextSync ??= this.exclusive(async () => {
      this.#nextSync = undefined;
      if (this.#unsynced || this.#postponed.length > 0) await this.commit([], { needed: true });
    });
    await this.#nextSync;
  }

  /** Runs one writer after another, so that what a writer read still holds when it commits. */
  async exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work).finally(() => this.#fetched.clear());
    this.#last = result.catch(() => {});
    return await result;
  }

  async *pages(range: KeyRange, size: number = PAGE): AsyncGenerator<[Buffer, Buffer][], void, undefined> {
    const iterator = this.#level.iterator(range);
    try {
      for (;;) {
        const page = await iterator.nextv(size);
        if (page.length === 0) return;
        yield page;
      }
    } finally {
      await iterator.close();
    }
  }

  /** Reads the first `limit` rows of a range. */
  async first(range: KeyRange, limit: number): Promise<[Buffer, Buffer][]> {
    return await this.#level.iterator({ ...range, limit }).all();
  }

  async isEmpty(): Promise<boolean> {
    return (await this.#level.keys({ limit: 1 }).all()).length === 0;
  }
}

/**
 * The texts of the C library (strerror) that LevelDB puts into its errors, which have no codes. Nothing else of ours
 * reads an error's text.
 */
const TEXTS = [
  ['No space left on device', 'ENOSPC'],
  ['Disk quota exceeded', 'EDQUOT'],
  ['Read-only file system', 'EROFS'],
] as const;

/** Converts an error of LevelDB to a `PosixError` if it comes from the disk. */
function ofTheDisk(error: unknown): unknown {
  const [, code] = TEXTS.find(([text]) => messageOf(error).includes(text)) ?? [];
  return code === undefined ? error : new PosixError(code, messageOf(error), error);
}
