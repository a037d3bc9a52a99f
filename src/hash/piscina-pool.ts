/**
 * Hashes on piscina's worker threads.
 *
 * Jobs are grouped into tasks, in their order, so that one thread reads a file from front to back, and a message to a worker
 * is worth its cost. Nothing is loaded or started before the first job.
 */
import { setMaxListeners } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Piscina } from 'piscina';
import { budgetFor, openFilesLimit } from '../native/descriptor-budget.ts';
import type { SourceRules } from '../source/source-folders.ts';
import { DiskQueue } from './disk-queue.ts';
import {
  type HashJob,
  type HashOptions,
  type HashPool,
  type HashResult,
  isMerkle,
  jobBytes,
  segmentsOf,
} from './hash-pool.ts';
import {
  CANCELLED,
  DONE_BYTES,
  encodeTask,
  type HashControl,
  type HashTask,
  type HashTaskResult,
  ownMemory,
  SHA1_BYTES,
  SHA256_BYTES,
} from './hash-task.ts';

export interface HashPoolOptions {
  /** Where the files may lie. */
  readonly sources: SourceRules;
  /**
   * Worker threads. Default: one for each processor, at most 4; more where `disks` and `readersPerDisk` keep more busy, at
   * most 16.
   */
  readonly threads?: number;
  /** Disks that will be read. Default: 1. */
  readonly disks?: number;
  /** Starts the threads at once, not with the first job. */
  readonly ready?: boolean;
  /** Readers at once on one disk (device number). Default: as many as threads. A disk that seeks does best with 1. */
  readonly readersPerDisk?: number;
}

/**
 * A task is a quarter of the bytes left for each thread, within these bounds. Tasks are long at first, for reading from
 * front to back, and short at the end, so that no thread waits long for the last to finish.
 */
const MIN_TASK_BYTES = 4 * 1024 * 1024;
const MAX_TASK_BYTES = 64 * 1024 * 1024;
const TASKS_LEFT = 4;
const MAX_TASK_JOBS = 4096;
const PROGRESS_MS = 100;
const TASKS_A_THREAD = 3;
const MOST_COMPUTING = 4;
const MOST_THREADS = 16;

/** A piece may span thousands of small files, but rarely reads one of them twice. */
const OPEN_FILES = 16;
const READERS_A_THREAD = 2;

/** Files that each reader may keep open, so that all readers together stay within the budget of this process. */
function openFilesFor(threads: number): number {
  const share = Math.floor(budgetFor(openFilesLimit()) / (threads * READERS_A_THREAD));
  return Math.max(1, Math.min(OPEN_FILES, share));
}

export function createHashPool(options: HashPoolOptions): HashPool {
  const threads = threadsFor(options, availableParallelism());
  return new PiscinaPool(
    options.sources,
    threads,
    Math.max(1, options.readersPerDisk ?? threads),
    options.ready === true,
  );
}

/** A thread that waits for a disk needs no processor: each disk has its readers, however few processors there are. */
export function threadsFor(
  { threads, disks = 1, readersPerDisk = 1 }: Omit<HashPoolOptions, 'sources'>,
  processors: number,
): number {
  if (threads !== undefined) return Math.max(1, threads);
  const computing = Math.min(MOST_COMPUTING, processors);
  return Math.max(computing, Math.min(MOST_THREADS, disks * readersPerDisk));
}

class PiscinaPool implements HashPool {
  readonly #sources: SourceRules;
  readonly #threads: number;
  readonly #tasksAThread: number;
  readonly #openFiles: number;
  readonly #ready: boolean;
  readonly #queue: DiskQueue;
  readonly #active = new Set<HashControl>();
  #piscina: Promise<Piscina<HashTask, HashTaskResult>> | undefined;
  #closed = false;

  constructor(sources: SourceRules, threads: number, perDisk: number, ready: boolean) {
    this.#sources = sources;
    this.#threads = threads;
    this.#openFiles = openFilesFor(threads);
    this.#ready = ready;
    // A second task waits in each thread, so that no thread is idle, except where the readers of a disk are limited.
    this.#tasksAThread = perDisk < threads ? 1 : TASKS_A_THREAD;
    this.#queue = new DiskQueue(threads * this.#tasksAThread, perDisk * this.#tasksAThread);
    // The first job reports what goes wrong.
    if (ready) this.#start().catch(() => {});
  }

