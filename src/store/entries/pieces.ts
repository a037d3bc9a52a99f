/** The piece maps of entries that are being written to: loaded once each, and recorded before they count. */
import { countBits } from '../../extent/bitfield.ts';
import { type Database, put, type Write } from '../records/database.ts';
import { entryKey, pieceMapKey } from '../records/key.ts';
import type { Inode } from '../records/record.ts';
import type { Catalog } from './catalog.ts';
import { formatEntry, parseEntry, type StoredEntry } from './entry.ts';
import { EntryPieces } from './entry-pieces.ts';

/** Pieces that are taken back by a batch. */
interface Unverifying {
  readonly writes: readonly Write[];
  /** Called once it is committed. */
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

  /** Null where there is no such entry. */
  async of(entry: number): Promise<EntryPieces | null> {
    const known = this.#loaded.get(entry);
    if (known !== undefined) return known;
    const found = await this.#catalog.byId(entry);
    if (found === undefined) return null;
    const { infoHash, pieceLength, pieceCount } = found;
    const map = this.#db.get(pieceMapKey(infoHash)) ?? Buffer.alloc(Math.ceil(pieceCount / 8));
    // Another call may have loaded it meanwhile.
    const pieces = this.#loaded.get(entry) ?? new EntryPieces(entry, infoHash, pieceLength, pieceCount, map);
    this.#loaded.set(entry, pieces);
    return pieces;
  }

  /** The entries that have been written to since the start. */
  get loaded(): Iterable<EntryPieces> {
    return this.#loaded.values();
  }

  forget(entry: number): void {
    this.#loaded.delete(entry);
  }

  /**
   * Takes back what is verified of `[offset, end)`. With `sync` durably; without, it is on the disk before whatever is
   * recorded later: enough where a power loss takes back what changes, too.
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

  /** The same for the whole of an inode that goes: writes of the batch that takes it, and what follows it. */
  async unverifying(inode: Inode, length: number): Promise<Unverifying> {
    const { entry, torrentOffset: offset } = inode;
    return await this.unverifyingAll(entry, offset === undefined ? [] : [[offset, offset + length]]);
  }

  /** The same for ranges of the torrent. */
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
        // Not before: a verification that begins now reads what will be there.
        for (const [offset, end] of ranges) pieces.noteChange(offset, end);
      },
    };
  }

  /** The writes that record `map`; none where the entry has gone. */
  recording(pieces: EntryPieces, map: Buffer): Write[] {
    const bytes = this.#db.get(entryKey(pieces.infoHash));
    const found = bytes === undefined ? undefined : parseEntry(bytes);
    // Or another one of the same torrent, which was added anew, and has pieces of its own.
    if (found?.id !== pieces.entry) return [];
    const entry: StoredEntry = { ...found, verifiedPieces: countBits(map) };
    return [put(pieceMapKey(pieces.infoHash), map), put(entryKey(pieces.infoHash), formatEntry(entry))];
  }
}
