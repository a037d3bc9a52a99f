/** Waits for what a client does after it answered. */
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 50;

/** Asks `isSo` every 50 ms until it says true, for `limitMs` at most: whether it became so. */
export async function within(limitMs: number, isSo: () => Promise<boolean>): Promise<boolean> {
  const end = performance.now() + limitMs;
  for (;;) {
    if (await isSo()) return true;
    if (performance.now() > end) return false;
    await sleep(POLL_MS);
  }
}
