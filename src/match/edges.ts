/**
 * The bytes of a file in shared pieces that cannot be asked about, since other files of these pieces are missing: less than a
 * piece at each end of it, its *edges*.
 *
 * An edge goes with the own piece beside it: a source that has proven that piece, and has the file's size, is believed to have
 * the edge, too. What hash modes found at another place, or in a file of another size, says nothing about the edge: a tag may
 * have grown there. Then another candidate of the file's size that agrees in the own piece is looked for.
 */
import { hasBit } from '../extent/bitfield.ts';
import { touchedPieces } from '../metainfo/piece-layout.ts';
import type { Looker } from './look.ts';
import { bytesIn, type Part, type Range } from './parts.ts';
import type { PieceHasher } from './piece-hashing.ts';
import { bytesKey, type Chosen, type FileTask, type TorrentTask } from './torrent-task.ts';

/** Candidates that are hashed for one edge: one piece each. */
const MAX_TRIED = 8;

interface Edge {
  readonly task: FileTask;
  readonly piece: number;
  /** The own piece beside it. */
  readonly beside: number;
}

/**
 * Finds sources (`FileTask.atPiece`) for the edges of files that hash modes found moved. `proposeMore` adds candidates of modes
 * that these files have not been through.
 */
export async function findEdges(
  torrent: TorrentTask,
  hasher: PieceHasher,
  looker: Looker,
  proposeMore: (files: readonly FileTask[]) => Promise<void>,
): Promise<void> {
  const edges = torrent.files.flatMap((task) => (task.parts === undefined ? [] : openEdges(task, task.parts)));
  if (edges.length === 0) return;
  await proposeMore([...new Set(edges.map(({ task }) => task))]);
  const asked = edges.flatMap((edge) => candidatesOf(edge.task, looker).map((chosen) => ({ edge, chosen })));
  const answers = await hasher.ask(
    asked.map(({ edge: { beside }, chosen }) => ({
      torrent,
      piece: beside,
      bytesOf: (_: FileTask, range: Range) => bytesIn(chosen, 0, range),
    })),
  );
  for (const [i, { edge, chosen }] of asked.entries()) {
    const { task, piece } = edge;
    if (answers[i]?.agrees !== true || task.atPiece?.has(piece) === true) continue;
    (task.atPiece ??= new Map()).set(piece, chosen);
  }
}

/** Finds the source that is believed to have an edge of a file, of which `parts` are proven. Undefined for other pieces. */
export function sourceOfEdge(task: FileTask, piece: number, parts: readonly Part[]): Part['source'] | undefined {
  const beside = besideEdge(task, piece);
  if (beside === undefined) return undefined;
  const { file, torrent, atPiece } = task;
  // The byte of the own piece that is nearest to the edge.
  const boundary = Math.max(beside, piece) * torrent.metainfo.pieceLength - file.offset;
  const at = beside < piece ? boundary - 1 : boundary;
  const part = parts.find(({ offset, length }) => offset <= at && at < offset + length);
  return part?.shift === 0 && part.source.identity.size === file.length ? part.source : atPiece?.get(piece);
}

/** Finds the proven own piece beside an edge. Undefined for pieces that are none, or that were hashed and failed. */
function besideEdge({ own, torrent, gapPieces }: FileTask, piece: number): number | undefined {
  const last = own.first + own.count - 1;
  const isOwn = piece >= own.first && piece <= last;
  if (own.count === 0 || isOwn || gapPieces?.has(piece) === true || hasBit(torrent.verified, piece)) return undefined;
  const beside = piece < own.first ? own.first : last;
  return hasBit(torrent.verified, beside) ? beside : undefined;
}

function openEdges(task: FileTask, parts: readonly Part[]): Edge[] {
  const { first, count } = touchedPieces(task.torrent.metainfo, task.file.index);
  return [first, first + count - 1].flatMap((piece) => {
    const beside = besideEdge(task, piece);
    return beside === undefined || sourceOfEdge(task, piece, parts) !== undefined ? [] : [{ task, piece, beside }];
  });
}

function candidatesOf(task: FileTask, looker: Looker): Chosen[] {
  const found = new Map<string, Chosen>();
  for (const proposal of task.otherProposals) {
    if (found.size >= MAX_TRIED) break;
    if (proposal.file.size !== task.file.length || (proposal.shift ?? 0) !== 0) continue;
    const chosen = task.look(proposal, looker);
    if (chosen !== undefined) found.set(bytesKey(chosen), chosen);
  }
  return [...found.values()];
}
