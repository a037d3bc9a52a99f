/** Finds the pieces of a plan that have gaps: a client downloads by pieces. */
import { emptyBitfield, hasBit, setBit } from '../extent/bitfield.ts';
import { GAP } from '../extent/extent.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import { pieceSpans } from '../metainfo/piece-layout.ts';
import type { Plan } from '../plan/plan.ts';

/** One bit a piece: set where some of its bytes have no source. */
export function piecesWithGaps(metainfo: Metainfo, plan: Plan): Buffer {
  const gaps = emptyBitfield(plan.pieceCount);
  for (const file of metainfo.files) {
    for (const extent of plan.files[file.index]?.extents ?? []) {
      if (extent.source !== GAP || extent.length === 0) continue;
      const first = Math.floor((file.offset + extent.offset) / metainfo.pieceLength);
      const last = Math.floor((file.offset + extent.offset + extent.length - 1) / metainfo.pieceLength);
      for (let piece = first; piece <= last; piece++) setBit(gaps, piece);
    }
  }
  return gaps;
}

/**
 * The bytes of these pieces: what a client downloads at least, since it takes pieces as wholes. More, where its own
 * check finds damage in what was mapped without being hashed.
 */
export function bytesToDownload(metainfo: Metainfo, plan: Plan): number {
  const gaps = piecesWithGaps(metainfo, plan);
  let sum = 0;
  for (let piece = 0; piece < plan.pieceCount; piece++) {
    if (!hasBit(gaps, piece)) continue;
    for (const span of pieceSpans(metainfo, piece)) sum += span.length;
  }
  return sum;
}
