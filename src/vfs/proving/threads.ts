/**
 * The threads that hash pieces: started when they are first needed, ended when there is nothing to do.
 *
 * A thread waits for the disk that it reads. So while a device is slow, one thread at most reads from it, and further
 * threads are started for the others.
 */
import { Worker } from 'node:worker_threads';
import type { Answer, Answered, Asked, Layout, Question, Step, StepAnswer } from './messages.ts';

/** Pieces that a thread has at a time, if they come one by one: it hashes two in little more than the time of one. */
const TOGETHER = 2;
/** Threads while no disk is slow. */
const USUAL = 2;
/** Threads in all: each beyond the usual ones stands for one that waits for a slow disk. */
const MOST = 6;
/** Milliseconds of one step after which its device is slow. */
const SLOW_MS = 300;
/** Milliseconds without work after which the threads end. */
const IDLE_MS = 60_000;

export interface Hashing {
  /** The torrent's info hash. */
  readonly torrent: string;
  readonly metainfo: () => Uint8Array | undefined;
  readonly piece: number;
  /** Bytes of the piece. */
  readonly length: number;
  readonly buffer: SharedArrayBuffer | undefined;
}

export interface Urgency {
  /** The device that the bytes are read from, or most of them. */
  readonly device: number;
  /** A reader waits for them. Others come after them. */
  readonly awaited: boolean;
}

interface Thread {
  readonly worker: Worker;
  /** The device of the pieces that it has; absent: it is idle. */
  device?: number | undefined;
  /** How many pieces it has. */
  pieces: number;
  /** The time at which the running step began. */
  begun?: number | undefined;
  readonly asked: Map<number, (answer: Answer) => void>;
  /** Questions that are sent at the end of this turn. */
  readonly outbox: Asked[];
  /** The torrents that are being given to it, by info hash. */
  readonly telling: Map<string, Promise<void>>;
}

interface Waiting extends Urgency {
  /** How many pieces wait for one thread. */
  readonly pieces: number;
  readonly take: (thread: Thread) => void;
}

/** Layouts are read from memory. */
const NO_DEVICE = -1;

/** The hashing of one piece, which has a thread of its own until its end. */
export class HashSession {
  readonly #threads: HashThreads;
  readonly #hashing: Hashing;
  readonly #thread: Thread;
  readonly #number: number;
  #unfinished = false;

  constructor(threads: HashThreads, hashing: Hashing, thread: Thread, number: number) {
    this.#threads = threads;
    this.#hashing = hashing;
    this.#thread = thread;
    this.#number = number;
  }

  /** Reads and hashes the next segments. @throws Error if the thread fails */
  async step(segments: Step['segments'], last: boolean): Promise<StepAnswer> {
    const { torrent, piece, length, buffer, metainfo } = this.#hashing;
    const step: Step = { kind: 'step', session: this.#number, torrent, piece, length, segments, last, buffer };
    let answer = await this.#ask(step);
    if (answer.needsMetainfo === true) {
      await this.#threads.tell(this.#thread, torrent, metainfo);
      answer = await this.#ask(step);
    }
    this.#unfinished = !last && answer.failed === undefined;
    return answer;
  }

  async #ask(question: Question): Promise<StepAnswer> {
    const answer = await this.#threads.ask(this.#thread, question);
    if (!('step' in answer)) throw new Error('error' in answer ? answer.error : 'a hashing thread is confused');
    return answer.step;
  }

  /** Gives the thread back. Call it once, whatever happened. */
  async end(): Promise<void> {
    try {
      if (this.#unfinished) await this.#ask({ kind: 'abandon', session: this.#number });
    } finally {
      this.#threads.giveBack(this.#thread);
    }
  }
}

export class HashThreads {
  readonly #script: URL;
  readonly #onIdle: () => void;
  readonly #threads = new Set<Thread>();
  readonly #waiting: Waiting[] = [];
  readonly #slow = new Set<number>();
  #sessions = 0;
  #questions = 0;
  #timer: NodeJS.Timeout | undefined;
  #idle: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;
  #closed = false;

  /** `onIdle` is called when the threads end because nothing is to be done. */
  constructor(onIdle: () => void, script = new URL('./worker.js', import.meta.url)) {
    this.#onIdle = onIdle;
    this.#script = script;
  }

  /** The number of running threads. */
  get count(): number {
    return this.#threads.size;
  }

