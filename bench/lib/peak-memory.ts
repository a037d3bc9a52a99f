/** Runs a command line of the built program for its time and memory. */
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';

export interface Cost {
  readonly seconds: number;
  /** The peak of resident memory. */
  readonly mebibytes: number;
}

/** @throws Error where the command ended with an exit code that is not among `codes`. */
export function costOf(config: string, args: readonly string[], codes: readonly number[] = [0]): Cost {
  const memory = ['--import', resolve('dist/bench/lib/print-peak-memory.js')];
  const began = performance.now();
  const { status, stderr, error } = spawnSync(
    process.execPath,
    [...memory, resolve('dist/src/main.js'), '-c', config, ...args],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const seconds = (performance.now() - began) / 1000;
  if (status === null || !codes.includes(status)) {
    throw error ?? new Error(`${args[0]} failed: ${stderr.toString()}`);
  }
  return { seconds, mebibytes: Number(/maxrss ([\d.]+)/.exec(stderr.toString())?.[1]) };
}
