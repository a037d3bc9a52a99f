/**
 * Computes which ranges of which files make up each piece.
 *
 * In v1 and hybrid torrents files lie end to end in the piece space, so a piece may hold parts of many files. In v2
 * torrents each file begins at a piece boundary, so a piece lies in one file and may be shorter than the others.
 * `TorrentFile.offset` is the file's offset in both.
 */
import type { Metainfo, PieceSpan, TorrentFile } from './metainfo.ts';

/** The fields of a torrent that this needs. */
export type PieceSpace = Pick<Metainfo, 'version' | 'files' | 'totalLength' | 'pieceLength' | 'pieceCount'>;

/** The pieces `first`, `first + 1`, …: `count` of them. */
export interface PieceRange {
  readonly first: number;
  readonly count: number;
}

/** Lists the file ranges that make up a piece, in order, with pad files but no empty ones. @throws RangeError */
export function pieceSpans(meta: PieceSpace, piece: number): PieceSpan[] {
  if (!Number.isInteger(piece) || piece < 0 || piece >= meta.pieceCount) {
    throw new RangeError(`no piece ${piece} among ${meta.pieceCount}`);
  }
  const begin = piece * meta.pieceLength;
  const end = begin + meta.pieceLength;
  const spans: PieceSpan[] = [];
  for (let i = fileAt(meta.files, begin); i < meta.files.length; i++) {
    const file = meta.files[i]!;
    if (file.offset >= end) break;
    const from = Math.max(file.offset, begin);
    const to = Math.min(file.offset + file.length, end);
    if (from < to) spans.push({ file: i, offset: from - file.offset, length: to - from });
  }
  return spans;
}

/** Finds the pieces that have all their bytes in one file. @throws RangeError */
export function wholePieces(meta: PieceSpace, file: number): PieceRange {
  const { offset, length } = fileOf(meta, file);
  const end = offset + length;
  const first = Math.ceil(offset / meta.pieceLength);
  // The last piece of the torrent, or of a v2 file, takes the rest.
  const short = meta.version === 'v2' || end === meta.totalLength;
  const behind = short ? Math.ceil(end / meta.pieceLength) : Math.floor(end / meta.pieceLength);
  return { first, count: length === 0 ? 0 : Math.max(0, behind - first) };
}

/** Finds the pieces that have any of their bytes in a file. @throws RangeError */
export function touchedPieces(meta: PieceSpace, file: number): PieceRange {
  const { offset, length } = fileOf(meta, file);
  const first = Math.floor(offset / meta.pieceLength);
  return { first, count: length === 0 ? 0 : Math.ceil((offset + length) / meta.pieceLength) - first };
}

function fileOf(meta: PieceSpace, file: number): TorrentFile {
  const found = meta.files[file];
  if (found === undefined) throw new RangeError(`no file ${file} among ${meta.files.length}`);
  return found;
}

/** Finds the last file that begins at or before `position`. */
function fileAt(files: readonly TorrentFile[], position: number): number {
  let low = 0;
  let high = files.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (files[middle]!.offset <= position) low = middle;
    else high = middle - 1;
  }
  return low;
}
