/**
 * The two healers: one settles all cases, with the lowest claim to the disk; the other one those for which a reader waits, at the
 * usual priority. So no reader waits for a long batch, nor for a disk that is busy with it.
 */
import type { Logger } from '../../logger.ts';
import { Healer, type HealerOptions } from './healer.ts';

/** Milliseconds that a healer which runs already has for an urgent case: unless it is busy, it is faster than a new process. */
const FAST_MS = 300;
/** Milliseconds before the usual healer is started: a reader may ask for the same case, and then only the other one is needed. */
const USUAL_MS = 100;

/** Threads of libuv: a file system that hangs holds up one for each look at it. */
const URGENT_THREADS = 32;

export interface HealersOptions {
  /** Node's arguments of a healer. */
  readonly command: readonly string[];
  readonly keepDescriptors: HealerOptions['keepDescriptors'];
  readonly queue: {
    /** True if a reader waits for a case that the healer of urgent ones does not have. */
    readonly hasUrgent: boolean;
    /** True if a case is due for which no reader waits. */
    readonly hasOthers: boolean;
    readonly released: (by: 'healer' | 'urgent') => void;
  };
  /** Called when a healer has ended and none runs: what they were doing is not done. */
  readonly onNoneRuns?: () => void;
  readonly logger: Logger;
  readonly again?: HealerOptions['again'];
}

export class Healers {
  readonly #options: HealersOptions;
  readonly #usual: Healer;
  readonly #urgent: Healer;
  #usualTimer: NodeJS.Timeout | undefined;
  #urgentTimer: NodeJS.Timeout | undefined;

  constructor(options: HealersOptions) {
    const { command, queue, keepDescriptors, logger, again } = options;
    const shared = { keepDescriptors, logger, ...(again === undefined ? {} : { again }) };
    this.#options = options;
    this.#usual = new Healer({
      ...shared,
      command,
      hasDue: () => queue.hasOthers,
      onEnded: () => this.#ended('healer'),
    });
    this.#urgent = new Healer({
      ...shared,
      command: [...command, '--urgent'],
      env: { UV_THREADPOOL_SIZE: String(URGENT_THREADS) },
      hasDue: () => queue.hasUrgent,
      onEnded: () => this.#ended('urgent'),
    });
  }

  /** Starts those that are needed. */
  wake(): void {
    const { queue } = this.#options;
    if (queue.hasUrgent) {
      if (!this.#usual.runs) this.#urgent.wake();
      else this.#urgentTimer ??= setTimeout(() => this.#wakeUrgent(), FAST_MS).unref();
    }
    if (queue.hasOthers) this.#usualTimer ??= setTimeout(() => this.#wakeUsual(), USUAL_MS).unref();
  }

  #wakeUrgent(): void {
    this.#urgentTimer = undefined;
    if (this.#options.queue.hasUrgent) this.#urgent.wake();
  }

  #wakeUsual(): void {
    this.#usualTimer = undefined;
    if (this.#options.queue.hasOthers) this.#usual.wake();
  }

  #ended(by: 'healer' | 'urgent'): void {
    if (!this.#usual.runs && !this.#urgent.runs) this.#options.onNoneRuns?.();
    this.#options.queue.released(by);
  }

  /** Ends both. Nothing runs any more when it resolves. */
  async close(): Promise<void> {
    clearTimeout(this.#usualTimer);
    clearTimeout(this.#urgentTimer);
    await Promise.all([this.#usual.close(), this.#urgent.close()]);
  }
}
