/**
 * Verifies pieces with bytes of several files, the only proof of files too small for a piece of their own.
 *
 * Such a piece can only be asked about if all its files have a source. If it does not agree:
 *
 * 1. A file is *proven* if any piece with bytes of it agreed. The files of the piece that are not proven are suspects.
 * 2. Other candidates of the suspects are tried in combinations, up to a limit. The first that agrees is taken.
 * 3. If none agrees, all suspects become missing, since none of their bytes is proven. The proven files keep their bytes in
 *    the piece, unverified.
 * 4. If there is no suspect, nothing tells whose bytes are wrong: all bytes of the piece become gaps.
 */
import { setBit } from '../extent/bitfield.ts';
import type { Looker } from './look.ts';
import { bytesIn, type Range } from './parts.ts';
import { filesOfPiece, type PieceHasher } from './piece-hashing.ts';
import type { Chosen, FileTask, TorrentTask } from './torrent-task.ts';

/** Combinations of candidates hashed for one piece, and files read for them: more suspects would need luck. */
const MAX_VARIANTS = 64;
const MAX_SUSPECTS_READ = 512;
const MAX_ALTERNATIVES = 8;

export async function verifyShared(
  torrents: readonly TorrentTask[],
  level: 'probe' | 'full',
  hasher: PieceHasher,
  looker: Looker,
  /** Adds candidates of modes that these files have not been through. */
  proposeMore: (suspects: readonly FileTask[]) => Promise<void>,
): Promise<void> {
  const questions = torrents.flatMap((torrent) =>
    torrent.shares.shared
      .filter((piece) => level === 'full' || filesOfPiece(torrent, piece).some(needsNeighbours))
      .map((piece) => ({ torrent, piece, bytesOf: (task: FileTask, range: Range) => task.bytes(piece, range) })),
  );
  const answers = await hasher.ask(questions);
  const failing = new Map<TorrentTask, number[]>();
  for (const [i, { torrent, piece }] of questions.entries()) {
    const answer = answers[i];
    if (answer?.agrees === true) prove(torrent, piece);
    if (answer?.agrees !== false) continue;
    const pieces = failing.get(torrent);
    if (pieces === undefined) failing.set(torrent, [piece]);
    else pieces.push(piece);
  }
  if (failing.size === 0) return;
  const suspects = [...failing].flatMap(([torrent, pieces]) => pieces.flatMap((piece) => suspectsOf(torrent, piece)));
  await proposeMore([...new Set(suspects)]);
  for (const [torrent, pieces] of failing) {
    blame(torrent, await solve(torrent, pieces, hasher, looker), looker);
  }
}

/** True if only shared pieces can prove a file, or the bytes at its ends. */
function needsNeighbours({ own, parts }: FileTask): boolean {
  return own.count === 0 || parts !== undefined;
}

/** Finds the pieces that no combination of candidates makes agree. */
async function solve(
  torrent: TorrentTask,
  failing: readonly number[],
  hasher: PieceHasher,
  looker: Looker,
): Promise<readonly number[]> {
  let left = failing;
  const adopted = new Set<FileTask>();
  for (let changed = true; changed && left.length > 0; ) {
    changed = false;
    const still: number[] = [];
    for (const piece of left) {
      if (await solvePiece(torrent, piece, adopted, hasher, looker)) changed = true;
      else still.push(piece);
    }
    left = still;
  }
  return left;
}

async function solvePiece(
  torrent: TorrentTask,
  piece: number,
  adopted: Set<FileTask>,
  hasher: PieceHasher,
  looker: Looker,
): Promise<boolean> {
  const suspects = suspectsOf(torrent, piece);
  if (suspects.length > MAX_SUSPECTS_READ) return false;
  const choices = suspects.map((task) => [
    ...(task.current === undefined ? [] : [task.current]),
    ...task.alternatives(looker, MAX_ALTERNATIVES),
  ]);
  // The first combination is the current candidates. They failed already, unless another piece changed one since.
  const asked = filesOfPiece(torrent, piece).some((task) => adopted.has(task)) ? 0 : 1;
  const most = Math.min(MAX_VARIANTS, Math.ceil(MAX_SUSPECTS_READ / Math.max(1, suspects.length)));
  const variants = combinations(choices, most)
    .slice(asked)
    .map((variant) => new Map(variant.map((chosen, i) => [suspects[i], chosen])));
  const answers = await hasher.ask(
    variants.map((variant) => ({
      torrent,
      piece,
      bytesOf: (task: FileTask, range: Range) => {
        const chosen = variant.get(task);
        return chosen === undefined ? task.bytes(piece, range) : bytesIn(chosen, chosen.shift, range);
      },
    })),
  );
  const found = variants[answers.findIndex((answer) => answer?.agrees === true)];
  if (found === undefined) return false;
  for (const [task, chosen] of found) {
    if (task === undefined || task.current === chosen) continue;
    task.adopt(chosen);
    adopted.add(task);
  }
  prove(torrent, piece);
  return true;
}

function prove(torrent: TorrentTask, piece: number): void {
  setBit(torrent.verified, piece);
  for (const task of filesOfPiece(torrent, piece)) task.provenPieces++;
}

function suspectsOf(torrent: TorrentTask, piece: number): FileTask[] {
  return filesOfPiece(torrent, piece).filter(({ provenPieces }) => provenPieces === 0);
}

function blame(torrent: TorrentTask, failed: readonly number[], looker: Looker): void {
  const guilty = new Map<FileTask, number>();
  for (const piece of failed) {
    const suspects = suspectsOf(torrent, piece);
    for (const task of suspects) guilty.set(task, piece);
    if (suspects.length > 0) continue;
    for (const task of filesOfPiece(torrent, piece)) (task.gapPieces ??= new Set()).add(piece);
  }
  for (const [task, piece] of guilty) {
    const tried = [
      ...(task.current === undefined ? [] : [task.current]),
      ...task.alternatives(looker, MAX_ALTERNATIVES),
    ];
    for (const { path } of tried) task.refuse(path, 'hash-mismatch');
    task.drop({
      code: 'hash-mismatch',
      reason: `Piece ${piece}, which it shares with its neighbours, has other bytes with every candidate tried.`,
    });
  }
}

/** Lists at most `most` ways to take one element of each list, those nearest to the first elements first. */
export function combinations(choices: readonly (readonly Chosen[])[], most: number): Chosen[][] {
  let found: { picked: Chosen[]; steps: number }[] = [{ picked: [], steps: 0 }];
  for (const list of choices) {
    found = found
      .flatMap(({ picked, steps }) => list.map((chosen, i) => ({ picked: [...picked, chosen], steps: steps + i })))
      .toSorted((a, b) => a.steps - b.steps)
      .slice(0, most);
  }
  return found.map(({ picked }) => picked);
}
