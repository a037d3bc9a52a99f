/**
 * Ends a run at a signal: nothing that it started goes on, and nothing that it made stays. The processes of a run are its
 * children, but for index processes: those end when the folder with their index is removed.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../src/errors.ts';
import { isAtOrBelow, readMounts } from '../../src/native/mountinfo.ts';
import { unmountLeftovers } from './leftover-mounts.ts';
import { tell } from './suite.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const PREFIX = `autotorrent-bench-${process.pid}-`;
/** Until the kernel has ended a process that was killed. */
const KILLED_MS = 10_000;

/** Makes an empty folder. `cleanUpAtSignals` removes it; without a signal the caller must. */
export async function makeFolder(): Promise<string> {
  return await mkdtemp(join(tmpdir(), PREFIX));
}

/** From now on a signal ends this process as described above. A second one ends it at once. */
export function cleanUpAtSignals(): void {
  for (const signal of SIGNALS) {
    process.once(signal, () => {
      cleanUp()
        .catch((error: unknown) => tell(`something of the run may be left: ${messageOf(error)}`))
        .finally(() => process.exit(128 + constants.signals[signal]));
    });
  }
}

async function cleanUp(): Promise<void> {
  await endChildren();
  const folders = (await readdir(tmpdir()))
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => join(tmpdir(), name));
  for (const folder of folders) {
    const mounts = (await readMounts()).filter(({ path }) => isAtOrBelow(path, Buffer.from(folder)));
    await unmountLeftovers(mounts.map(({ path }) => path.toString()));
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

async function endChildren(): Promise<void> {
  const end = performance.now() + KILLED_MS;
  for (let children = childrenOfThis(); children.length > 0; children = childrenOfThis()) {
    if (performance.now() > end) throw new Error(`processes that do not end: ${children.join(', ')}`);
    for (const pid of children) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended meanwhile.
      }
    }
    await sleep(50);
  }
}

/** Each thread has its own list. */
function childrenOfThis(): number[] {
  return readdirSync('/proc/self/task').flatMap((thread) =>
    readFileSync(`/proc/self/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
}
