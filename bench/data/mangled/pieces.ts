/** Computes which pieces of a torrent the collection holds, from the bytes that it holds. */
import type { Run } from './parts.ts';

export interface HeldFile {
  readonly size: number;
  /** The places of the file's bytes in the collection; a pad file needs none. */
  readonly runs: readonly Run[] | 'pad';
}

export interface HeldPieces {
  readonly pieces: number;
  /** Ranges [first, end) of the pieces with all their bytes. */
  readonly whole: readonly (readonly [first: number, end: number])[];
  /** Those of them that lie in two places of one file, with an insertion between. */
  readonly split: readonly number[];
}

export function heldPieces(files: readonly HeldFile[], pieceLength: number): HeldPieces {
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const pieces = Math.ceil(total / pieceLength);
  const whole: [first: number, end: number][] = [];
  const split: number[] = [];
  for (let piece = 0; piece < pieces; piece++) {
    const runs = runsOfPiece(files, piece * pieceLength, Math.min(total, (piece + 1) * pieceLength));
    if (runs === 0) continue;
    if (runs > 1) split.push(piece);
    const last = whole.at(-1);
    if (last?.[1] === piece) last[1]++;
    else whole.push([piece, piece + 1]);
  }
  return { pieces, whole, split };
}

/** Gives 0 if some bytes of the range are missing; else the most runs over which one file's share of it is spread. */
function runsOfPiece(files: readonly HeldFile[], from: number, end: number): number {
  let most = 1;
  let begin = 0;
  for (const { size, runs } of files) {
    const [first, last] = [Math.max(from, begin) - begin, Math.min(end, begin + size) - begin];
    begin += size;
    if (first >= last || runs === 'pad') continue;
    const within = runs.map(({ offset, length }) => Math.min(last, offset + length) - Math.max(first, offset));
    const held = within.filter((length) => length > 0);
    if (held.reduce((sum, length) => sum + length, 0) < last - first) return 0;
    most = Math.max(most, held.length);
  }
  return most;
}
