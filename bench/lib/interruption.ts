/** Ends a run at a signal: nothing that it started goes on, and nothing that it made stays. */
import { spawnSync } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tell } from './suite.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The beginning of the path of each folder that the run of this process makes. */
export function folderPrefix(pid: number): string {
  return join(tmpdir(), `autotorrent-bench-${pid}-`);
}

/** Makes an empty folder. `cleanUpAtSignals` removes it; without a signal the caller must. */
export async function makeFolder(): Promise<string> {
  return await mkdtemp(folderPrefix(process.pid));
}

/**
 * From now on a signal ends this process as described above. A second one ends it at once.
 *
 * Another process cleans up, and this one waits for it without doing anything else. Otherwise the suites would see what they
 * measure fail, and go on with the next case: in new folders, with new processes.
 */
export function cleanUpAtSignals(): void {
  const script = fileURLToPath(new URL('clean-up.js', import.meta.url));
  for (const signal of SIGNALS) {
    process.once(signal, () => {
      const { status } = spawnSync(process.execPath, [script, String(process.pid)], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      if (status !== 0) tell('something of the run may be left');
      process.exit(128 + constants.signals[signal]);
    });
  }
}
