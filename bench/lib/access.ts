/** Reads and writes files, each in a thread of its own that is ready before the clock starts. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { HashRange } from '../references/read-and-hash.ts';
import type { ReadJob } from './reader.ts';
import type { WriteJob } from './writer.ts';

export const MIB = 2 ** 20;

/** Seconds from the first reader's start to the last one's end. */
export async function read(jobs: readonly ReadJob[]): Promise<number> {
  return await timed('reader.js', jobs);
}

/** Seconds, without the fsync that follows. */
export async function write(job: WriteJob): Promise<number> {
  return await timed('writer.js', [job]);
}

/** Reads and hashes ranges, each list in a thread of its own. Gives seconds. */
export async function readAndHash(lists: readonly (readonly HashRange[])[]): Promise<number> {
  return await timed('../references/read-and-hash.js', lists);
}

async function timed(script: string, jobs: readonly (ReadJob | WriteJob | readonly HashRange[])[]): Promise<number> {
  const workers = jobs.map((workerData) => new Worker(new URL(script, import.meta.url), { workerData }));
  try {
    await Promise.all(workers.map(async (worker) => await once(worker, 'message')));
    const results = workers.map(async (worker) => {
      const [result]: { readonly began: number; readonly ended: number }[] = await once(worker, 'message');
      if (result === undefined) throw new Error(`${script} ended without a result`);
      return result;
    });
    for (const worker of workers) worker.postMessage('go');
    const spans = await Promise.all(results);
    return (Math.max(...spans.map((s) => s.ended)) - Math.min(...spans.map((s) => s.began))) / 1000;
  } finally {
    for (const worker of workers) await worker.terminate();
  }
}

/** Gives 0, 1, … */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** Gives the offsets of a file's parts of `length` bytes. */
export function positions(bytes: number, length: number): number[] {
  return range(Math.floor(bytes / length)).map((i) => i * length);
}

/** Gives them in an order that is the same in every run. */
export function shuffled(list: readonly number[]): number[] {
  const result = [...list];
  let state = 1;
  for (let i = result.length - 1; i > 0; i--) {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    const j = state % (i + 1);
    [result[i], result[j]] = [result[j] ?? 0, result[i] ?? 0];
  }
  return result;
}
