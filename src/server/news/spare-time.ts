/** Lets long work on the loop that answers the kernel use the time that nobody else needs. */
import { setTimeout as sleep } from 'node:timers/promises';

/** The part of the loop's time that work has while others are busy: one of this many. */
const PART = 10;
/** Milliseconds between two looks at what others do, and the part of them that makes others busy. */
const LOOK_MS = 2;
const BUSY = 0.2;
/** Milliseconds of a rest, at most. */
const LONGEST_MS = 500;

/** Does a piece of work, some milliseconds of it, and rests afterwards for as long as others use the loop. */
export async function inSpareTime<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  const before = performance.eventLoopUtilization();
  const result = await work();
  const { active } = performance.eventLoopUtilization(before);
  const until = performance.now() + Math.min(LONGEST_MS, active * (PART - 1));
  while (performance.now() < until && !signal.aborted) {
    const then = performance.eventLoopUtilization();
    await sleep(LOOK_MS);
    if (performance.eventLoopUtilization(then).utilization < BUSY) break;
  }
  return result;
}
