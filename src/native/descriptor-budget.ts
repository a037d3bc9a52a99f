/**
 * The open files that this process may hold, shared by everything that keeps files open: sources, overlay files, hashing.
 *
 * Node raises RLIMIT_NOFILE to its hard limit when it starts (`node::PlatformInit`), so the limit that is read here cannot
 * be raised further. Some of these descriptors are kept back for uses that cannot wait: connections of the control socket,
 * LevelDB, pipes of child processes.
 *
 * Each user of files takes a share, opens through it, and reports each close. A share offers to close a descriptor that
 * nobody uses at the moment. Running out of descriptors says nothing about a file: `isOutOfDescriptors` tells such an error
 * from one of the file's own.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoOf, PosixError } from '../errors.ts';

/** Descriptors for the process itself. Node, LevelDB and a libfuse mount hold some 40. */
const LEAST_RESERVE = 80;
const MOST_RESERVE = 512;
/** More than this many open files gain nothing, and each keeps its disk from being unmounted. */
const MOST_HELD = 4096;
const LEAST_HELD = 16;
/** The usual soft limit, used if /proc cannot be read. */
const USUAL_LIMIT = 1024;
/** Milliseconds for which an opening waits for a descriptor before it fails. */
const WAIT_MS = 10_000;
const PAUSE_MS = 20;

/** Closes the descriptor that has been unused the longest. False if all are in use. */
export type CloseIdle = () => boolean;

/** True for errors about the number of open files of the process (EMFILE) or the system (ENFILE). */
export function isOutOfDescriptors(error: unknown): boolean {
  const code = errnoOf(error);
  return code === 'EMFILE' || code === 'ENFILE';
}

export class DescriptorBudget {
  /** Descriptors that all shares together may hold. */
  readonly size: number;
  readonly #waitMs: number;
  readonly #shares: DescriptorShare[] = [];

  /** `waitMs`: the milliseconds for which `DescriptorShare.open` waits for a descriptor. */
  constructor(size: number, waitMs: number = WAIT_MS) {
    this.size = size;
    this.#waitMs = waitMs;
  }

  /** Makes the budget of this process, from its limit. There must be one only: two would count past each other. */
  static ofProcess(): DescriptorBudget {
    return new DescriptorBudget(budgetFor(openFilesLimit()));
  }

  get held(): number {
    return this.#shares.reduce((sum, share) => sum + share.held, 0);
  }

  share(closeIdle: CloseIdle): DescriptorShare {
    const share = new DescriptorShare(this, closeIdle, this.#waitMs);
    this.#shares.push(share);
    return share;
  }

  /** Closes one idle descriptor, of the share that holds most if it has one. False if all are in use. */
  closeIdle(): boolean {
    return this.#shares.toSorted((a, b) => b.held - a.held).some((share) => share.closeIdle());
  }
}

export class DescriptorShare {
  readonly #budget: DescriptorBudget;
  readonly #waitMs: number;
  readonly closeIdle: CloseIdle;
  #held = 0;

  constructor(budget: DescriptorBudget, closeIdle: CloseIdle, waitMs: number) {
    this.#budget = budget;
    this.closeIdle = closeIdle;
    this.#waitMs = waitMs;
  }

  /** Descriptors that were opened and are not closed yet. */
  get held(): number {
    return this.#held;
  }

  /** Reports that a descriptor of this share has been closed. */
  closed(): void {
    this.#held--;
  }

  /**
   * Opens one descriptor in this call. If the budget is used up, it closes an idle one first; if none is idle, it opens one of
   * those that are kept back.
   * @throws what `open` throws; ENFILE if there is no descriptor
   */
  openSync<T>(open: () => T): T {
    while (this.#isFull() && this.#budget.closeIdle());
    this.#held++;
    for (;;) {
      try {
        return open();
      } catch (error) {
        if (isOutOfDescriptors(error) && this.#budget.closeIdle()) continue;
        this.#held--;
        throw isOutOfDescriptors(error) ? outOfDescriptors(error) : error;
      }
    }
  }

  /**
   * Opens one descriptor. If the budget is used up, it closes an idle one first; if none is idle, it waits.
   * @throws what `open` throws; ENFILE if no descriptor became free in time
   */
  async open<T>(open: () => Promise<T>): Promise<T> {
    const deadline = performance.now() + this.#waitMs;
    for (;;) {
      while (this.#isFull() && this.#budget.closeIdle());
      if (!this.#isFull()) {
        this.#held++;
        try {
          return await open();
        } catch (error) {
          this.#held--;
          if (!isOutOfDescriptors(error)) throw error;
          if (performance.now() > deadline) throw outOfDescriptors(error);
          // The missing descriptors belong to others. Closing ours may help.
          this.#budget.closeIdle();
        }
      } else if (performance.now() > deadline) throw outOfDescriptors(undefined);
      await sleep(PAUSE_MS);
    }
  }

  #isFull(): boolean {
    return this.#budget.held >= this.#budget.size;
  }
}

function outOfDescriptors(cause: unknown): PosixError {
  return new PosixError('ENFILE', 'too many files are open: raise the limit (ulimit -n, LimitNOFILE=)', cause);
}

/** Counts the descriptors of `limit` that may be held: a quarter is kept back, within bounds. */
export function budgetFor(limit: number): number {
  const reserve = Math.min(MOST_RESERVE, Math.max(LEAST_RESERVE, Math.floor(limit / 4)));
  return Math.min(MOST_HELD, Math.max(LEAST_HELD, limit - reserve));
}

/** Reads RLIMIT_NOFILE of this process, as the kernel enforces it. */
export function openFilesLimit(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'latin1');
    const soft = /^Max open files +(\d+|unlimited) /m.exec(limits)?.[1];
    if (soft === 'unlimited') return Number.POSITIVE_INFINITY;
    return soft === undefined ? USUAL_LIMIT : Number(soft);
  } catch {
    return USUAL_LIMIT;
  }
}
