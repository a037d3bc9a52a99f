/** A thread that reads folders. One message is a batch of tasks, the answer their readings in the same order. */
import { parentPort, workerData } from 'node:worker_threads';
import { silentLogger } from '../../logger.ts';
import { openCLibrary } from '../../native/c-library.ts';
import { loadStrictCalls } from '../../native/strict-paths.ts';
import { SourceAccess } from '../../source/source-access.ts';
import { createIgnoreTest } from './ignore.ts';
import { MemberBudget } from './member-budget.ts';
import { isInside } from './mounts.ts';
import { readFolder } from './read-folder.ts';
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

port.on('message', ({ batch, tasks }: WalkRequest) => {
  const skips = new Map<string, [string, number, string]>();
  const skip = (reason: string, path: string): void => {
    const known = skips.get(reason);
    if (known === undefined) skips.set(reason, [reason, 1, path]);
    else known[1]++;
  };
  const context = { ignore, avoid, racyMs: settings.racyMs, realOf, access, budget, isStopped, skip };
  const readings = tasks.map((task) => readFolder(task, context));
  const answer: WalkAnswer = { batch, readings, skips: [...skips.values()] };
  port.postMessage(
    answer,
    readings.filter((reading) => typeof reading !== 'string'),
  );
});
port.postMessage(LOADED);
