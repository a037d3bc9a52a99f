/** Counts the bytes that clients downloaded: the bytes of gaps that lie in verified pieces. */
import { hasBit } from '../extent/bitfield.ts';
import { type Extent, GAP } from '../extent/extent.ts';
import type { Entry } from '../store/entries/entry.ts';
import type { Store } from '../store/store.ts';

interface Counted {
  /** The piece map that the count is of. */
  readonly map: Buffer;
  readonly pooled: number;
  readonly bytes: number;
}

export class Downloads {
  readonly #store: Store;
  readonly #counted = new Map<string, Counted>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Returns the downloaded bytes; counts again when the piece map has changed. */
  async of(entry: Entry): Promise<number> {
    const pooled = entry.pooledBytes ?? 0;
    if (entry.missingBytes === pooled || entry.kind === 'external') return pooled;
    const map = this.#store.pieceMap(entry.infoHash) ?? Buffer.alloc(0);
    const known = this.#counted.get(entry.infoHash);
    if (known?.pooled === pooled && known.map.equals(map)) return pooled + known.bytes;
    let bytes = 0;
    for await (const { base, torrentOffset } of this.#store.files(entry.infoHash)) {
      if (torrentOffset !== undefined) bytes += verifiedGaps(base, torrentOffset, map, entry.pieceLength);
    }
    this.#counted.set(entry.infoHash, { map, pooled, bytes });
    return pooled + bytes;
  }
}

function verifiedGaps(base: readonly Extent[], torrentOffset: number, map: Buffer, pieceLength: number): number {
  let bytes = 0;
  for (const { offset, length, source } of base) {
    if (source === GAP) bytes += verifiedBytes(map, pieceLength, torrentOffset + offset, length);
  }
  return bytes;
}

/** Counts the bytes of a range of the torrent that lie in verified pieces. */
export function verifiedBytes(map: Buffer, pieceLength: number, begin: number, length: number): number {
  let bytes = 0;
  const end = begin + length;
  for (let at = begin; at < end; ) {
    const piece = Math.floor(at / pieceLength);
    const until = Math.min(end, (piece + 1) * pieceLength);
    if (hasBit(map, piece)) bytes += until - at;
    at = until;
  }
  return bytes;
}
