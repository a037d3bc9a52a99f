/** The walk workers, and which of them gets the next batch. */
import { Worker } from 'node:worker_threads';
import { AutotorrentError } from '../../errors.ts';
import type { FolderTask } from './read-folder.ts';
import type { WalkAnswer, WalkRequest, WalkSettings } from './walk-worker.ts';

interface Waiting {
  readonly resolve: (answer: WalkAnswer) => void;
  readonly reject: (error: unknown) => void;
}

export class WalkPool {
  readonly #workers: Worker[];
  readonly #load: number[];
  readonly #waiting = new Map<number, Waiting>();
  #batches = 0;
  #failure: unknown;

  constructor(threads: number, settings: WalkSettings) {
    this.#load = Array.from({ length: threads }, () => 0);
    this.#workers = this.#load.map((_, at) => {
      const worker = new Worker(new URL('./walk-worker.js', import.meta.url), { workerData: settings });
      worker.on('message', (answer: WalkAnswer) => {
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
      this.#workers[worker]?.postMessage(request);
    });
  }

  async close(): Promise<void> {
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
