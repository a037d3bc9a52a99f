/**
 * `libtorrent_resume`: the pieces of a torrent that rTorrent need not hash.
 *
 * It never makes rTorrent believe a piece that was not verified, nor download one that is there. libtorrent
 * (rakshasa/libtorrent, `src/torrent/utils/resume.cc`; seen with 0.13.8) takes the bitfield first; then each file's
 * `mtime` decides about the pieces that the file touches:
 *
 * - the mtime that stat shows, in seconds: the bits stay as they are. A cleared bit then means "download it";
 * - another mtime, or a size that differs: the bits are cleared and the pieces hashed;
 * - -1, to be created: the bits are cleared; where there is a file after all, its pieces are hashed;
 * - -3: the bits are cleared and the pieces hashed, and the file is not created.
 */
import { clearBit, clearSpareBits, countBits, hasBit } from '../../extent/bitfield.ts';
import type { Metainfo, TorrentFile } from '../../metainfo/metainfo.ts';
import type { AddRequest, FileResume } from '../client.ts';

const TO_CREATE = -1;
const TO_CHECK = -3;

export type LibtorrentResume = {
  /** The piece count where all are there, else one bit a piece. */
  readonly bitfield: number | Buffer;
  readonly files: readonly { readonly completed: number; readonly mtime: number; readonly priority: 1 }[];
};

/** Undefined where rTorrent may believe nothing, or where `resume` does not fit the torrent: rTorrent then checks it all. */
export function libtorrentResume(
  metainfo: Metainfo,
  resume: NonNullable<AddRequest['resume']>,
): LibtorrentResume | undefined {
  const { files, pieceCount, pieceLength } = metainfo;
  const { verified, gaps } = resume;
  const bytes = Math.ceil(pieceCount / 8);
  if (resume.files.length !== files.length || verified.length !== bytes || gaps.length !== bytes) return undefined;

  const spans = files.map((file) => piecesOf(file, pieceLength));
  const states: FileResume['state'][] = resume.files.map(({ state, mtimeMs }) =>
    // A file that was never written has the time 0, which rTorrent takes for "no time".
    state === 'known' && !(mtimeMs >= 1000) ? 'unchecked' : state,
  );
  const bits = Buffer.from(verified);
  // A piece that is both verified and a gap is not believed.
  for (let i = 0; i < bytes; i++) bits[i]! &= ~(gaps[i] ?? 0);
  const distrusted = new Uint8Array(pieceCount);
  const distrust = ([first, end]: PieceRange): void => {
    distrusted.fill(1, first, end);
    for (let piece = first; piece < end; piece++) clearBit(bits, piece);
  };
  for (const [i, span] of spans.entries()) if (states[i] !== 'known') distrust(span);
  // In a file that is "known", a piece that is neither verified nor a gap would be downloaded again: the file is checked.
  const doubtful = spans.map(([first, end], i) => {
    if (states[i] !== 'known') return false;
    for (let piece = first; piece < end; piece++) {
      if (!hasBit(bits, piece) && !hasBit(gaps, piece) && distrusted[piece] === 0) return true;
    }
    return false;
  });
  for (const [i, span] of spans.entries()) {
    if (doubtful[i] !== true) continue;
    states[i] = 'unchecked';
    distrust(span);
  }
  if (!states.includes('known')) return undefined;

  clearSpareBits(bits, pieceCount);
  const total = countBits(bits);
  return {
    bitfield: total === pieceCount ? pieceCount : bits,
    files: spans.map(([first, end], i) => {
      let completed = 0;
      for (let piece = first; piece < end; piece++) if (hasBit(bits, piece)) completed++;
      const state = states[i];
      const mtime =
        state === 'known'
          ? Math.floor((resume.files[i]?.mtimeMs ?? 0) / 1000)
          : state === 'missing'
            ? TO_CREATE
            : TO_CHECK;
      return { completed, mtime, priority: 1 };
    }),
  };
}

/** Half-open. */
type PieceRange = readonly [first: number, end: number];

function piecesOf(file: TorrentFile, pieceLength: number): PieceRange {
  const first = Math.floor(file.offset / pieceLength);
  return [first, file.length === 0 ? first : Math.ceil((file.offset + file.length) / pieceLength)];
}
