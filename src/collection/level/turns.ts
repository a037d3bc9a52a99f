/** Runs one piece of work at a time, in the order of the calls. */
import { AutotorrentError } from '../../errors.ts';

export interface Waiting {
  readonly signal?: AbortSignal | undefined;
  /** Called if this work has to wait for another. */
  readonly onWait?: () => void;
  /** Milliseconds. Default: a minute. */
  readonly waitMs?: number;
}

const WAIT_MS = 60_000;

export class Turns {
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /** @throws AutotorrentError('INDEX') if the turn does not come in time; the signal's reason if it aborts */
  async take<T>(work: () => Promise<T>, { signal, onWait, waitMs = WAIT_MS }: Waiting): Promise<T> {
    signal?.throwIfAborted();
    if (this.#waiting > 0) onWait?.();
    this.#waiting++;
    let gaveUp = false;
    const before = this.#last;
    const done = (async (): Promise<T | undefined> => {
      await before;
      return gaveUp ? undefined : await work();
    })();
    this.#last = done.catch(() => {});
    try {
      await inTime(before, waitMs, signal);
    } catch (error) {
      gaveUp = true;
      this.#waiting--;
      throw error;
    }
    try {
      return (await done) as T;
    } finally {
      this.#waiting--;
    }
  }

  /** Resolves when all work is done. */
  async idle(): Promise<void> {
    await this.#last;
  }
}

async function inTime(before: Promise<unknown>, waitMs: number, signal: AbortSignal | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  try {
    await Promise.race([
      before,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          const hint = 'wait until it has ended, or stop it';
          reject(new AutotorrentError('INDEX', 'the collection index is being rebuilt by another command', { hint }));
        }, waitMs);
        onAbort = () => reject(signal?.reason);
        signal?.addEventListener('abort', onAbort, { once: true });
      }),
    ]);
  } finally {
    clearTimeout(timer);
    if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort);
  }
}
