/** Waiting for what a disk that does not answer may keep for ever. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Waits for `work`, but no longer than `ms`. Undefined if it goes on, or there is nothing to wait for. Rejects with `work`. */
export async function within<T>(ms: number, work: Promise<T> | undefined): Promise<T | undefined> {
  const over = new AbortController();
  try {
    return await Promise.race([work, sleep(ms, undefined, { signal: over.signal, ref: false }).catch(() => undefined)]);
  } finally {
    over.abort();
  }
}
