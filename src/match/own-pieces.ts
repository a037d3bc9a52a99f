/**
 * Tells the pieces that one file can prove alone from those that only several files prove together.
 *
 * A piece is a file's own when all its other bytes are pads. With the padding of BEP 47 a file's last piece is its own, too.
 * A shared piece holds bytes of two or more files that are not pads.
 */

import type { Metainfo } from '../metainfo/metainfo.ts';
import { type PieceRange, touchedPieces } from '../metainfo/piece-layout.ts';

export interface PieceShares {
  /** By file index; empty for pads and for files without bytes. */
  readonly own: readonly PieceRange[];
  /** In order. */
  readonly shared: readonly number[];
}

const NONE: PieceRange = { first: 0, count: 0 };

export function sharePieces(metainfo: Metainfo): PieceShares {
  const own: PieceRange[] = Array.from({ length: metainfo.files.length }, () => NONE);
  const shared: number[] = [];
  const real = metainfo.files.filter((file) => !file.pad && file.length > 0);
  for (const [i, file] of real.entries()) {
    const touched = touchedPieces(metainfo, file.index);
    let { first } = touched;
    let end = touched.first + touched.count;
    const before = real[i - 1];
    const after = real[i + 1];
    const begins = first * metainfo.pieceLength;
    const ends = end * metainfo.pieceLength;
    if (before !== undefined && before.offset + before.length > begins) first++;
    if (after !== undefined && after.offset < ends) end--;
    // Each file notes only the piece in which it ends; the other files of a piece note it in their turn.
    if (after !== undefined && after.offset < ends && shared.at(-1) !== end) shared.push(end);
    own[file.index] = { first, count: Math.max(0, end - first) };
  }
  return { own, shared };
}

/** Picks at most `most` pieces of a range: the first, the last, and others spread evenly between. */
export function samplePieces(range: PieceRange, most: number): number[] {
  if (range.count <= most) return Array.from({ length: range.count }, (_, i) => range.first + i);
  return Array.from({ length: most }, (_, i) => range.first + Math.round((i * (range.count - 1)) / (most - 1)));
}
