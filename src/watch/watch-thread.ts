/** One thread of the watch, and the requests to it. Its file systems may make it wait: no other thread waits with it. */
import { closeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { postAlarmed } from '../native/alarmed-port.ts';
import type { WaitingCalls } from '../native/waiting.ts';
import { within } from '../within.ts';
import type { FromThread, ThreadEvent, ToThread, WatchedFileSystem, WatchFacts, WatchSettings } from './protocol.ts';

/** Milliseconds for the thread to end by itself. */
const END_MS = 2000;

export const NO_FACTS: WatchFacts = { kind: 'none', marks: 0, limited: false };

export interface WatchThreadOptions {
  readonly calls: WaitingCalls;
  readonly settings: Omit<WatchSettings, 'alarm'>;
  /** Called in the order in which things happened. */
  readonly onEvents: (events: readonly ThreadEvent[]) => void;
  /** `limit`: what to raise, so that all can be watched. */
  readonly onFacts: (facts: WatchFacts, limit: string | undefined) => void;
  readonly onFailed: (error: unknown) => void;
}

export type ThreadRequest =
  | { kind: 'follow'; source: number; path: string }
  | { kind: 'know' | 'mark' | 'leave'; folders: readonly string[] }
  | { kind: 'describe' | 'fence' };

export interface ThreadAnswer {
  readonly anyName?: boolean | undefined;
  readonly watch?: number;
  readonly folders?: readonly string[];
  readonly fileSystems?: readonly WatchedFileSystem<string>[];
}

export class WatchThread {
  readonly #options: WatchThreadOptions;
  readonly #alarm: number;
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  #isOver = false;
  #facts = NO_FACTS;
  #requests = 0;
  readonly #waiting = new Map<number, (answer: ThreadAnswer | undefined) => void>();
  /** The watches that hold, and whether each reports what happens under any name of a file. */
  readonly #holding = new Map<number, boolean>();

  /** @throws Error if no descriptors are left */
  constructor(options: WatchThreadOptions) {
    this.#options = options;
    this.#alarm = options.calls.alarm();
    const workerData: WatchSettings = { ...options.settings, alarm: this.#alarm };
    this.#worker = new Worker(new URL('./watch-worker.js', import.meta.url), {
      workerData,
      // Its descriptors are those of the kernel's groups, which Node has not opened.
      trackUnmanagedFds: false,
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    this.#worker.unref();
    this.#worker.on('message', (message: FromThread) => this.#take(message));
    this.#worker.on('error', options.onFailed);
    this.#ended = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        this.#gone();
        resolve();
      });
    });
  }

  get facts(): WatchFacts {
    return this.#facts;
  }

  holds(watch: number): boolean {
    return this.#holding.has(watch);
  }

  coversAllNames(watch: number): boolean {
    return this.#holding.get(watch) === true;
  }

  /** Resolves with undefined when the thread has ended. It answers in the order of the requests. */
  async ask(request: ThreadRequest): Promise<ThreadAnswer | undefined> {
    if (this.#isOver) return undefined;
    const number = ++this.#requests;
    const answer = await new Promise<ThreadAnswer | undefined>((resolve) => {
      this.#waiting.set(number, resolve);
      this.#post({ ...request, request: number });
    });
    if (answer?.watch !== undefined) this.#holding.set(answer.watch, answer.anyName === true);
    return answer;
  }

  /** Tells the thread to end. */
  wake(): void {
    this.#post({ kind: 'close' });
  }

  /** Ends the thread. One whose file system does not answer is left: it ends with its call. */
  async close(): Promise<void> {
    this.wake();
    // The process waits for it: the limit does not keep it.
    this.#worker.ref();
    await within(END_MS, this.#ended);
    if (this.#isOver) return;
    this.#worker.unref();
    void this.#worker.terminate();
  }

  #gone(): void {
    this.#isOver = true;
    this.#facts = NO_FACTS;
    this.#holding.clear();
    closeSync(this.#alarm);
    for (const answer of this.#waiting.values()) answer(undefined);
    this.#waiting.clear();
  }

  #post(message: ToThread): void {
    if (this.#isOver) return;
    postAlarmed(this.#worker, this.#alarm, message);
  }

  #take(message: FromThread): void {
    switch (message.kind) {
      case 'events':
        this.#options.onEvents(message.events);
        this.#post({ kind: 'taken' });
        break;
      case 'answer': {
        const answer = this.#waiting.get(message.request);
        this.#waiting.delete(message.request);
        answer?.(message);
        break;
      }
      case 'ended':
        for (const watch of message.watches) this.#holding.delete(watch);
        break;
      case 'facts':
        this.#facts = message.facts;
        this.#options.onFacts(message.facts, message.limit);
        break;
      default:
        break;
    }
  }
}
