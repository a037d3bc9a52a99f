/** Tells which outcomes of cases would let bytes go that may be kept. Everything here only computes. */
import type { Outcome, Remap } from '../../heal/case.ts';

/** The ctime of a record that stands for bytes which are nowhere (`heal/case.ts`). */
export const LOST_CTIME_NS = 0n;

/** Where a file lies in its torrent, and how that is cut into pieces; undefined: that is not known. */
export interface PieceGrid {
  readonly torrentOffset: number;
  readonly pieceLength: number;
}

/** `lost`: bytes are nowhere. `guessed`: bytes are mapped that nobody could hash there. */
export type Loss = 'lost' | 'guessed';

export function lossIn(outcome: Outcome, grid: PieceGrid | undefined): Loss | undefined {
  if (outcome.kind === 'lost') return 'lost';
  if (outcome.kind !== 'remap') return undefined;
  if (outcome.sources.some(({ ctimeNs }) => ctimeNs === LOST_CTIME_NS)) return 'lost';
  return grid === undefined || !isProven(outcome, grid) ? 'guessed' : undefined;
}

function isProven({ ranges, proven }: Remap, { torrentOffset, pieceLength }: PieceGrid): boolean {
  const known = new Set(proven);
  return ranges.every(({ offset, length }) => {
    const last = Math.floor((torrentOffset + offset + length - 1) / pieceLength);
    for (let piece = Math.floor((torrentOffset + offset) / pieceLength); piece <= last; piece++) {
      if (!known.has(piece)) return false;
    }
    return true;
  });
}
