/**
 * Ends the processes of a run and removes its folders: `clean-up.js PID`, where PID is the process of the run, which waits.
 *
 * The processes of a run are its children, and those whose command line names one of its folders: index processes, and what
 * a killed server has started.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAtOrBelow, readMounts } from '../../src/native/mountinfo.ts';
import { folderPrefix } from './interruption.ts';
import { unmountLeftovers } from './leftover-mounts.ts';

/** Milliseconds until the kernel has ended processes that were killed. */
const KILLED_MS = 10_000;

const run = Number(process.argv[2]);
const prefix = folderPrefix(run);
// Ctrl-C reaches this process as well.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

await endProcesses();
for (const name of await readdir(dirname(prefix))) {
  if (!name.startsWith(basename(prefix))) continue;
  const folder = join(dirname(prefix), name);
  const mounts = (await readMounts()).filter(({ path }) => isAtOrBelow(path, Buffer.from(folder)));
  await unmountLeftovers(mounts.map(({ path }) => path.toString()));
  await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
}

async function endProcesses(): Promise<void> {
  const end = performance.now() + KILLED_MS;
  for (let left = processesOfRun(); left.length > 0; left = processesOfRun()) {
    if (performance.now() > end) throw new Error(`processes that do not end: ${left.join(', ')}`);
    for (const pid of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    }
    await sleep(50);
  }
}

function processesOfRun(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== run && pid !== process.pid && isOfRun(pid));
}

function isOfRun(pid: number): boolean {
  try {
    // proc(5): the pid, the command in parentheses, the state, the parent.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie has ended: its parent waits for this process, and does not look at it.
    if (state === 'Z' || state === 'X') return false;
    return Number(parent) === run || readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(prefix);
  } catch {
    // It has ended meanwhile.
    return false;
  }
}
