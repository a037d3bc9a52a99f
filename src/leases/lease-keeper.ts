/**
 * The server's side of the leases: asks the thread that keeps them, and hears of it when writers wait.
 *
 * A lease is named by the number of its descriptor, and the kernel gives numbers again. So a descriptor that was handed to the
 * thread is closed only when the thread has said that it forgot it (`forget`), and messages keep their order: no side ever
 * means another file by a number than the other.
 */
import { closeSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { CLibrary } from '../native/c-library.ts';
import { type LeaseCalls, loadLeaseCalls, type Taken } from '../native/leases.ts';
import { loadWaitingCalls } from '../native/waiting.ts';
import type { FromKeeper, LeaseSettings, ToKeeper } from './protocol.ts';

/** Milliseconds for which requests are gathered that nobody waits for. */
const GATHER_MS = 10;
const ONE = Buffer.from(new BigUint64Array([1n]).buffer);

interface LeaseListener {
  /** Writers wait until these leases are given back, `BREAK_MS` at most. */
  readonly onWanted: (fds: readonly number[]) => void;
  /** These were given back, since they have waited for that long. */
  readonly onLate: (fds: readonly number[]) => void;
}

export class LeaseKeeper {
  readonly #calls: Pick<LeaseCalls, 'giveBack'>;
  readonly #alarm: number;
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  readonly #logger: Logger;
  #listener: LeaseListener | undefined;
  /** Descriptors that the thread may know. None of them is closed. */
  readonly #known = new Set<number>();
  /** Takes that were not asked yet, and that were not answered yet. */
  readonly #taking = new Map<number, (taken: Taken) => void>();
  readonly #asked = new Set<number>();
  readonly #forgetting = new Map<number, () => void>();
  #gathered: Record<'giveBack' | 'forget', number[]> = { giveBack: [], forget: [] };
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  private constructor(calls: Pick<LeaseCalls, 'giveBack'>, alarm: number, logger: Logger, script: URL) {
    this.#calls = calls;
    this.#alarm = alarm;
    this.#logger = logger;
    const workerData: LeaseSettings = { alarm };
    this.#worker = new Worker(script, {
      workerData,
      trackUnmanagedFds: false,
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    this.#worker.unref();
    this.#worker.on('message', (message: FromKeeper) => this.#take(message));
    this.#worker.on('error', (error) => {
      this.#logger.warn(`what is written to sources is noticed after the first byte: ${messageOf(error)}`);
    });
    this.#ended = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#gone();
        resolve();
      });
    });
  }

  /** Starts the thread. Undefined where the C library has no leases. `script`: the code of the thread. */
  static start(
    library: CLibrary,
    logger: Logger,
    script = new URL('./lease-worker.js', import.meta.url),
  ): LeaseKeeper | undefined {
    const [calls, waiting] = [loadLeaseCalls(library), loadWaitingCalls(library)];
    if (calls === undefined || waiting === undefined) return undefined;
    return new LeaseKeeper(calls, waiting.alarm(), logger, script);
  }

  /** Sets who hears of writers. */
  listen(listener: LeaseListener): void {
    this.#listener = listener;
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
    this.#worker.postMessage(message);
    writeSync(this.#alarm, ONE);
  }

  #take(message: FromKeeper): void {
    if (message.kind === 'taken') for (const [fd, taken] of message.leases) this.#taken(fd, taken);
    else if (message.kind === 'forgotten') for (const fd of message.fds) this.#forgotten(fd);
    else if (message.kind === 'wanted') this.#listener?.onWanted(message.fds);
    else this.#listener?.onLate(message.fds);
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
