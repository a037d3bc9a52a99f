/** Remembers where folders went: what moved one file proposes a path for each of its siblings. */
import { isAtOrBelow } from '../native/mountinfo.ts';
import { rebased } from '../source/paths.ts';

const SLASH = 0x2f;
/** Moves that are remembered: the latest. */
const MOST = 256;
/** Proposals for one path. */
const MOST_PROPOSALS = 8;

interface Move {
  readonly from: Buffer;
  readonly to: Buffer;
}

export class Moves {
  /** By both paths; the latest use last. */
  readonly #moves = new Map<string, Move>();

  /** Notes that a file went from one path to another, and so, perhaps, did the folder in which both names differ. */
  learn(from: Buffer, to: Buffer): void {
    const move = moveBetween(from, to);
    if (move === undefined) return;
    const key = `${move.from.toString('latin1')}\0${move.to.toString('latin1')}`;
    this.#moves.delete(key);
    this.#moves.set(key, move);
    if (this.#moves.size > MOST) this.#moves.delete(this.#moves.keys().next().value ?? '');
  }

  /** Proposes paths for a file, by the innermost folder that moved, the latest move first. */
  proposals(path: Buffer): Buffer[] {
    const fits = [...this.#moves.values()].toReversed().filter(({ from }) => isAtOrBelow(path, from));
    return fits
      .toSorted((a, b) => b.from.length - a.from.length)
      .slice(0, MOST_PROPOSALS)
      .map(({ from, to }) => rebased(path, from, to));
  }
}

/**
 * Takes off the names at the end that both paths have in common: the rest is the folder that moved. Undefined where only the
 * last name changed.
 */
export function moveBetween(from: Buffer, to: Buffer): Move | undefined {
  let a = from.lastIndexOf(SLASH);
  let b = to.lastIndexOf(SLASH);
  // A file that was renamed in the same move: its siblings may have kept their names.
  let [endA, endB] = [a, b];
  while (a > 0 && b > 0) {
    const nextA = from.lastIndexOf(SLASH, a - 1);
    const nextB = to.lastIndexOf(SLASH, b - 1);
    if (!from.subarray(nextA, a).equals(to.subarray(nextB, b))) break;
    [endA, endB] = [nextA, nextB];
    [a, b] = [nextA, nextB];
  }
  const move = { from: from.subarray(0, Math.max(1, endA)), to: to.subarray(0, Math.max(1, endB)) };
  return move.from.equals(move.to) ? undefined : move;
}
