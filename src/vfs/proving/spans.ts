/** Finds the files that make up a piece, as `metainfo/piece-layout.ts` does, from a layout that takes 16 bytes a file. */
import type { Layout } from './messages.ts';

/** A range of one file of the torrent. Never empty. */
export interface Span {
  /** The file's index in the torrent. */
  readonly file: number;
  readonly offset: number;
  readonly length: number;
}

/** Lists the ranges that make up a piece, in order, with pad files but no empty ones. */
export function spansOf({ pieceLength, offsets, lengths }: Layout, piece: number): Span[] {
  const begin = piece * pieceLength;
  const end = begin + pieceLength;
  const spans: Span[] = [];
  for (let file = lastAt(offsets, begin); file < offsets.length; file++) {
    const offset = offsets[file]!;
    if (offset >= end) break;
    const from = Math.max(offset, begin);
    const to = Math.min(offset + lengths[file]!, end);
    if (from < to) spans.push({ file, offset: from - offset, length: to - from });
  }
  return spans;
}

/** Finds the last file that begins at or before `position`. */
function lastAt(offsets: Float64Array, position: number): number {
  let low = 0;
  let high = offsets.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (offsets[middle]! <= position) low = middle;
    else high = middle - 1;
  }
  return low;
}