  /** Waits for a thread for some pieces. Those of one turn are hashed one after the other, two at a time. */
  async begin(hashings: readonly Hashing[], urgency: Urgency): Promise<HashSession[]> {
    const thread = await this.#thread(urgency, hashings.length);
    return hashings.map((hashing) => new HashSession(this, hashing, thread, ++this.#sessions));
  }

  /** Gives a torrent to a thread, once for all who need it there. @throws Error for metainfo that is not sound */
  async tell(thread: Thread, torrent: string, metainfo: Hashing['metainfo']): Promise<void> {
    const telling = thread.telling.get(torrent) ?? this.#tell(thread, torrent, metainfo());
    thread.telling.set(torrent, telling);
    await telling.finally(() => thread.telling.delete(torrent));
  }

  async #tell(thread: Thread, torrent: string, metainfo: Uint8Array | undefined): Promise<void> {
    if (metainfo === undefined) return;
    const answer = await this.ask(thread, { kind: 'layout', torrent, metainfo });
    if ('error' in answer) throw new Error(answer.error);
  }

  /** @throws Error for metainfo that is not sound, or if the thread fails */
  async layout(torrent: string, metainfo: Uint8Array): Promise<Layout> {
    const thread = await this.#thread({ device: NO_DEVICE, awaited: true }, 1);
    try {
      const answer = await this.ask(thread, { kind: 'layout', torrent, metainfo });
      if ('layout' in answer) return answer.layout;
      throw new Error('error' in answer ? answer.error : 'a hashing thread is confused');
    } finally {
      this.giveBack(thread);
    }
  }

  async #thread({ device, awaited }: Urgency, pieces: number): Promise<Thread> {
    if (this.#closed) throw new Error('the server ends');
    return await new Promise((take) => {
      this.#waiting.push({ device, awaited, pieces, take });
      if (awaited) this.#deal();
      // Pieces that are hashed ahead come together.
      else this.#soon ??= setImmediate(() => this.#deal());
    });
  }

  /** Puts a question to a thread. @throws Error if the thread ends */
  async ask(thread: Thread, question: Question): Promise<Answer> {
    return await new Promise((resolve) => {
      const id = ++this.#questions;
      thread.begun ??= performance.now();
      thread.asked.set(id, (answer) => {
        thread.asked.delete(id);
        this.#note(thread);
        resolve(answer);
      });
      thread.worker.ref();
      // Each message wakes the thread: questions of one turn go together.
      if (thread.outbox.push({ id, question }) === 1) process.nextTick(() => this.#send(thread));
    });
  }

  #send({ worker, outbox }: Thread): void {
    worker.postMessage(outbox.splice(0));
  }

  /** Remembers whether the device of a thread is slow. */
  #note(thread: Thread): void {
    const { device, begun } = thread;
    thread.begun = thread.asked.size > 0 ? performance.now() : undefined;
    if (device === undefined || begun === undefined) return;
    if (performance.now() - begun > SLOW_MS) this.#slow.add(device);
    else this.#slow.delete(device);
  }

  giveBack(thread: Thread): void {
    thread.pieces--;
    if (thread.pieces > 0) return;
    thread.device = undefined;
    this.#deal();
  }

  /** Gives threads to those that wait. */
  #deal(): void {
    clearImmediate(this.#soon);
    this.#soon = undefined;
    clearTimeout(this.#idle);
    for (const awaited of [true, false]) {
      for (let i = 0; i < this.#waiting.length; ) {
        const next = this.#waiting[i]!;
        const thread = next.awaited === awaited && this.#mayRead(next.device) ? this.#free() : undefined;
        if (thread === undefined) {
          i++;
          continue;
        }
        this.#give(thread, i);
        // Who waits for a piece does not wait for another one.
        const isAhead = ({ device, awaited, pieces }: Waiting): boolean =>
          !awaited && device === next.device && thread.pieces + pieces <= TOGETHER;
        while (!next.awaited) {
          const other = this.#waiting.findIndex(isAhead);
          if (other < 0) break;
          this.#give(thread, other);
          if (other < i) i--;
        }
      }
    }
    this.#lookAgain();
  }

  #give(thread: Thread, index: number): void {
    const [waiting] = this.#waiting.splice(index, 1);
    if (waiting === undefined) return;
    thread.device = waiting.device;
    thread.pieces += waiting.pieces;
    waiting.take(thread);
  }

  #mayRead(device: number): boolean {
    return !this.#slow.has(device) || ![...this.#threads].some((thread) => thread.device === device);
  }

  #free(): Thread | undefined {
    let waitForDisks = 0;
    for (const thread of this.#threads) {
      if (thread.device === undefined) return thread;
      if (this.#isStuck(thread)) waitForDisks++;
    }
    return this.#threads.size < Math.min(MOST, USUAL + waitForDisks) ? this.#start() : undefined;
  }

  #isStuck({ device, begun }: Thread): boolean {
    if (begun === undefined || performance.now() - begun <= SLOW_MS) return false;
    if (device !== undefined) this.#slow.add(device);
    return true;
  }

  /** Threads that do not answer are noticed by time. */
  #lookAgain(): void {
    clearTimeout(this.#timer);
    const busy = [...this.#threads].some(({ device }) => device !== undefined);
    if (this.#waiting.length > 0) this.#timer = setTimeout(() => this.#deal(), SLOW_MS);
    else if (!busy && this.#threads.size > 0) {
      this.#idle = setTimeout(() => {
        this.#end();
        this.#onIdle();
      }, IDLE_MS);
      this.#idle.unref();
    }
  }

  #start(): Thread {
    const worker = new Worker(this.#script);
    const thread: Thread = { worker, pieces: 0, asked: new Map(), outbox: [], telling: new Map() };
    this.#threads.add(thread);
    worker.on('message', (answers: readonly Answered[]) => {
      for (const { id, answer } of answers) thread.asked.get(id)?.(answer);
      // A thread without a question is nothing to wait for.
      if (thread.asked.size === 0) worker.unref();
    });
    const ended = (why: string): void => {
      this.#threads.delete(thread);
      for (const answer of thread.asked.values()) answer({ error: `a hashing thread ended: ${why}` });
    };
    worker.on('error', (error) => ended(error.message));
    worker.on('exit', (code) => ended(`code ${code}`));
    return thread;
  }

  #end(): void {
    for (const { worker } of this.#threads) void worker.terminate();
    this.#threads.clear();
  }

  /** Ends the threads, whatever they do. Questions that wait get an error. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#idle);
    clearImmediate(this.#soon);
    const threads = [...this.#threads];
    this.#end();
    for (const { asked } of threads) for (const answer of asked.values()) answer({ error: 'the server ends' });
  }
}
