/** The walk workers, and which of them gets the next batch. */
import { Worker } from 'node:worker_threads';
import { AutotorrentError } from '../../errors.ts';
import type { FolderTask } from './read-folder.ts';
import { LOADED, type WalkAnswer, type WalkRequest, type WalkSettings } from './walk-messages.ts';

interface Waiting {
  readonly resolve: (answer: WalkAnswer) => void;
  readonly reject: (error: unknown) => void;
}

export class WalkPool {
  readonly #workers: Worker[];
  readonly #load: number[];
  readonly #loaded: Promise<void>[] = [];
  readonly #stop = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #waiting = new Map<number, Waiting>();
  #batches = 0;
  #failure: unknown;

  constructor(threads: number, settings: Omit<WalkSettings, 'stop'>) {
    const workerData: WalkSettings = { ...settings, stop: this.#stop.buffer };
    this.#load = Array.from({ length: threads }, () => 0);
    this.#workers = this.#load.map((_, at) => {
      // The thread opens folders by a system call that Node does not know of, and closes them itself.
      const options = { workerData, trackUnmanagedFds: false };
      const worker = new Worker(new URL('./walk-worker.js', import.meta.url), options);
      this.#loaded.push(
        new Promise((resolve) => {
          for (const event of ['message', 'error', 'exit']) worker.once(event, () => resolve());
        }),
      );
      worker.on('message', (answer: WalkAnswer | typeof LOADED) => {
        if (answer === LOADED) return;
        const waiting = this.#waiting.get(answer.batch);
        this.#waiting.delete(answer.batch);
        this.#load[at] = (this.#load[at] ?? 1) - 1;
        waiting?.resolve(answer);
      });
      worker.on('error', (error) => this.#fail(error));
      return worker;
    });
  }

  read(tasks: readonly FolderTask[]): Promise<WalkAnswer> {
    if (this.#failure !== undefined) return Promise.reject(scanFailed(this.#failure));
    const worker = this.#load.indexOf(Math.min(...this.#load));
    this.#load[worker] = (this.#load[worker] ?? 0) + 1;
    const batch = this.#batches++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(batch, { resolve, reject });
      const request: WalkRequest = { batch, tasks };
      this.#workers[worker]?.postMessage(
        request,
        tasks.flatMap(({ known }) => (known === null ? [] : [known.buffer])),
      );
    });
  }

  /**
   * Ends the threads, each after the call that it is in; batches that are not answered are never answered. Waits for threads that
   * are loading, since one that is terminated while it loads native code ends the whole process, and for those that read, since
   * one that is terminated leaves its folder open.
   */
  async close(): Promise<void> {
    Atomics.store(this.#stop, 0, 1);
    const left = [...this.#waiting.keys()].map(
      (batch) => new Promise<void>((end) => this.#waiting.set(batch, { resolve: () => end(), reject: () => end() })),
    );
    await Promise.all([...this.#loaded, ...left]);
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #fail(error: unknown): void {
    this.#failure = error;
    for (const waiting of this.#waiting.values()) waiting.reject(scanFailed(error));
    this.#waiting.clear();
  }
}

function scanFailed(cause: unknown): AutotorrentError {
  return new AutotorrentError('INDEX', 'the scan failed; the index is as it was before', { cause });
}
