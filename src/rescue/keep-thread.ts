/** Asks a thread that keeps files. It starts with the first question, and ends after a minute without one. */
import { Worker } from 'node:worker_threads';
import type { Answered, Answers, Asked, Request } from './messages.ts';

/** Milliseconds without a question after which the thread ends. */
const IDLE_MS = 60_000;

/** The thread opens one folder by a system call that Node does not know of, and closes all descriptors itself. */
const OPTIONS = { trackUnmanagedFds: false };

interface Waiting {
  readonly resolve: (answer: Answers[keyof Answers]) => void;
  readonly reject: (error: Error) => void;
}

export class KeepThread {
  readonly #idleMs: number;
  readonly #onIdle: () => void;
  #worker: Worker | undefined;
  #asked = 0;
  readonly #waiting = new Map<number, Waiting>();
  /** Asked in this turn of the event loop. */
  #gathered: Asked[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** `onIdle` is called when the thread has ended. */
  constructor(onIdle: () => void = () => {}, idleMs = IDLE_MS) {
    this.#onIdle = onIdle;
    this.#idleMs = idleMs;
  }

  /** Questions are answered one after the other. @throws Error with the message of what failed in the thread */
  async ask<Kind extends Request['kind']>(request: Extract<Request, { kind: Kind }>): Promise<Answers[Kind]> {
    clearTimeout(this.#timer);
    const worker = (this.#worker ??= this.#start());
    const question = ++this.#asked;
    return await new Promise<Answers[Kind]>((resolve, reject) => {
      this.#waiting.set(question, { resolve: resolve as Waiting['resolve'], reject });
      worker.ref();
      if (this.#gathered.length === 0) setImmediate(() => this.#send());
      this.#gathered.push({ question, request });
    });
  }

  #send(): void {
    // Those of a thread that has ended meanwhile were answered.
    const asked = this.#gathered.filter(({ question }) => this.#waiting.has(question));
    this.#gathered = [];
    if (asked.length > 0) this.#worker?.postMessage(asked);
  }

  #start(): Worker {
    const worker = new Worker(new URL('./keep-worker.js', import.meta.url), OPTIONS);
    worker.on('message', (answers: readonly Answered[]) => {
      for (const answered of answers) {
        const waiting = this.#waiting.get(answered.question);
        this.#waiting.delete(answered.question);
        if ('error' in answered) waiting?.reject(new Error(answered.error));
        else waiting?.resolve(answered.answer);
      }
      if (this.#waiting.size === 0) this.#rest(worker);
    });
    worker.on('error', (error) => this.#ended(worker, error));
    worker.on('exit', (code) => this.#ended(worker, new Error(`the thread ended with ${code}`)));
    return worker;
  }

  #rest(worker: Worker): void {
    // A thread without a question is nothing to wait for.
    worker.unref();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.close(), this.#idleMs);
    this.#timer.unref();
  }

  #ended(worker: Worker, error: Error): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(error);
    this.#onIdle();
  }

  /** Ends the thread. What it is asked is answered by an error, although it may be done. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    const worker = this.#worker;
    if (worker === undefined) return;
    this.#ended(worker, new Error('the thread was ended'));
    await worker.terminate();
  }
}
