/**
 * The watch: what other programs do to the files and folders of sources, as the kernel reports it to a thread.
 *
 * *Followed* is a source whose folder and file are watched. The watch of a source has a number; while `holds` says so of it, no
 * change of the file has gone unreported (other than those that `docs/sources.md` names). `fence` waits until all that has
 * happened so far was reported. The watch opens no file for longer than a call, so it keeps no disk from being unmounted.
 */
import { closeSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { CLibrary } from '../native/c-library.ts';
import { loadWaitingCalls } from '../native/waiting.ts';
import type { FromThread, ThreadEvent, ToThread, WatchEvent, WatchFacts, WatchSettings } from './protocol.ts';

/** Folders that are marked at most, where each has a mark of its own: about a kilobyte of kernel memory each. */
const MOST_MARKS = 100_000;
/** Milliseconds for the thread to end by itself. */
const END_MS = 2000;
const ONE = Buffer.from(new BigUint64Array([1n]).buffer);

export interface SourceWatchOptions {
  readonly library: CLibrary;
  readonly logger: Logger;
  /** Called in the order in which things happened. */
  readonly onEvents: (events: readonly WatchEvent[]) => void;
  readonly mostMarks?: number;
  /** Default true: whole file systems are marked where the kernel allows it. */
  readonly wholeFileSystems?: boolean;
  /** Default true. False: inotify alone. */
  readonly fanotify?: boolean;
}

type Request =
  | { kind: 'follow'; source: number; path: string }
  | { kind: 'know' | 'mark'; folders: readonly string[] }
  | { kind: 'fence' };

interface Answer {
  readonly anyName?: boolean | undefined;
  readonly watch?: number;
  readonly folders?: readonly string[];
}

export class SourceWatch {
  readonly #options: SourceWatchOptions;
  #worker: Worker | undefined;
  #alarm = -1;
  #ended: Promise<void> = Promise.resolve();
  #facts: WatchFacts = { kind: 'none', marks: 0, limited: false };
  #requests = 0;
  readonly #waiting = new Map<number, (answer: Answer | undefined) => void>();
  /** The watches that hold, and whether each reports what happens under any name of a file. */
  readonly #holding = new Map<number, boolean>();
  #saidLimited = false;
  #saidOverflow = false;
  readonly #wake = (): void => this.#post({ kind: 'close' });

  constructor(options: SourceWatchOptions) {
    this.#options = options;
  }

  get facts(): WatchFacts {
    return this.#facts;
  }

  /** Starts the thread. Without koffi there is no watch, and `facts` says so. */
  start(): void {
    const { library, logger } = this.#options;
    const calls = loadWaitingCalls(library);
    if (calls === undefined) return;
    try {
      this.#alarm = calls.alarm();
    } catch (error) {
      logger.warn(`changes of sources are noticed only when they are read: ${messageOf(error)}`);
      return;
    }
    const workerData: WatchSettings = {
      alarm: this.#alarm,
      mostMarks: this.#options.mostMarks ?? MOST_MARKS,
      wholeFileSystems: this.#options.wholeFileSystems ?? true,
      fanotify: this.#options.fanotify ?? true,
    };
    const worker = new Worker(new URL('./watch-worker.js', import.meta.url), {
      workerData,
      // Its descriptors are those of the kernel's groups, which Node has not opened.
      trackUnmanagedFds: false,
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    this.#worker = worker;
    worker.unref();
    worker.on('message', (message: FromThread) => this.#take(message));
    this.#ended = new Promise((resolve) => {
      worker.once('exit', () => resolve());
    });
    worker.on('error', (error) => {
      logger.error(`the watch of sources has ended, their changes are noticed when they are read: ${messageOf(error)}`);
    });
    void this.#ended.then(() => this.#gone());
    // An end of the process waits for its threads, and this one waits for events.
    process.once('exit', this.#wake);
  }

  /**
   * Watches a source. Gives the number of its watch, or undefined if it cannot be watched. What happens from then on is
   * reported.
   */
  async follow(source: number, path: Buffer): Promise<number | undefined> {
    const answer = await this.#ask({ kind: 'follow', source, path: path.toString('latin1') });
    if (answer?.watch !== undefined) this.#holding.set(answer.watch, answer.anyName === true);
    return answer?.watch;
  }

  /** False once changes may have gone unreported. */
  holds(watch: number): boolean {
    return this.#holding.has(watch);
  }

  /** False: what is done to a file under a name in a folder that is not watched goes unreported. */
  coversAllNames(watch: number): boolean {
    return this.#holding.get(watch) === true;
  }

  /** Notes folders with sources, without touching them. Gives those that `mark` has to mark one by one. */
  async know(folders: readonly Buffer[]): Promise<readonly Buffer[]> {
    const answer = await this.#ask({ kind: 'know', folders: folders.map((folder) => folder.toString('latin1')) });
    return (answer?.folders ?? []).map((folder) => Buffer.from(folder, 'latin1'));
  }

  /** Marks folders that are not in use, while there is room. */
  async mark(folders: readonly Buffer[]): Promise<void> {
    await this.#ask({ kind: 'mark', folders: folders.map((folder) => folder.toString('latin1')) });
  }

  /** Resolves when all that has happened before this call was reported. False if there is no watch. */
  async fence(): Promise<boolean> {
    return (await this.#ask({ kind: 'fence' })) !== undefined;
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) return;
    this.#wake();
    const timer = setTimeout(() => void worker.terminate(), END_MS);
    await this.#ended;
    clearTimeout(timer);
  }

  #gone(): void {
    process.off('exit', this.#wake);
    this.#worker = undefined;
    this.#facts = { kind: 'none', marks: 0, limited: false };
    this.#holding.clear();
    if (this.#alarm >= 0) closeSync(this.#alarm);
    this.#alarm = -1;
    for (const answer of this.#waiting.values()) answer(undefined);
    this.#waiting.clear();
  }

  async #ask(request: Request): Promise<Answer | undefined> {
    if (this.#worker === undefined) return undefined;
    const number = ++this.#requests;
    return await new Promise((resolve) => {
      this.#waiting.set(number, resolve);
      this.#post({ ...request, request: number });
    });
  }

  #post(message: ToThread): void {
    if (this.#worker === undefined) return;
    this.#worker.postMessage(message);
    writeSync(this.#alarm, ONE);
  }

  #take(message: FromThread): void {
    switch (message.kind) {
      case 'events':
        this.#report(message.events);
        this.#post({ kind: 'taken' });
        break;
      case 'answer': {
        this.#waiting.get(message.request)?.(message);
        this.#waiting.delete(message.request);
        break;
      }
      case 'ended':
        for (const watch of message.watches) this.#holding.delete(watch);
        break;
      case 'facts':
        this.#facts = message.facts;
        if (message.facts.limited && !this.#saidLimited) {
          this.#saidLimited = true;
          const raise = message.limit ?? 'raise the limits of the kernel';
          this.#options.logger.warn(`not all folders of sources can be watched: ${raise}`);
        }
        break;
      default:
        break;
    }
  }

  #report(events: readonly ThreadEvent[]): void {
    if (events.some(({ kind }) => kind === 'overflow')) {
      if (!this.#saidOverflow)
        this.#options.logger.warn('more changed at once than could be watched: sources are looked at again');
      this.#saidOverflow = true;
    }
    this.#options.onEvents(events.map(inBytes));
  }
}

function inBytes(event: ThreadEvent): WatchEvent {
  const bytes = (path: string): Buffer => Buffer.from(path, 'latin1');
  if (event.kind === 'renamed') return { ...event, from: bytes(event.from), to: bytes(event.to) };
  if (event.kind === 'overflow' || event.kind === 'mounts-changed') return event;
  if ('folder' in event) return { ...event, path: bytes(event.path) };
  const { path, ...rest } = event;
  return path === undefined ? rest : { ...rest, path: bytes(path) };
}
