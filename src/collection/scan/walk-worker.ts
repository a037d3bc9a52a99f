/** A thread that reads folders. One message is a batch of tasks, the answer their readings in the same order. */
import { parentPort, workerData } from 'node:worker_threads';
import { createIgnoreTest } from './ignore.ts';
import { MemberBudget } from './member-budget.ts';
import { type FolderReading, type FolderTask, readFolder } from './read-folder.ts';

export interface WalkSettings {
  readonly ignoreFiles: readonly string[];
  readonly avoid: readonly string[];
  readonly racyMs: number;
  /** A MemberBudget's. */
  readonly budget: SharedArrayBuffer;
}

export interface WalkRequest {
  readonly batch: number;
  readonly tasks: readonly FolderTask[];
}

export interface WalkAnswer {
  readonly batch: number;
  readonly readings: readonly FolderReading[];
  /** Reason, number, an example's path (a byte string). */
  readonly skips: readonly (readonly [string, number, string])[];
}

const port = parentPort;
if (port === null) throw new Error('walk-worker runs as a worker thread only');
const settings: WalkSettings = workerData;
const ignore = createIgnoreTest(settings.ignoreFiles);
const budget = new MemberBudget(settings.budget);
const avoid: ReadonlySet<string> = new Set(settings.avoid);

port.on('message', ({ batch, tasks }: WalkRequest) => {
  const skips = new Map<string, [string, number, string]>();
  const skip = (reason: string, path: string): void => {
    const known = skips.get(reason);
    if (known === undefined) skips.set(reason, [reason, 1, path]);
    else known[1]++;
  };
  const readings = tasks.map((task) => readFolder(task, { ignore, avoid, racyMs: settings.racyMs, budget, skip }));
  const answer: WalkAnswer = { batch, readings, skips: [...skips.values()] };
  port.postMessage(
    answer,
    readings.filter((reading) => typeof reading !== 'string'),
  );
});
