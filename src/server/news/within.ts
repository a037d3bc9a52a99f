/** Waiting for what a disk that does not answer may keep for ever. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Waits for `work`, but no longer than `ms`. False if it goes on. Rejects with `work`. */
export async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  const over = new AbortController();
  try {
    return await Promise.race([
      work.then(() => true),
      sleep(ms, false, { signal: over.signal, ref: false }).catch(() => false),
    ]);
  } finally {
    over.abort();
  }
}
