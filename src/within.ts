/** Waiting with a limit for what may never end, such as a call on a disk that does not answer. */
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits for `work`, but no longer than `ms`. Undefined if it goes on, or there is nothing to wait for. Rejects with `work`. The
 * limit keeps no process alive.
 */
export async function within<T>(ms: number, work: Promise<T> | undefined): Promise<T | undefined> {
  const over = new AbortController();
  try {
    return await Promise.race([work, sleep(ms, undefined, { signal: over.signal, ref: false }).catch(() => undefined)]);
  } finally {
    over.abort();
  }
}
