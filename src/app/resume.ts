/**
 * Tells a client what is known of an entry's files, so that it checks no more than it must.
 *
 * The rule is invariant 2's: we report a piece as present only if it was hashed, and as missing only if nothing supplies
 * some of its bytes. The client must check a piece whose bytes are all mapped but that was not hashed: if we called it
 * missing, the client would download it although it is there.
 */
import type { AddRequest, FileResume } from '../clients/client.ts';
import type { Config } from '../config/config.ts';
import { hasBit, setBit } from '../extent/bitfield.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import { touchedPieces } from '../metainfo/piece-layout.ts';
import type { Plan } from '../plan/plan.ts';
import { piecesWithGaps } from './gaps.ts';

/** Undefined: the client gets no resume data and checks by itself. */
export function resumeOf(metainfo: Metainfo, plan: Plan, fastResume: Config['fastResume']): AddRequest['resume'] {
  if (fastResume === 'never') return undefined;
  const gaps = piecesWithGaps(metainfo, plan);
  const verified = Buffer.from(plan.verified);
  // With `verify = none` nothing is known of the bytes: the configuration refuses that, and here it would be told as right.
  if (fastResume === 'trust' && plan.verify !== 'none') {
    for (let piece = 0; piece < plan.pieceCount; piece++) if (!hasBit(gaps, piece)) setBit(verified, piece);
  }
  const files = metainfo.files.map((file, index): FileResume => {
    const planned = plan.files[index];
    const mtimeMs = planned?.mtimeMs ?? 0;
    if (planned?.status === 'missing' && file.length > 0) return { state: 'missing', mtimeMs };
    const { first, count } = touchedPieces(metainfo, index);
    for (let piece = first; piece < first + count; piece++) {
      if (!hasBit(verified, piece) && !hasBit(gaps, piece)) return { state: 'unchecked', mtimeMs };
    }
    return { state: 'known', mtimeMs };
  });
  return { files, verified, gaps };
}
