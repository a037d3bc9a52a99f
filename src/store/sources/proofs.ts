/**
 * The epochs at which pieces were proven: hashed as they are read from sources that were doubted. A piece of a source
 * with a doubt of epoch E is proven if its own epoch is E or later.
 *
 * One number a piece is in memory, only of entries that have any, and at most some 16 MB of those that are written. A
 * proof counts at once and is written soon, at most once a second for an entry; one that a crash takes is made again.
 */
import type { Database, Write } from '../records/database.ts';
import { put } from '../records/database.ts';
import { proofsKey } from '../records/key.ts';
import { damaged, Reader, Writer } from '../records/record.ts';

/** Milliseconds between two records of an entry. */
const PAUSE_MS = 1000;
const CACHED_BYTES = 16 * 2 ** 20;
/** Entries in a batch. */
const SLICE = 50;
/** No torrent has more pieces (`metainfo/`). */
const MOST_PIECES = 2 ** 24;

export class Proofs {
  readonly #db: Database;
  /** Tells whether an entry is there: what is proven of one that was removed is not recorded. */
  readonly #isThere: (entry: number) => Promise<boolean>;
  /** By entry, the longest unused first; empty for one without proofs. */
  readonly #epochs = new Map<number, Uint32Array>();
  #bytes = 0;
  readonly #dirty = new Set<number>();
  /** Entries of the batch that is being written. */
  #inBatch: readonly number[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;

  constructor(db: Database, isThere: (entry: number) => Promise<boolean>) {
    this.#db = db;
    this.#isThere = isThere;
  }

  /** The epoch at which a piece was proven last; 0: never. */
  at(entry: number, piece: number): number {
    return this.#of(entry)[piece] ?? 0;
  }

  prove(entry: number, piece: number, epoch: number): void {
    if (!(Number.isInteger(piece) && piece >= 0 && piece < MOST_PIECES))
      throw new RangeError(`there is no piece ${piece}`);
    this.#set(entry, piece, epoch);
    this.#dirty.add(entry);
    this.#timer ??= setTimeout(() => void this.flush(), PAUSE_MS).unref();
  }

  #set(entry: number, piece: number, epoch: number): void {
    let epochs = this.#of(entry);
    if (epochs.length <= piece) {
      const longer = new Uint32Array(Math.max(piece + 1, Math.min(2 * epochs.length, MOST_PIECES), 64));
      longer.set(epochs);
      epochs = longer;
      this.#keep(entry, epochs);
    }
    epochs[piece] = epoch;
  }

  #of(entry: number): Uint32Array {
    const known = this.#epochs.get(entry);
    if (known !== undefined) return known;
    const bytes = this.#db.get(proofsKey(entry));
    const epochs = bytes === undefined ? new Uint32Array(0) : decodeProofs(bytes);
    this.#keep(entry, epochs);
    return epochs;
  }

  #keep(entry: number, epochs: Uint32Array): void {
    this.#drop(entry);
    this.#epochs.set(entry, epochs);
    this.#bytes += sizeOf(epochs);
    if (this.#bytes <= CACHED_BYTES) return;
    for (const other of this.#epochs.keys()) {
      if (other === entry || this.#dirty.has(other) || this.#inBatch.includes(other)) continue;
      this.#drop(other);
      if (this.#bytes <= CACHED_BYTES / 2) return;
    }
  }

  #drop(entry: number): void {
    const known = this.#epochs.get(entry);
    if (known === undefined) return;
    this.#bytes -= sizeOf(known);
    this.#epochs.delete(entry);
  }

  /**
   * The writes that record an entry's proofs together with other changes, and with `changes`: pieces to their epochs, 0 for
   * none. Call `recorded` once they are committed.
   */
  recording(entry: number, changes: ReadonlyMap<number, number>): Write[] {
    const before = this.#of(entry);
    let length = before.length;
    for (const [piece, epoch] of changes) if (epoch > 0) length = Math.max(length, piece + 1);
    if (length === 0) return [];
    const epochs = new Uint32Array(length);
    epochs.set(before);
    for (const [piece, epoch] of changes) epochs[piece] = epoch;
    return [put(proofsKey(entry), encodeProofs(epochs))];
  }

  recorded(entry: number, changes: ReadonlyMap<number, number>): void {
    for (const [piece, epoch] of changes) {
      if (epoch > 0 || piece < this.#of(entry).length) this.#set(entry, piece, epoch);
    }
  }

  /** Writes what was proven since the last time; never rejects. What a full disk refuses waits for the next proof. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#writing;
    this.#writing ??= this.#write()
      .catch(() => {})
      .finally(() => {
        this.#writing = undefined;
      });
    await this.#writing;
  }

  async #write(): Promise<void> {
    const dirty = [...this.#dirty];
    for (let from = 0; from < dirty.length; from += SLICE) {
      const slice = dirty.slice(from, from + SLICE);
      await this.#db.exclusive(async () => {
        const writes: Write[] = [];
        for (const entry of slice) {
          const epochs = this.#epochs.get(entry);
          if (epochs === undefined || !(await this.#isThere(entry))) continue;
          writes.push(put(proofsKey(entry), encodeProofs(epochs)));
        }
        for (const entry of slice) this.#dirty.delete(entry);
        this.#inBatch = slice;
        try {
          if (writes.length > 0) await this.#db.commit(writes, { sync: false });
        } catch (error) {
          for (const entry of slice) this.#dirty.add(entry);
          throw error;
        } finally {
          this.#inBatch = [];
        }
      });
    }
  }

  /** Forgets an entry that was removed. */
  forget(entry: number): void {
    this.#dirty.delete(entry);
    this.#drop(entry);
  }
}

/** An entry without proofs takes some room in the map, too. */
function sizeOf(epochs: Uint32Array): number {
  return 128 + epochs.byteLength;
}

/** Encodes runs: a number of pieces, then their epoch. Zeros at the end are left out. */
export function encodeProofs(epochs: Uint32Array): Buffer {
  let length = epochs.length;
  while (length > 0 && epochs[length - 1] === 0) length--;
  const out = new Writer();
  for (let at = 0; at < length; ) {
    let end = at + 1;
    while (end < length && epochs[end] === epochs[at]) end++;
    out.integer(end - at).integer(epochs[at] ?? 0);
    at = end;
  }
  return out.finish();
}

export function decodeProofs(bytes: Buffer): Uint32Array {
  const from = new Reader(bytes);
  const runs: [length: number, epoch: number][] = [];
  let length = 0;
  while (!from.done) {
    const run = from.integer();
    length += run;
    if (length > MOST_PIECES) throw damaged('more pieces were proven than a torrent can have');
    runs.push([run, from.integer()]);
  }
  const epochs = new Uint32Array(length);
  let at = 0;
  for (const [run, epoch] of runs) epochs.fill(epoch, at, (at += run));
  return epochs;
}
