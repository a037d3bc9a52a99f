/**
 * The days on which the pieces of an entry were hashed last, so that `scrub` knows what is due.
 *
 * A record holds runs of pieces with one day, as pairs of varints: pieces, day. So an entry that was hashed in one go takes
 * some bytes, however many pieces it has. A day is counted from 1970-01-01 UTC; 0: no day is recorded. A piece without a day
 * that is verified was hashed when the entry was made. A piece with a day that is not verified was hashed and did not agree.
 */
import { hasBit } from '../../extent/bitfield.ts';
import { type Database, put, type Write } from '../records/database.ts';
import { proofDaysKey } from '../records/key.ts';
import { Reader, Writer } from '../records/record.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

export const dayOf = (ms: number): number => Math.floor(ms / DAY_MS);

export class ProofDays {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Gives the recorded day of each piece. @throws AutotorrentError('STORE') for a damaged record */
  recorded(infoHash: string, pieceCount: number): Uint16Array {
    const days = new Uint16Array(pieceCount);
    const bytes = this.#db.get(proofDaysKey(infoHash));
    if (bytes === undefined) return days;
    const reader = new Reader(bytes);
    for (let piece = 0; piece < pieceCount; ) {
      const end = Math.min(pieceCount, piece + reader.integer());
      const day = reader.integer();
      if (end === piece) break;
      days.fill(day, piece, end);
      piece = end;
    }
    return days;
  }

  /** Prepares the record without the days of these pieces: they have other bytes now. */
  forgetting(infoHash: string, pieceCount: number, pieces: readonly number[]): Write[] {
    if (this.#db.get(proofDaysKey(infoHash)) === undefined) return [];
    const days = this.recorded(infoHash, pieceCount);
    for (const piece of pieces) days[piece] = 0;
    return [put(proofDaysKey(infoHash), encoded(days))];
  }

  /** Prepares the record after the pieces set in `hashed` were hashed on `day`. */
  recording(infoHash: string, pieceCount: number, hashed: Buffer, day: number): Write {
    const days = this.recorded(infoHash, pieceCount);
    for (let piece = 0; piece < pieceCount; piece++) if (hasBit(hashed, piece)) days[piece] = day;
    return put(proofDaysKey(infoHash), encoded(days));
  }
}

function encoded(days: Uint16Array): Buffer {
  const writer = new Writer();
  for (let first = 0; first < days.length; ) {
    const day = days[first] ?? 0;
    let end = first + 1;
    while (end < days.length && days[end] === day) end++;
    writer.integer(end - first).integer(day);
    first = end;
  }
  return writer.finish();
}
