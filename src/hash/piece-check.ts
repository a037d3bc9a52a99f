/** Pairs a digest that a piece must have with the question for it to the hash pool. */
import type { PieceHash } from '../metainfo/piece-hashes.ts';
import type { HashJob, HashSegment } from './hash-pool.ts';

export interface PieceCheck {
  readonly job: HashJob;
  readonly wanted: Buffer;
}

/** `segments`: the places of the bytes of the hash's spans. */
export function pieceCheck({ digest, leaves }: PieceHash, segments: readonly HashSegment[]): PieceCheck {
  return { job: leaves === undefined ? segments : { segments, leaves }, wanted: digest };
}