  async hash(jobs: readonly HashJob[], options: HashOptions = {}): Promise<HashResult[]> {
    const { signal, onProgress } = options;
    signal?.throwIfAborted();
    if (this.#closed) throw new Error('the hash pool is closed');
    if (jobs.length === 0) return [];

    const totalBytes = jobs.reduce((sum, job) => sum + jobBytes(job), 0);
    const groups = groupJobs(jobs, totalBytes, this.#threads);
    const control: HashControl = {
      flags: new Int32Array(new SharedArrayBuffer(4)),
      doneBytes: new BigInt64Array(new SharedArrayBuffer(8)),
    };
    const results: HashResult[] = Array.from({ length: jobs.length });
    const report = (): void =>
      onProgress?.({ doneBytes: Number(Atomics.load(control.doneBytes, DONE_BYTES)), totalBytes });
    const timer = onProgress === undefined ? undefined : setInterval(report, PROGRESS_MS);
    this.#active.add(control);
    const runs = new Set<() => Promise<void>>();
    // Each caller has a listener of its own while its jobs run. However many there are, they are no leak.
    if (signal !== undefined) setMaxListeners(0, signal);
    let onAbort = (): void => {};
    const aborted = new Promise<never>((_, reject) => {
      onAbort = () => reject(signal?.reason);
      signal?.addEventListener('abort', onAbort);
    });
    aborted.catch(() => {}); // an abort may come while the threads start, before anything awaits it
    try {
      const piscina = await this.#start();
      const tools = { control, openFiles: this.#openFiles, sources: this.#sources };
      const tasks = groups.map(({ first, end }) => {
        const slice = jobs.slice(first, end);
        return new Promise<void>((resolve, reject) => {
          const run = async (): Promise<void> => {
            try {
              const task = encodeTask(slice, tools);
              place(results, first, slice, await piscina.run(task, { transferList: ownMemory(task) }));
              resolve();
            } catch (error) {
              reject(error);
            }
          };
          runs.add(run);
          this.#queue.add(disksOf(slice), run);
        });
      });
      await Promise.race([Promise.all(tasks), aborted]);
      if (Atomics.load(control.flags, CANCELLED) !== 0) throw new Error('the hash pool was closed while it hashed');
      report();
      return results;
    } finally {
      // After an abort or a failure, running workers stop at their next read, and the other tasks are dropped.
      Atomics.store(control.flags, CANCELLED, 1);
      this.#queue.drop(runs);
      this.#active.delete(control);
      clearInterval(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const control of this.#active) Atomics.store(control.flags, CANCELLED, 1);
    const piscina = await this.#piscina;
    this.#piscina = undefined;
    await piscina?.destroy();
  }

  #start(): Promise<Piscina<HashTask, HashTaskResult>> {
    // A run that hashes nothing must not pay for loading it.
    this.#piscina ??= import('piscina').then(
      ({ Piscina: Pool }) =>
        new Pool<HashTask, HashTaskResult>({
          filename: fileURLToPath(new URL('./worker.js', import.meta.url)),
          minThreads: this.#ready ? Math.min(this.#threads, MOST_COMPUTING) : 0,
          maxThreads: this.#threads,
          idleTimeout: 30_000,
          // A thread runs one task at a time, since hashing does not await. The queue decides what runs side by side.
          concurrentTasksPerWorker: this.#tasksAThread,
          recordTiming: false,
          // The threads open files by a system call that Node does not know of, and close them themselves.
          trackUnmanagedFds: false,
          execArgv: [...process.execArgv, ...WITHOUT_REQUIRE_OF_MODULES],
        }),
    );
    return this.#piscina;
  }
}

/**
 * Piscina loads its task with `require` first, and with `import` where that fails. A thread that is ended in the middle of a
 * `require` of a module takes the process with it (Node 20: "must be used on an instantiated module").
 */
const NO_REQUIRE = '--no-experimental-require-module';
const WITHOUT_REQUIRE_OF_MODULES = process.allowedNodeEnvironmentFlags.has(NO_REQUIRE) ? [NO_REQUIRE] : [];

function groupJobs(jobs: readonly HashJob[], totalBytes: number, threads: number): { first: number; end: number }[] {
  const share = (left: number): number =>
    Math.min(MAX_TASK_BYTES, Math.max(MIN_TASK_BYTES, left / (threads * TASKS_LEFT)));
  let left = totalBytes;
  let limit = share(left);
  const groups: { first: number; end: number }[] = [];
  let first = 0;
  let bytes = 0;
  for (const [i, job] of jobs.entries()) {
    bytes += jobBytes(job);
    if (bytes < limit && i + 1 - first < MAX_TASK_JOBS && i + 1 < jobs.length) continue;
    groups.push({ first, end: i + 1 });
    first = i + 1;
    left -= bytes;
    bytes = 0;
    limit = share(left);
  }
  return groups;
}

function disksOf(jobs: readonly HashJob[]): number[] {
  const disks = new Set<number>();
  for (const job of jobs) for (const segment of segmentsOf(job)) if ('path' in segment) disks.add(segment.identity.dev);
  return [...disks];
}

function place(results: HashResult[], first: number, jobs: readonly HashJob[], done: HashTaskResult): void {
  const digests = Buffer.from(done.digests.buffer, done.digests.byteOffset, done.digests.byteLength);
  for (const [i, job] of jobs.entries()) {
    const at = i * SHA256_BYTES;
    results[first + i] = { digest: digests.subarray(at, at + (isMerkle(job) ? SHA256_BYTES : SHA1_BYTES)) };
  }
  for (const { job, failed, message } of done.failures) results[first + job] = { failed, message };
}
