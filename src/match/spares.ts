/**
 * Finds spares: second files with the same bytes, for when the first one goes away. A file is a spare only if every piece of
 * the first was verified, and each of these pieces was hashed again with the spare in its place.
 */
import { hasBit } from '../extent/bitfield.ts';
import { touchedPieces } from '../metainfo/piece-layout.ts';
import type { Looker, Source } from './look.ts';
import { bytesIn, type Range } from './parts.ts';
import type { PieceHasher } from './piece-hashing.ts';
import type { FileTask, TorrentTask } from './torrent-task.ts';

/**
 * Finds at most one spare for each file, since hashing a duplicate costs as much as hashing the file. Finds none for files
 * without a piece of their own, each of which would cost the pieces of all its neighbours.
 */
export async function findSpares(
  torrents: readonly TorrentTask[],
  hasher: PieceHasher,
  looker: Looker,
): Promise<ReadonlyMap<FileTask, Source>> {
  const wanted: { readonly task: FileTask; readonly spare: Source }[] = [];
  for (const { files } of torrents) {
    for (const task of files) {
      if (task.own.count === 0 || !isVerified(task)) continue;
      const [spare] = task.alternatives(looker, 1);
      if (spare !== undefined) wanted.push({ task, spare });
    }
  }
  const questions = wanted.flatMap(({ task, spare }) =>
    piecesOf(task).map((piece) => ({
      torrent: task.torrent,
      piece,
      bytesOf: (other: FileTask, range: Range) =>
        other === task ? bytesIn(spare, 0, range) : other.bytes(piece, range),
    })),
  );
  const answers = await hasher.ask(questions);
  const spares = new Map<FileTask, Source>();
  let next = 0;
  for (const { task, spare } of wanted) {
    const { count } = touchedPieces(task.torrent.metainfo, task.file.index);
    if (answers.slice(next, next + count).every((answer) => answer?.agrees === true)) spares.set(task, spare);
    next += count;
  }
  return spares;
}

function piecesOf({ torrent, file }: FileTask): number[] {
  const { first, count } = touchedPieces(torrent.metainfo, file.index);
  return Array.from({ length: count }, (_, i) => first + i);
}

function isVerified(task: FileTask): boolean {
  const { current, owners, parts } = task;
  if (current === undefined || parts !== undefined || owners?.some((owner) => owner !== current) === true) return false;
  return piecesOf(task).every((piece) => hasBit(task.torrent.verified, piece));
}
