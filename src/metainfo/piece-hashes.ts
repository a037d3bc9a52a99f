/**
 * Gives the hashes that a piece must have: SHA-1 in v1, its merkle tree in v2, both in hybrid torrents (a hybrid piece of
 * pads alone has no tree). A piece is right if all of them agree.
 */
import { merklePiece } from './merkle-pieces.ts';
import type { Metainfo, PieceSpan } from './metainfo.ts';
import { pieceSpans } from './piece-layout.ts';

export interface PieceHash {
  /** The bytes that are hashed, end to end. */
  readonly spans: readonly PieceSpan[];
  readonly digest: Buffer;
  /** For a merkle tree: the number of its leaves, a power of two. Absent for a SHA-1. */
  readonly leaves?: number;
}

const SHA1_BYTES = 20;

/** Gives one or two hashes. @throws RangeError for a piece that the torrent does not have */
export function pieceHashes(metainfo: Metainfo, piece: number): PieceHash[] {
  const hashes: PieceHash[] = [];
  if (metainfo.version !== 'v2') {
    const digest = metainfo.pieces.subarray(piece * SHA1_BYTES, (piece + 1) * SHA1_BYTES);
    hashes.push({ spans: pieceSpans(metainfo, piece), digest });
  }
  const merkle = merklePiece(metainfo, piece);
  if (merkle !== undefined) hashes.push({ spans: [merkle.span], digest: merkle.digest, leaves: merkle.leaves });
  return hashes;
}
