/**
 * Gives a file one source again where another candidate proved a piece of it (`FileTask.atPiece`).
 *
 * A file without a piece of its own takes the candidate that proves most of its bytes. With `probe`, a file with pieces of its
 * own takes the candidate if it agrees in all sampled pieces and in more shared ones than the present source: a damaged copy
 * then gives way to a whole one. With `full` each piece was hashed with its source already, and keeps it: hashing another copy
 * as a whole would cost as much again.
 */
import { hasBit } from '../extent/bitfield.ts';
import { touchedPieces } from '../metainfo/piece-layout.ts';
import type { VerifyLevel } from './match.ts';
import { samplePieces } from './own-pieces.ts';
import { bytesIn, type Range } from './parts.ts';
import type { PieceHasher } from './piece-hashing.ts';
import { bytesKey, type Chosen, type FileTask, type TorrentTask } from './torrent-task.ts';
import { PROBED_PIECES } from './verify-own.ts';

export async function takeBetterSources(torrent: TorrentTask, level: VerifyLevel, hasher: PieceHasher): Promise<void> {
  const probed: { readonly task: FileTask; readonly chosen: Chosen }[] = [];
  for (const task of torrent.files) {
    const { atPiece, own, current } = task;
    if (atPiece === undefined || task.parts !== undefined || current === undefined) continue;
    if (own.count === 0) takeMostProven(task, current, atPiece);
    else if (level === 'probe') {
      for (const chosen of new Map([...atPiece.values()].map((one) => [bytesKey(one), one])).values()) {
        if (chosen.shift === 0 && chosen.identity.size === task.file.length) probed.push({ task, chosen });
      }
    }
  }
  const asked = probed.map(({ task, chosen }) => ({
    own: samplePieces(task.own, PROBED_PIECES),
    shared: sharedPieces(task).filter((piece) => !isAt(task, piece, chosen)),
  }));
  const answers = await hasher.ask(
    probed.flatMap(({ task, chosen }, i) =>
      [...(asked[i]?.own ?? []), ...(asked[i]?.shared ?? [])].map((piece) => ({
        torrent,
        piece,
        bytesOf: (other: FileTask, range: Range) =>
          other === task ? bytesIn(chosen, 0, range) : other.bytes(piece, range),
      })),
    ),
  );
  let next = 0;
  for (const [i, { task, chosen }] of probed.entries()) {
    const { own = [], shared = [] } = asked[i] ?? {};
    const mine = answers.slice(next, next + own.length + shared.length).map((answer) => answer?.agrees === true);
    next += own.length + shared.length;
    const agreeing = shared.filter((_, k) => mine[own.length + k]);
    if (mine.slice(0, own.length).every(Boolean)) takeIfBetter(task, chosen, agreeing);
  }
}

/** Lists the shared pieces of a file that were verified. */
function sharedPieces({ torrent, file, own }: FileTask): number[] {
  const { first, count } = touchedPieces(torrent.metainfo, file.index);
  const pieces: number[] = [];
  for (let piece = first; piece < first + count; piece++) {
    const isOwn = piece >= own.first && piece < own.first + own.count;
    if (!isOwn && hasBit(torrent.verified, piece)) pieces.push(piece);
  }
  return pieces;
}

function isAt(task: FileTask, piece: number, chosen: Chosen): boolean {
  const source = task.sourceOf(piece);
  return source !== undefined && bytesKey(source) === bytesKey(chosen);
}

/** `agreeing`: verified shared pieces that agree with `chosen`, too, though another source supplies them now. */
function takeIfBetter(task: FileTask, chosen: Chosen, agreeing: readonly number[]): void {
  const { current } = task;
  if (current === undefined) return;
  const pieces = sharedPieces(task);
  const mine = pieces.filter((piece) => isAt(task, piece, chosen) || agreeing.includes(piece));
  // Pieces that another candidate proved failed with the present source.
  const present = pieces.filter((piece) => task.atPiece?.has(piece) !== true);
  if (mine.length > present.length) change(task, chosen, new Set(mine));
}

function takeMostProven(task: FileTask, current: Chosen, atPiece: ReadonlyMap<number, Chosen>): void {
  const proven = new Map<string, { readonly chosen: Chosen; readonly pieces: number[]; bytes: number }>();
  const { torrent, file } = task;
  const { pieceLength } = torrent.metainfo;
  for (const piece of sharedPieces(task)) {
    const chosen = atPiece.get(piece) ?? current;
    const found = proven.get(bytesKey(chosen)) ?? { chosen, pieces: [], bytes: 0 };
    proven.set(bytesKey(chosen), found);
    found.pieces.push(piece);
    const begin = Math.max(file.offset, piece * pieceLength);
    found.bytes += Math.min(file.offset + file.length, (piece + 1) * pieceLength) - begin;
  }
  const [most] = [...proven.values()].toSorted((a, b) => b.bytes - a.bytes);
  if (most !== undefined && most.chosen !== current) change(task, most.chosen, new Set(most.pieces));
}

/** Makes `chosen` the file's source. Verified shared pieces that are not in `agreeing` keep theirs. */
function change(task: FileTask, chosen: Chosen, agreeing: ReadonlySet<number>): void {
  const kept = new Map<number, Chosen>();
  for (const piece of sharedPieces(task)) {
    const source = task.sourceOf(piece);
    if (source !== undefined && !agreeing.has(piece)) kept.set(piece, source);
  }
  task.adopt(chosen);
  task.atPiece = kept.size === 0 ? undefined : kept;
}
