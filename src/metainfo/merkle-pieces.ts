/** Gives the merkle hash (BEP 52) that each piece of a v2 or hybrid torrent must have, and the bytes that it covers. */
import { BLOCK_BYTES, DIGEST_BYTES, leavesOf } from './merkle.ts';
import type { Metainfo, PieceSpan } from './metainfo.ts';
import { pieceSpans } from './piece-layout.ts';

export interface MerklePiece {
  /** The file's bytes in this piece. In a hybrid torrent a pad file may follow them; it is not part of the hash. */
  readonly span: PieceSpan;
  /** Leaves of the piece's tree: a power of two. Fewer than a piece has blocks only if the file has fewer. */
  readonly leaves: number;
  readonly digest: Buffer;
}

type MerkleMetainfo = Pick<
  Metainfo,
  'version' | 'files' | 'totalLength' | 'pieceLength' | 'pieceCount' | 'pieceLayers'
>;

/**
 * Gives the merkle hash of a piece; undefined for v1 torrents, and for pieces of pad files alone. The parser has checked the
 * layers against the files' roots. @throws RangeError for a piece that the torrent does not have
 */
export function merklePiece(meta: MerkleMetainfo, piece: number): MerklePiece | undefined {
  const spans = pieceSpans(meta, piece);
  if (meta.version === 'v1') return undefined;
  // Files begin at piece boundaries, so a piece has one file at most, and it comes first.
  const [span] = spans;
  const file = span === undefined ? undefined : meta.files[span.file];
  if (span === undefined || file?.piecesRoot === undefined) return undefined;
  if (file.length <= meta.pieceLength) return { span, leaves: leavesOf(file.length), digest: file.piecesRoot };
  const layer = meta.pieceLayers.get(file.piecesRoot.toString('hex'));
  if (layer === undefined) throw new Error(`${file.path.join('/')} has no piece layer`);
  const at = (span.offset / meta.pieceLength) * DIGEST_BYTES;
  return { span, leaves: meta.pieceLength / BLOCK_BYTES, digest: layer.subarray(at, at + DIGEST_BYTES) };
}
