/** The piece maps of entries that are being written to: each is loaded once, and recorded before it counts. */
import { countBits } from '../../extent/bitfield.ts';
import { type Database, put, type Write } from '../records/database.ts';
import { entryKey, pieceMapKey } from '../records/key.ts';
import type { Inode } from '../records/record.ts';
import type { Catalog } from './catalog.ts';
import { formatEntry, parseEntry, type StoredEntry } from './entry.ts';
import { EntryPieces } from './entry-pieces.ts';

/** Pieces that a batch marks as unverified. */
interface Unverifying {
  readonly writes: readonly Write[];
  /** Called once the batch is committed. */
  readonly recorded: () => void;
}

export class Pieces {
  readonly #db: Database;
  readonly #catalog: Catalog;
  readonly #loaded = new Map<number, EntryPieces>();

  constructor(db: Database, catalog: Catalog) {
    this.#db = db;
    this.#catalog = catalog;
  }

  /** Returns the pieces of an entry; null if it does not exist. */
  async of(entry: number): Promise<EntryPieces | null> {
    const known = this.#loaded.get(entry);
    if (known !== undefined) return known;
    const found = await this.#catalog.byId(entry);
    if (found === undefined) return null;
    const { infoHash, pieceLength, pieceCount } = found;
    const map = this.#db.get(pieceMapKey(infoHash)) ?? Buffer.alloc(Math.ceil(pieceCount / 8));
    // Another call may have loaded them meanwhile.
    const pieces = this.#loaded.get(entry) ?? new EntryPieces(entry, infoHash, pieceLength, pieceCount, map);
    this.#loaded.set(entry, pieces);
    return pieces;
  }

  /** The pieces of the entries that have been written to since the start. */
  get loaded(): Iterable<EntryPieces> {
    return this.#loaded.values();
  }

  forget(entry: number): void {
    this.#loaded.delete(entry);
  }

  /**
   * Marks the pieces of `[offset, end)` as unverified. With `sync` the mark is durable. Without, it reaches the disk
   * before anything that is recorded later, which suffices if a power loss also undoes the change.
   */
  async unverify(
    pieces: EntryPieces,
    offset: number,
    end: number,
    { sync }: { readonly sync: boolean },
  ): Promise<void> {
    await this.#db.exclusive(async () => {
      if (!pieces.hasVerified(offset, end)) return;
      const map = pieces.without(offset, end);
      await this.#db.commit(this.recording(pieces, map), { sync });
      pieces.map = map;
    });
  }

  /**
   * Prepares the same for the whole of an inode that is deleted: the writes for the batch that deletes it, and a call
   * for after it.
   */
  async unverifying(inode: Inode, length: number): Promise<Unverifying> {
    const { entry, torrentOffset: offset } = inode;
    return await this.unverifyingAll(entry, offset === undefined ? [] : [[offset, offset + length]]);
  }

  /** Prepares the same for ranges of the torrent. */
  async unverifyingAll(
    entry: number,
    ranges: readonly (readonly [offset: number, end: number])[],
  ): Promise<Unverifying> {
    const pieces = ranges.length === 0 ? null : await this.of(entry);
    if (pieces === null) return { writes: [], recorded() {} };
    const map = pieces.withoutAll(ranges);
    return {
      writes: map.equals(pieces.map) ? [] : this.recording(pieces, map),
      recorded() {
        pieces.map = map;
        // Not earlier: a verification that begins now reads the new bytes.
        for (const [offset, end] of ranges) pieces.noteChange(offset, end);
      },
    };
  }

  /**
   * Commits a batch that records `map`. While it runs, pieces that it marks count as verified already, so that a write to
   * one of them takes its mark back after the batch; pieces that it unmarks count as verified still.
   */
  async recorded(pieces: EntryPieces, map: Buffer, commit: () => Promise<void>): Promise<void> {
    const before = pieces.map;
    const both = Buffer.from(map);
    for (const [i, byte] of before.entries()) both[i]! |= byte;
    pieces.map = both;
    try {
      await commit();
    } catch (error) {
      pieces.map = before;
      throw error;
    }
    pieces.map = map;
  }

  /** The writes that record `map`; none if the entry is gone. */
  recording(pieces: EntryPieces, map: Buffer): Write[] {
    const bytes = this.#db.get(entryKey(pieces.infoHash));
    const found = bytes === undefined ? undefined : parseEntry(bytes);
    // Gone, or replaced by an entry of the same torrent that was added anew and has pieces of its own.
    if (found?.id !== pieces.entry) return [];
    const entry: StoredEntry = { ...found, verifiedPieces: countBits(map) };
    return [put(pieceMapKey(pieces.infoHash), map), put(entryKey(pieces.infoHash), formatEntry(entry))];
  }
}
