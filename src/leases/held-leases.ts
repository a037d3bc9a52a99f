/** The leases of one thread: those that are held, and those for which writers wait, with the time when these go on. */
import type { LeaseCalls, Taken } from '../native/leases.ts';
import { BREAK_MS } from './protocol.ts';

export interface HeldLeasesOptions {
  readonly calls: Pick<LeaseCalls, 'take' | 'isHeld' | 'giveBack'>;
  /** Default: `performance.now()`. */
  readonly now?: () => number;
}

export class HeldLeases {
  readonly #calls: HeldLeasesOptions['calls'];
  readonly #now: () => number;
  /** Leases that nobody waits for, by descriptor. */
  readonly #held = new Set<number>();
  /** When the writers that wait go on, the first to go before the others. */
  readonly #wanted = new Map<number, number>();

  constructor({ calls, now = () => performance.now() }: HeldLeasesOptions) {
    this.#calls = calls;
    this.#now = now;
  }

  take(fd: number): Taken {
    if (this.#held.has(fd) || this.#wanted.has(fd)) return 'none';
    const taken = this.#calls.take(fd);
    if (taken === 'held') this.#held.add(fd);
    return taken;
  }

  /**
   * Gives those of the leases for which writers wait now, and did not before. A signal may be older than the file that has the
   * number now: so the kernel is asked.
   */
  wanted(fds: Iterable<number> | 'all'): number[] {
    const found: number[] = [];
    for (const fd of fds === 'all' ? [...this.#held] : fds) {
      if (!this.#held.has(fd) || this.#calls.isHeld(fd)) continue;
      this.#held.delete(fd);
      this.#wanted.set(fd, this.#now() + BREAK_MS);
      found.push(fd);
    }
    return found;
  }

  /** Lets the writers of a file go on. */
  giveBack(fd: number): void {
    if (this.#wanted.delete(fd)) this.#calls.giveBack(fd);
  }

  /** Gives a lease back whether it is wanted or not: the descriptor is about to be closed. */
  forget(fd: number): void {
    const known = this.#held.delete(fd) || this.#wanted.delete(fd);
    if (known) this.#calls.giveBack(fd);
  }

  forgetAll(): void {
    for (const fd of [...this.#held, ...this.#wanted.keys()]) this.forget(fd);
  }

  /** Milliseconds until the next writer goes on; undefined if none waits. */
  get nextMs(): number | undefined {
    for (const at of this.#wanted.values()) return Math.max(0, at - this.#now());
    return undefined;
  }

  /** Lets those go on that have waited long enough. Gives their descriptors. */
  expire(): number[] {
    const late: number[] = [];
    for (const [fd, at] of this.#wanted) {
      if (at > this.#now()) break;
      late.push(fd);
    }
    for (const fd of late) this.giveBack(fd);
    return late;
  }
}
