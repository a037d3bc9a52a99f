/**
 * The server's side of the thread that keeps the leases: asks it, and hears of it when writers wait.
 *
 * A lease is named by the number of its descriptor, and the kernel gives numbers again. So a descriptor that was handed to the
 * thread is closed only when the thread has said that it forgot it (`forget`), and messages keep their order: no side ever
 * means another file by a number than the other.
 */
import { closeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { postAlarmed } from '../native/alarmed-port.ts';
import type { LeaseCalls, Taken } from '../native/leases.ts';
import type { WaitingCalls } from '../native/waiting.ts';
import type { FromKeeper, LeaseSettings, ToKeeper } from './protocol.ts';

/** Milliseconds for which requests are gathered that nobody waits for. */
const GATHER_MS = 10;

export interface ThreadListener {
  /** Writers wait until these leases are given back, `BREAK_MS` at most. */
  readonly onWanted: (fds: readonly number[]) => void;
  /** These were given back, since they have waited for that long. */
  readonly onLate: (fds: readonly number[]) => void;
  /** The thread has failed: what it is asked from now on is answered by `none`. */
  readonly onFailed: (error: Error) => void;
}

export interface LeaseThreadOptions {
  readonly calls: Pick<LeaseCalls, 'giveBack'>;
  readonly waiting: Pick<WaitingCalls, 'alarm'>;
  /** The code of the thread. */
  readonly script: URL;
  readonly listener: ThreadListener;
}

export class LeaseThread {
  readonly #calls: Pick<LeaseCalls, 'giveBack'>;
  readonly #alarm: number;
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  readonly #listener: ThreadListener;
  /** Descriptors that the thread may know. None of them is closed. */
  readonly #known = new Set<number>();
  /** Takes that were not asked yet, and that were not answered yet. */
  readonly #taking = new Map<number, (taken: Taken) => void>();
  readonly #asked = new Set<number>();
  readonly #forgetting = new Map<number, () => void>();
  #gathered: Record<'giveBack' | 'forget', number[]> = { giveBack: [], forget: [] };
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;
  #isClosing = false;
  #failure: Error | undefined;

  /** @throws Error if no descriptors or threads are left */
  constructor({ calls, waiting, script, listener }: LeaseThreadOptions) {
    this.#calls = calls;
    this.#listener = listener;
    this.#alarm = waiting.alarm();
    const workerData: LeaseSettings = { alarm: this.#alarm };
    this.#worker = new Worker(script, {
      workerData,
      trackUnmanagedFds: false,
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    this.#worker.unref();
    this.#worker.on('message', (message: FromKeeper) => this.#take(message));
    this.#worker.on('error', (error) => {
      this.#failure = error;
    });
    this.#ended = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        this.#gone();
        if (!this.#isClosing) this.#listener.onFailed(this.#failure ?? new Error(`the thread ended with ${code}`));
        resolve();
      });
    });
  }

  /** Takes a lease on an open file, in a moment: `none` also if the descriptor is forgotten meanwhile. */
  async take(fd: number): Promise<Taken> {
    if (this.#isOver || this.#taking.has(fd)) return 'none';
    return await new Promise((resolve) => {
      this.#taking.set(fd, resolve);
      this.#timer ??= setTimeout(() => this.#askForAll(), GATHER_MS);
    });
  }

  /** Lets the writers of a file go on. */
  giveBack(fd: number): void {
    this.#gather('giveBack', fd);
  }

  /** Gives up whatever there is on a descriptor, which may be closed as soon as this resolves. Undefined: it may be at once. */
  forget(fd: number): Promise<void> | undefined {
    const asking = this.#asked.has(fd) ? undefined : this.#taking.get(fd);
    if (asking !== undefined) {
      this.#taking.delete(fd);
      asking('none');
    }
    if (this.#isOver || !this.#known.has(fd)) return undefined;
    return new Promise((resolve) => {
      this.#forgetting.set(fd, resolve);
      this.#gather('forget', fd);
    });
  }

  /** Gives all leases back, and ends the thread. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    this.#isClosing = true;
    this.#post('close', []);
    // The process waits for it.
    this.#worker.ref();
    await this.#ended;
  }

  #askForAll(): void {
    this.#timer = undefined;
    const fds = [...this.#taking.keys()].filter((fd) => !this.#asked.has(fd));
    for (const fd of fds) {
      this.#asked.add(fd);
      this.#known.add(fd);
    }
    if (fds.length > 0) this.#post('take', fds);
  }

  /** Sends what one turn of the loop has gathered. */
  #gather(kind: 'giveBack' | 'forget', fd: number): void {
    const { giveBack, forget } = this.#gathered;
    if (giveBack.length + forget.length === 0) queueMicrotask(() => this.#sendGathered());
    this.#gathered[kind].push(fd);
  }

  #sendGathered(): void {
    const { giveBack, forget } = this.#gathered;
    this.#gathered = { giveBack: [], forget: [] };
    if (giveBack.length > 0) this.#post('giveBack', giveBack);
    if (forget.length > 0) this.#post('forget', forget);
  }

  #post(kind: ToKeeper['kind'], fds: readonly number[]): void {
    if (this.#isOver) return;
    const message: ToKeeper = { kind, fds };
    postAlarmed(this.#worker, this.#alarm, message);
  }

  #take(message: FromKeeper): void {
    if (message.kind === 'taken') for (const [fd, taken] of message.leases) this.#taken(fd, taken);
    else if (message.kind === 'forgotten') for (const fd of message.fds) this.#forgotten(fd);
    else if (message.kind === 'wanted') this.#listener.onWanted(message.fds);
    else this.#listener.onLate(message.fds);
  }

  #taken(fd: number, taken: Taken): void {
    const answer = this.#taking.get(fd);
    this.#taking.delete(fd);
    this.#asked.delete(fd);
    if (taken !== 'held') this.#known.delete(fd);
    answer?.(taken);
  }

  #forgotten(fd: number): void {
    const answer = this.#forgetting.get(fd);
    this.#forgetting.delete(fd);
    this.#known.delete(fd);
    answer?.();
  }

  /** The thread has ended. A lease that nobody keeps would hold writers up for long, so each is given back first. */
  #gone(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    for (const fd of this.#known) this.#calls.giveBack(fd);
    for (const fd of this.#taking.keys()) this.#taken(fd, 'none');
    for (const fd of this.#forgetting.keys()) this.#forgotten(fd);
    this.#known.clear();
    closeSync(this.#alarm);
  }
}
