/**
 * The pieces of an entry while its files are being written: which are verified, and which changed since when.
 *
 * Invariant: a verified piece is taken back, so that neither kill -9 nor a power loss brings it back alone, before a byte
 * of it changes. A verification that ran beside writes counts for the pieces that did not change since it began.
 */
import { clearBit, countBits, hasBit, setBit } from '../../extent/bitfield.ts';

/** What hashing found. One bit a piece. */
export interface Verification {
  /** `EntryPieces.sequence` when it began. */
  readonly since: number;
  readonly good: Buffer;
  readonly bad: Buffer;
}

export class EntryPieces {
  readonly entry: number;
  readonly infoHash: string;
  readonly pieceLength: number;
  readonly pieceCount: number;
  /** One bit a piece; as it is recorded. */
  map: Buffer;
  /** Counts changes. */
  sequence = 0;
  /** When something of a piece changed last. */
  readonly #changed = new Map<number, number>();
  /** Changes that wait for something: what is verified of them meanwhile may be what was there before. */
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

  /** Whether a verified piece has bytes in `[offset, end)` of the torrent. */
  hasVerified(offset: number, end: number): boolean {
    const [first, last] = this.#touched(offset, end);
    for (let piece = first; piece < last; piece++) if (hasBit(this.map, piece)) return true;
    return false;
  }

  /** Whether all pieces that have bytes in `[offset, end)` are verified, and none of them is being changed. */
  areVerified(offset: number, end: number): boolean {
    const [first, last] = this.#touched(offset, end);
    for (let piece = first; piece < last; piece++) if (!hasBit(this.map, piece)) return false;
    return [...this.#underWay].every((range) => range.end <= offset || range.offset >= end);
  }

  /** The map without the pieces that have bytes in `[offset, end)`. */
  without(offset: number, end: number): Buffer {
    return this.withoutAll([[offset, end]]);
  }

  /** The same for many ranges. */
  withoutAll(ranges: Iterable<readonly [offset: number, end: number]>): Buffer {
    const map = Buffer.from(this.map);
    for (const [offset, end] of ranges) {
      const [first, last] = this.#touched(offset, end);
      for (let piece = first; piece < last; piece++) if (hasBit(map, piece)) clearBit(map, piece);
    }
    return map;
  }

  /** Bytes of `[offset, end)` are about to change, and have changed when what this gives is called. */
  changing(offset: number, end: number): () => void {
    const range = { offset, end };
    this.#underWay.add(range);
    this.noteChange(offset, end);
    return () => {
      this.#underWay.delete(range);
      this.noteChange(offset, end);
    };
  }

  /** Bytes of `[offset, end)` changed. */
  noteChange(offset: number, end: number): void {
    this.sequence++;
    const [first, last] = this.#touched(offset, end);
    for (let piece = first; piece < last; piece++) this.#changed.set(piece, this.sequence);
  }

  /**
   * The map after a verification that began when `sequence` was `since`: good pieces are set, bad ones are not, and what
   * changed meanwhile stays as it is.
   */
  after(verification: Verification): Buffer {
    const map = Buffer.from(this.map);
    const unsure = new Set<number>();
    for (const { offset, end } of this.#underWay) {
      const [first, last] = this.#touched(offset, end);
      for (let piece = first; piece < last; piece++) unsure.add(piece);
    }
    for (let piece = 0; piece < this.pieceCount; piece++) {
      if ((this.#changed.get(piece) ?? 0) > verification.since || unsure.has(piece)) continue;
      if (hasBit(verification.bad, piece)) clearBit(map, piece);
      else if (hasBit(verification.good, piece)) setBit(map, piece);
    }
    return map;
  }

  get verified(): number {
    return countBits(this.map);
  }
}
