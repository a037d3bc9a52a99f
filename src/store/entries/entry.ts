/**
 * Entries: one torrent's top directory in the store.
 *
 * States of an entry, all of them durable:
 *
 *     (nothing) ── create ──► building ──► adding ── markAdded ──► added
 *                                │            │                     │
 *                                └── crash ───┴────── remove ───────┴──► removing ──► (nothing)
 *
 * `building` and `removing` are never shown: opening the store deletes entries that a crash left in them.
 * `adding` is shown in the mount (the client must see it) but is not trusted: the next `add` takes it up.
 */

import { damaged } from '../records/record.ts';

export type EntryState = 'adding' | 'added';

/** `mount`: shown in the mount. `external`: the client was pointed at the original folder; listed only. */
export type EntryKind = 'mount' | 'external';

export interface Entry {
  /** 40 hex digits; unique in a store. */
  readonly infoHash: string;
  /** 64 hex digits, of hybrid and v2 torrents: some clients know them by it. */
  readonly infoHashV2?: string;
  /** The name of its directory below the mount point; unique in a store. */
  readonly name: string;
  readonly state: EntryState;
  readonly kind: EntryKind;
  /** The folder that the client was given, of an `external` entry. */
  readonly directory?: string;
  /** The torrent's name inside the directory. */
  readonly torrentName: string;
  /** Milliseconds since the epoch. */
  readonly createdMs: number;
  readonly totalLength: number;
  /** Bytes that no source supplied when the entry was planned. */
  readonly missingBytes: number;
  /** The part of `missingBytes` that sources supplied once, and that was lost. */
  readonly lostBytes?: number;
  /** The part of `missingBytes` that a client has completed since, and that is mapped to the pool now. */
  readonly pooledBytes?: number;
  readonly fileCount: number;
  readonly pieceCount: number;
  readonly pieceLength: number;
  /** The number of bits set in the piece map. */
  readonly verifiedPieces: number;
  readonly verify: 'none' | 'probe' | 'full';
}

export interface StoredEntry extends Entry {
  readonly id: number;
  /** Its directory's inode; 0 for an external entry. */
  readonly ino: number;
}

export function formatEntry(entry: StoredEntry): Buffer {
  return Buffer.from(JSON.stringify(entry));
}

/** Parses an entry's record. @throws AutotorrentError('STORE') */
export function parseEntry(bytes: Buffer): StoredEntry {
  try {
    const entry: StoredEntry = JSON.parse(bytes.toString());
    return entry;
  } catch (error) {
    throw damaged('an entry cannot be read', error);
  }
}
