/**
 * Finds fewer operations that show the same difference: it leaves parts out, large ones first, as long as the difference
 * stays. An operation without its beginning (a handle that was never opened) fails on both sides alike, and does no harm.
 */
import type { Operation } from './operation.ts';
import { type Difference, episode, type Sides } from './side-by-side.ts';

export async function shrink(sides: Sides, difference: Difference): Promise<Difference> {
  let smallest = difference;
  let tries = 0;
  const attempt = async (operations: readonly Operation[]): Promise<boolean> => {
    let next = 0;
    const found = await episode(sides, `smaller ${++tries}`, () => operations[next++]);
    if (found === undefined || kindOf(found) !== kindOf(difference)) return false;
    smallest = found;
    return true;
  };
  for (let part = Math.ceil(smallest.operations.length / 2); part >= 1; part = Math.floor(part / 2)) {
    for (let start = smallest.operations.length - part; start > -part; start -= part) {
      const { operations } = smallest;
      await attempt(operations.filter((_, i) => i < start || i >= start + part));
    }
  }
  return smallest;
}

/** Gives the first difference without the parts that vary: times, names, bytes. */
const kindOf = ({ differences }: Difference): string =>
  (differences[0] ?? '').replaceAll(/'[^']*'|\d+|[0-9a-f]{32}/g, '');
