/**
 * Keeps leases in a thread of their own. If that fails, its leases are given back, and another one is started, after pauses that grow.
 * Meanwhile there are no leases.
 */
import { messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { longerPause, type Pauses } from '../longer-pause.ts';
import type { CLibrary } from '../native/c-library.ts';
import { loadLeaseCalls, type Taken } from '../native/leases.ts';
import { loadWaitingCalls } from '../native/waiting.ts';
import { LeaseThread, type LeaseThreadOptions, type ThreadListener } from './lease-thread.ts';

const PAUSES: Pauses = [1000, 10 * 60_000];

export interface LeaseKeeperOptions {
  /** The code of the thread. */
  readonly script?: URL;
  readonly pauses?: Pauses;
}

export interface LeaseListener extends Pick<ThreadListener, 'onWanted' | 'onLate'> {
  /** All leases are gone, and none can be taken. */
  readonly onGone: () => void;
  /** Leases can be taken again. */
  readonly onBack: () => void;
}

export class LeaseKeeper {
  readonly #parts: Omit<LeaseThreadOptions, 'listener'>;
  readonly #logger: Logger;
  readonly #pauses: Pauses;
  #listener: LeaseListener | undefined;
  #thread: LeaseThread | undefined;
  /** Milliseconds before the last start, and when that was; `performance.now()`. */
  #pause = 0;
  #startedAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(parts: Omit<LeaseThreadOptions, 'listener'>, logger: Logger, pauses: Pauses) {
    this.#parts = parts;
    this.#logger = logger;
    this.#pauses = pauses;
    this.#start();
  }

  /** Starts the thread. Undefined where the C library has no leases. */
  static start(
    library: CLibrary,
    logger: Logger,
    { script = new URL('./lease-worker.js', import.meta.url), pauses = PAUSES }: LeaseKeeperOptions = {},
  ): LeaseKeeper | undefined {
    const [calls, waiting] = [loadLeaseCalls(library), loadWaitingCalls(library)];
    if (calls === undefined || waiting === undefined) return undefined;
    return new LeaseKeeper({ calls, waiting, script }, logger, pauses);
  }

  /** Sets who hears of writers. */
  listen(listener: LeaseListener): void {
    this.#listener = listener;
  }

  /** Takes a lease on an open file, in a moment: `none` also if the descriptor is forgotten meanwhile. */
  async take(fd: number): Promise<Taken> {
    return (await this.#thread?.take(fd)) ?? 'none';
  }

  /** Lets the writers of a file go on. */
  giveBack(fd: number): void {
    this.#thread?.giveBack(fd);
  }

  /** Gives up whatever there is on a descriptor, which may be closed as soon as this resolves. Undefined: it may be at once. */
  forget(fd: number): Promise<void> | undefined {
    return this.#thread?.forget(fd);
  }

  /** Gives all leases back, and ends the thread. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#thread?.close();
  }

  #start(): void {
    this.#startedAt = performance.now();
    try {
      this.#thread = new LeaseThread({
        ...this.#parts,
        listener: {
          onWanted: (fds) => this.#listener?.onWanted(fds),
          onLate: (fds) => this.#listener?.onLate(fds),
          onFailed: (error) => this.#failed(error),
        },
      });
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    this.#thread = undefined;
    this.#listener?.onGone();
    if (this.#closed) return;
    const [, longest] = this.#pauses;
    if (performance.now() - this.#startedAt > longest) this.#pause = 0;
    this.#pause = longerPause(this.#pause, this.#pauses);
    const until = `until leases are taken again in ${this.#pause / 1000} s`;
    this.#logger.warn(`what is written to sources is noticed after the first byte, ${until}: ${messageOf(error)}`);
    this.#timer = setTimeout(() => {
      this.#start();
      if (this.#thread !== undefined) this.#listener?.onBack();
    }, this.#pause).unref();
  }
}
