/**
 * Looks at who may read many sources, in a thread of its own.
 *
 * Handing a single system call to a thread costs many times what the call does, so an entry of thousands of sources is
 * looked at by one thread that waits for its calls. It starts when there is enough to do, and ends by itself. If it fails, or
 * is stuck at a disk, the caller gets the answers in the ordinary way, or none.
 */
import { Worker } from 'node:worker_threads';
import type { ReadersLook } from './look-at-readers.ts';
import type { Readers } from './readers.ts';

/** Looks before a thread is worth its start. */
const WORTH_A_THREAD = 500;
/** Milliseconds without a question after which the thread ends. */
const IDLE_MS = 10_000;
/** Milliseconds after which a thread that does not answer is given up. */
const STUCK_MS = 10_000;

export interface LooksSettings {
  readonly ownFolders: readonly string[];
}

export interface LooksQuestion {
  readonly question: number;
  /** Byte strings. */
  readonly paths: readonly string[];
}

export interface LooksAnswer {
  readonly question: number;
  readonly readers: readonly (Readers | undefined)[];
}

interface Wanted {
  readonly path: Buffer;
  readonly found: (readers: Readers | undefined | Promise<Readers | undefined>) => void;
}

export class ReadersThread {
  readonly #look: Pick<ReadersLook, 'atPath' | 'ownFolders' | 'released'>;
  readonly #script: URL;
  #worker: Worker | undefined;
  /** Looks since the last pause. */
  #recent = 0;
  #asked = 0;
  #failed = false;
  /** What is asked for in this turn: one message. */
  #wanted: Wanted[] = [];
  readonly #waiting = new Map<number, readonly Wanted[]>();
  #timer: NodeJS.Timeout | undefined;

  constructor(
    look: Pick<ReadersLook, 'atPath' | 'ownFolders' | 'released'>,
    script = new URL('./readers-worker.js', import.meta.url),
  ) {
    this.#look = look;
    this.#script = script;
  }

  /** What `ReadersLook.atPath` tells. */
  async atPath(path: Buffer): Promise<Readers | undefined> {
    this.#recent++;
    this.#restartTimer();
    if (this.#failed || this.#recent < WORTH_A_THREAD) return await this.#look.atPath(path);
    const { released } = this.#look;
    if (released.holds(path)) return undefined;
    return await released.during(path, async () => await this.#inThread(path));
  }

  async #inThread(path: Buffer): Promise<Readers | undefined> {
    return await new Promise((found) => {
      this.#wanted.push({ path, found });
      if (this.#wanted.length === 1) queueMicrotask(() => this.#ask());
    });
  }

  #ask(): void {
    const wanted = this.#wanted;
    this.#wanted = [];
    const question = ++this.#asked;
    this.#waiting.set(question, wanted);
    const message: LooksQuestion = { question, paths: wanted.map(({ path }) => path.toString('latin1')) };
    this.#worker ??= this.#start();
    this.#worker.ref();
    this.#worker.postMessage(message);
  }

  #start(): Worker {
    const workerData: LooksSettings = { ownFolders: this.#look.ownFolders };
    const worker = new Worker(this.#script, { workerData });
    worker.on('message', ({ question, readers }: LooksAnswer) => {
      for (const [i, { found }] of (this.#waiting.get(question) ?? []).entries()) found(readers[i]);
      this.#waiting.delete(question);
      // A thread without a question is nothing to wait for.
      if (this.#waiting.size === 0) worker.unref();
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#restartTimer();
    });
    worker.on('error', () => this.#gaveUp(worker));
    worker.on('exit', () => this.#gaveUp(worker));
    return worker;
  }

  /** The thread has ended by itself. */
  #gaveUp(worker: Worker): void {
    if (this.#worker !== worker) return;
    this.#failed = true;
    this.#end(async (path) => await this.#look.atPath(path));
  }

  #restartTimer(): void {
    if (this.#waiting.size > 0 && this.#timer !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#recent = 0;
        this.#end(() => undefined);
      },
      this.#waiting.size > 0 ? STUCK_MS : IDLE_MS,
    );
    this.#timer.unref();
  }

  #end(instead: (path: Buffer) => Readers | undefined | Promise<Readers | undefined>): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const worker = this.#worker;
    this.#worker = undefined;
    const unanswered = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    for (const { path, found } of unanswered) found(instead(path));
    void worker?.terminate();
  }
}
