/** Finds the pieces of a plan that have gaps: a client downloads by pieces. */
import { emptyBitfield, hasBit, setBit } from '../extent/bitfield.ts';
import { GAP } from '../extent/extent.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import { pieceSpans } from '../metainfo/piece-layout.ts';
import type { Plan } from '../plan/plan.ts';

/** Gives one bit a piece, set if some of its bytes have no source. */
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
 * Counts the bytes of these pieces. A client downloads at least that much, since it takes whole pieces; it downloads more
 * if its own check finds damage in bytes that were mapped without being hashed.
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
