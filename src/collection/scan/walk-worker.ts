/** A thread that reads folders. One message is a batch of tasks, the answer their readings in the same order. */
import { parentPort, workerData } from 'node:worker_threads';
import { errnoOf } from '../../errors.ts';
import { silentLogger } from '../../logger.ts';
import { openCLibrary } from '../../native/c-library.ts';
import { loadStrictCalls } from '../../native/strict-paths.ts';
import { SourceAccess } from '../../source/source-access.ts';
import { MOST_WAITED_MS } from './growth.ts';
import { createIgnoreTest } from './ignore.ts';
import { MemberBudget } from './member-budget.ts';
import { isInside } from './mounts.ts';
import { lookAgain, type ReadContext, readFolder } from './read-folder.ts';
import { rebase } from './scan-roots.ts';
import { LOADED, type WalkAnswer, type WalkRequest, type WalkSettings } from './walk-messages.ts';

const port = parentPort;
if (port === null) throw new Error('walk-worker runs as a worker thread only');
const settings: WalkSettings = workerData;
const ignore = createIgnoreTest(settings.ignoreFiles);
const budget = new MemberBudget(settings.budget);
const stop = new Int32Array(settings.stop);
const isStopped = (): boolean => Atomics.load(stop, 0) !== 0;
const avoid: ReadonlySet<string> = new Set(settings.avoid);

// A root's name may lie below another root, as a link.
const roots = settings.roots.toSorted((a, b) => b.path.length - a.path.length);
const realOf = (path: string): string => {
  const root = roots.find((one) => isInside(path, one.path));
  return root === undefined ? path : rebase(path, root.path, root.real);
};
const calls = loadStrictCalls(openCLibrary(silentLogger));
const rules = { disks: roots.map(({ real }) => Buffer.from(real, 'latin1')) };
const access = new SourceAccess(rules, { calls });

/** Files of a folder that were written to just now, by position. */
interface Again {
  readonly path: string;
  readonly reading: ArrayBuffer;
  readonly files: readonly number[];
}

let waitedMs = 0;

function takeSecondLooks(again: readonly Again[], context: ReadContext): void {
  if (again.length === 0 || isStopped()) return;
  const waitMs = Math.max(0, Math.min(context.growth.againMs, MOST_WAITED_MS - waitedMs));
  waitedMs += waitMs;
  if (waitMs > 0) Atomics.wait(stop, 0, 0, waitMs);
  for (const { path, reading, files } of again) {
    try {
      lookAgain(path, reading, files, context);
    } catch (error) {
      // It went after it was read, as it may after any look.
      if (errnoOf(error) === undefined) throw error;
    }
  }
}

port.on('message', ({ batch, tasks }: WalkRequest) => {
  const skips = new Map<string, [string, number, string]>();
  const skip = (reason: string, path: string): void => {
    const known = skips.get(reason);
    if (known === undefined) skips.set(reason, [reason, 1, path]);
    else known[1]++;
  };
  const { racyMs, growth } = settings;
  let young: number[] = [];
  const noteYoung = (file: number): void => void young.push(file);
  const context = { ignore, avoid, racyMs, growth, noteYoung, realOf, access, budget, isStopped, skip };
  const again: Again[] = [];
  const readings = tasks.map((task) => {
    young = [];
    const reading = readFolder(task, context);
    if (typeof reading !== 'string' && young.length > 0) again.push({ path: task.path, reading, files: young });
    return reading;
  });
  takeSecondLooks(again, context);
  const answer: WalkAnswer = { batch, readings, skips: [...skips.values()] };
  port.postMessage(
    answer,
    readings.filter((reading) => typeof reading !== 'string'),
  );
});
port.postMessage(LOADED);
