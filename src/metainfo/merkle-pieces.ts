/** Which merkle hash (BEP 52) each piece of a v2 or hybrid torrent must have, and of which bytes. */
import { BLOCK_BYTES, DIGEST_BYTES, leavesOf } from './merkle.ts';
import type { Metainfo, PieceSpan } from './metainfo.ts';
import { pieceSpans } from './piece-layout.ts';

export interface MerklePiece {
  /** The file's bytes in this piece: in a hybrid torrent a pad file may follow them, which has no part in the hash. */
  readonly span: PieceSpan;
  /** Of the piece's tree: a power of two. Fewer than a piece has blocks only where the file has fewer. */
  readonly leaves: number;
  readonly digest: Buffer;
}

type MerkleMetainfo = Pick<
  Metainfo,
  'version' | 'files' | 'totalLength' | 'pieceLength' | 'pieceCount' | 'pieceLayers'
>;

/**
 * Undefined for v1 torrents, and for pieces of pad files alone. The layers were checked against the files' roots when
 * the torrent was parsed. @throws RangeError for a piece that the torrent does not have
 */
export function merklePiece(meta: MerkleMetainfo, piece: number): MerklePiece | undefined {
  const spans = pieceSpans(meta, piece);
  if (meta.version === 'v1') return undefined;
  // Files begin at piece boundaries, so that it is one at most, and the first.
  const [span] = spans;
  const file = span === undefined ? undefined : meta.files[span.file];
  if (span === undefined || file?.piecesRoot === undefined) return undefined;
  if (file.length <= meta.pieceLength) return { span, leaves: leavesOf(file.length), digest: file.piecesRoot };
  const layer = meta.pieceLayers.get(file.piecesRoot.toString('hex'));
  if (layer === undefined) throw new Error(`${file.path.join('/')} has no piece layer`);
  const at = (span.offset / meta.pieceLength) * DIGEST_BYTES;
  return { span, leaves: meta.pieceLength / BLOCK_BYTES, digest: layer.subarray(at, at + DIGEST_BYTES) };
}
