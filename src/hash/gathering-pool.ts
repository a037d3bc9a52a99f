/**
 * A hash pool for many callers with small jobs: merges the jobs of the same moment into one call of the pool below.
 *
 * A message to a worker and a look-up in the cache cost more than hashing a small piece. Only calls with few bytes are
 * gathered, up to a limit and by disk, so that none waits long for another's bytes. Large calls pass unchanged.
 */
import { type HashJob, type HashOptions, type HashPool, type HashResult, jobBytes, segmentsOf } from './hash-pool.ts';

/** Bytes above which a call passes unchanged. */
const SMALL_BYTES = 4 * 1024 * 1024;
/** The approximate bytes of a gathered call. */
const GATHERED_BYTES = 16 * 1024 * 1024;

/** Puts the gathering before `pool`, which it closes when it is closed itself. */
export function createGatheringPool(pool: HashPool): HashPool {
  return new GatheringPool(pool);
}

interface Call {
  readonly jobs: readonly HashJob[];
  readonly bytes: number;
  /** Calls with the same key may go together: same disks, same signal. */
  readonly disks: string;
  readonly options: HashOptions;
  readonly resolve: (results: HashResult[]) => void;
  readonly reject: (reason: unknown) => void;
}

class GatheringPool implements HashPool {
  readonly #pool: HashPool;
  #calls: Call[] = [];

  constructor(pool: HashPool) {
    this.#pool = pool;
  }

  async hash(jobs: readonly HashJob[], options: HashOptions = {}): Promise<HashResult[]> {
    options.signal?.throwIfAborted();
    if (jobs.length === 0) return [];
    const bytes = jobs.reduce((sum, job) => sum + jobBytes(job), 0);
    if (bytes > SMALL_BYTES) return await this.#pool.hash(jobs, options);
    options.onProgress?.({ doneBytes: 0, totalBytes: bytes });
    return await new Promise((resolve, reject) => {
      const call = { jobs, bytes, disks: disksOf(jobs), options, resolve, reject };
      if (this.#calls.push(call) === 1) setImmediate(() => this.#flush());
    });
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }

  #flush(): void {
    const calls = this.#calls;
    this.#calls = [];
    const open = new Map<AbortSignal | undefined, Map<string, { calls: Call[]; bytes: number }>>();
    for (const call of calls) {
      const { signal } = call.options;
      const byDisks = open.get(signal) ?? new Map<string, { calls: Call[]; bytes: number }>();
      open.set(signal, byDisks);
      const list = byDisks.get(call.disks) ?? { calls: [], bytes: 0 };
      byDisks.set(call.disks, list);
      list.calls.push(call);
      list.bytes += call.bytes;
      if (list.bytes < GATHERED_BYTES) continue;
      byDisks.delete(call.disks);
      void this.#ask(list.calls, signal);
    }
    for (const [signal, byDisks] of open) for (const list of byDisks.values()) void this.#ask(list.calls, signal);
  }

  async #ask(calls: readonly Call[], signal: AbortSignal | undefined): Promise<void> {
    try {
      const jobs = calls.flatMap((call) => call.jobs);
      const results = await this.#pool.hash(jobs, signal === undefined ? {} : { signal });
      let next = 0;
      for (const { jobs, bytes, options, resolve } of calls) {
        options.onProgress?.({ doneBytes: bytes, totalBytes: bytes });
        resolve(results.slice(next, next + jobs.length));
        next += jobs.length;
      }
    } catch (error) {
      for (const { reject } of calls) reject(error);
    }
  }
}

function disksOf(jobs: readonly HashJob[]): string {
  const disks = new Set<number>();
  for (const job of jobs) for (const segment of segmentsOf(job)) if ('path' in segment) disks.add(segment.identity.dev);
  return [...disks].toSorted((a, b) => a - b).join();
}
