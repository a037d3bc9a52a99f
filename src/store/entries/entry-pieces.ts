/**
 * The pieces of an entry while its files are written: which are verified, and when each changed last.
 *
 * Invariant: before a byte of a verified piece changes, the piece is marked as unverified, so that neither kill -9 nor
 * a power loss restores the mark alone. A verification that ran beside writes counts for the pieces that did not change
 * since it began.
 */
import { clearBit, countBits, emptyBitfield, hasBit, setBit } from '../../extent/bitfield.ts';

/** The result of hashing. One bit per piece. */
export interface Verification {
  /** `EntryPieces.sequence` when the verification began. */
  readonly since: number;
  readonly good: Buffer;
  readonly bad: Buffer;
}

export class EntryPieces {
  readonly entry: number;
  readonly infoHash: string;
  readonly pieceLength: number;
  readonly pieceCount: number;
  /** The piece map as recorded, one bit per piece. */
  map: Buffer;
  /** A counter of changes. It starts above every count of an earlier server, and of an earlier entry of the same torrent. */
  sequence = Date.now() * 1000;
  readonly #first = this.sequence;
  /** The sequence number of each piece's last change. */
  readonly #changed = new Map<number, number>();
  /** Ranges whose change has begun but must wait: a verification meanwhile may see the old bytes. */
  readonly #underWay = new Set<{ readonly offset: number; readonly end: number }>();

  constructor(entry: number, infoHash: string, pieceLength: number, pieceCount: number, map: Buffer) {
    this.entry = entry;
    this.infoHash = infoHash;
    this.pieceLength = pieceLength;
    this.pieceCount = pieceCount;
    this.map = map;
  }

  #touched(offset: number, end: number): [first: number, end: number] {
    if (offset >= end || this.pieceLength <= 0) return [0, 0];
    return [Math.floor(offset / this.pieceLength), Math.min(this.pieceCount, Math.ceil(end / this.pieceLength))];
  }

  /** Reports whether a verified piece has bytes in `[offset, end)` of the torrent. */
  hasVerified(offset: number, end: number): boolean {
    const [first, last] = this.#touched(offset, end);
    for (let piece = first; piece < last; piece++) if (hasBit(this.map, piece)) return true;
    return false;
  }

  /** Reports whether all pieces with bytes in `[offset, end)` are verified, and none is being changed. */
  areVerified(offset: number, end: number): boolean {
    const [first, last] = this.#touched(offset, end);
    for (let piece = first; piece < last; piece++) if (!hasBit(this.map, piece)) return false;
    return [...this.#underWay].every((range) => range.end <= offset || range.offset >= end);
  }

  /** Returns the map without the pieces that have bytes in `[offset, end)`. */
  without(offset: number, end: number): Buffer {
    return this.withoutAll([[offset, end]]);
  }

  /** Returns the map without the pieces that have bytes in any of the ranges. */
  withoutAll(ranges: Iterable<readonly [offset: number, end: number]>): Buffer {
    const map = Buffer.from(this.map);
    for (const [offset, end] of ranges) {
      const [first, last] = this.#touched(offset, end);
      for (let piece = first; piece < last; piece++) if (hasBit(map, piece)) clearBit(map, piece);
    }
    return map;
  }

  /** Reports whether every change since `sequence` was `since` is known. */
  isKnownSince(since: number): boolean {
    return since >= this.#first && since <= this.sequence;
  }

  /** Notes that bytes of `[offset, end)` are about to change; the caller calls the returned function once they have. */
  changing(offset: number, end: number): () => void {
    const range = { offset, end };
    this.#underWay.add(range);
    this.noteChange(offset, end);
    return () => {
      this.#underWay.delete(range);
      this.noteChange(offset, end);
    };
  }

  /** Notes that bytes of `[offset, end)` changed. */
  noteChange(offset: number, end: number): void {
    this.sequence++;
    const [first, last] = this.#touched(offset, end);
    for (let piece = first; piece < last; piece++) this.#changed.set(piece, this.sequence);
  }

  /**
   * Returns the map after a verification that began when `sequence` was `since`. Good pieces are set, bad ones are
   * cleared, and pieces that changed meanwhile keep their bit.
   */
  after(verification: Verification): Buffer {
    const map = Buffer.from(this.map);
    const hashed = this.hashed(verification);
    for (let piece = 0; piece < this.pieceCount; piece++) {
      if (!hasBit(hashed, piece)) continue;
      if (hasBit(verification.bad, piece)) clearBit(map, piece);
      else setBit(map, piece);
    }
    return map;
  }

  /** Returns the pieces that a verification hashed and that did not change meanwhile, one bit each. */
  hashed(verification: Verification): Buffer {
    const hashed = emptyBitfield(this.pieceCount);
    const unsure = new Set<number>();
    for (const { offset, end } of this.#underWay) {
      const [first, last] = this.#touched(offset, end);
      for (let piece = first; piece < last; piece++) unsure.add(piece);
    }
    for (let piece = 0; piece < this.pieceCount; piece++) {
      if ((this.#changed.get(piece) ?? 0) > verification.since || unsure.has(piece)) continue;
      if (hasBit(verification.good, piece) || hasBit(verification.bad, piece)) setBit(hashed, piece);
    }
    return hashed;
  }

  /** Lists the pieces that have bytes in any of the ranges, in order. */
  touched(ranges: Iterable<readonly [offset: number, end: number]>): number[] {
    const found = new Set<number>();
    for (const [offset, end] of ranges) {
      const [first, last] = this.#touched(offset, end);
      for (let piece = first; piece < last; piece++) found.add(piece);
    }
    return [...found].toSorted((a, b) => a - b);
  }

  /** Returns those of `proven` that did not change since `sequence` was `since`. */
  unchanged(proven: Iterable<number>, since: number): Set<number> {
    const unchanged = new Set<number>();
    if (!this.isKnownSince(since)) return unchanged;
    const unsure = new Set(this.touched([...this.#underWay].map(({ offset, end }) => [offset, end] as const)));
    for (const piece of proven) {
      if ((this.#changed.get(piece) ?? 0) <= since && !unsure.has(piece)) unchanged.add(piece);
    }
    return unchanged;
  }

  get verified(): number {
    return countBits(this.map);
  }
}
