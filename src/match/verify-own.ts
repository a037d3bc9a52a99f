/**
 * Verifies files that have pieces of their own: hashes candidate after candidate until one is believed.
 *
 * `probe` takes a candidate if all of a few pieces agree. `full` asks about every piece. Where some fail, it asks the other
 * candidates about those alone, so a file may end with pieces from several candidates, and gaps where none agrees.
 */
import { setBit } from '../extent/bitfield.ts';
import type { Looker } from './look.ts';
import { samplePieces } from './own-pieces.ts';
import type { PieceAnswer, PieceHasher } from './piece-hashing.ts';
import type { FileTask } from './torrent-task.ts';

/** The first piece, the last, and three between: they expose 31 of 32 files that lack half of their bytes. */
export const PROBED_PIECES = 5;

/** Verifies `files`, which have a current candidate and pieces of their own. */
export async function verifyOwn(
  files: readonly FileTask[],
  level: 'probe' | 'full',
  hasher: PieceHasher,
  looker: Looker,
): Promise<void> {
  let active = files;
  while (active.length > 0) {
    const pieces = active.map((task) =>
      level === 'probe' ? samplePieces(task.own, PROBED_PIECES) : unprovenPieces(task),
    );
    const answers = await hasher.ask(
      active.flatMap((task, i) =>
        (pieces[i] ?? []).map((piece) => ({
          torrent: task.torrent,
          piece,
          bytesOf: (_, range) => task.currentBytes(range),
        })),
      ),
    );
    let next = 0;
    const again: FileTask[] = [];
    for (const [i, task] of active.entries()) {
      const asked = pieces[i] ?? [];
      const mine = answers.slice(next, next + asked.length);
      next += asked.length;
      if (level === 'probe') judgeProbe(task, asked, mine);
      else judgeFull(task, asked, mine);
      if (!task.judged && task.advance(looker)) again.push(task);
    }
    active = again;
  }
}

/** After the last mode, keeps the proven pieces of files that are not proven as a whole. */
export function settlePartial(task: FileTask): void {
  if (task.judged || task.owners === undefined) return;
  const shares = new Map<NonNullable<FileTask['current']>, number>();
  for (const owner of task.owners) if (owner !== undefined) shares.set(owner, (shares.get(owner) ?? 0) + 1);
  const [most] = [...shares].toSorted((a, b) => b[1] - a[1]);
  if (most === undefined) return;
  task.adopt(most[0]);
  task.judged = true;
}

function judgeProbe(task: FileTask, asked: readonly number[], answers: readonly (PieceAnswer | undefined)[]): void {
  if (!blame(task, asked, answers)) return;
  for (const piece of asked) setBit(task.torrent.verified, piece);
  task.provenPieces += asked.length;
  task.judged = true;
}

function judgeFull(task: FileTask, asked: readonly number[], answers: readonly (PieceAnswer | undefined)[]): void {
  const owners = task.owners ?? Array.from({ length: task.own.count }, () => undefined);
  for (const [i, piece] of asked.entries()) {
    if (answers[i]?.agrees !== true) continue;
    owners[piece - task.own.first] = task.current;
    setBit(task.torrent.verified, piece);
    task.provenPieces++;
  }
  if (task.provenPieces > 0) task.owners = owners;
  task.judged = blame(task, asked, answers);
}

/** True if all agree. Else notes in the task which did not. */
function blame(task: FileTask, asked: readonly number[], answers: readonly (PieceAnswer | undefined)[]): boolean {
  const failed = answers.findIndex((answer) => answer?.agrees !== true);
  if (failed === -1) return true;
  const answer = answers[failed];
  const path = task.current?.path.toString() ?? 'its candidate';
  const count = answers.filter((other) => other?.agrees !== true).length;
  const why = answer === undefined || answer.agrees ? 'could not be asked about' : answer.why;
  const code = answer?.agrees === false && answer.changed ? 'changed' : 'hash-mismatch';
  if (task.current !== undefined) task.refuse(task.current.path, code);
  task.failure = {
    code,
    reason: `${path}: ${count} of ${asked.length} hashed pieces failed; piece ${asked[failed]} ${why}.`,
  };
  return false;
}

function unprovenPieces({ own, owners }: FileTask): number[] {
  const pieces: number[] = [];
  for (let i = 0; i < own.count; i++) if (owners?.[i] === undefined) pieces.push(own.first + i);
  return pieces;
}
