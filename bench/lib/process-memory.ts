/** The memory of a running process, in megabytes. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds. */
const RESTS_MS = 10_000;
const MOST_MS = 60_000;
const STEP_MS = 500;

/** Resident memory now. */
export function residentMegabytes(pid: number | undefined): number {
  return statusField(pid, 'VmRSS');
}

/** Resident memory once it has not changed for ten seconds, after `atLeastMs`; after a minute as it is. */
export async function settledMegabytes(pid: number | undefined, atLeastMs: number): Promise<number> {
  const began = performance.now();
  let [last, changed] = [0, began];
  for (;;) {
    const now = residentMegabytes(pid);
    if (Math.abs(now - last) > 1) [last, changed] = [now, performance.now()];
    const [waited, rested] = [performance.now() - began, performance.now() - changed];
    if ((waited > atLeastMs && rested > RESTS_MS) || waited > MOST_MS) return now;
    await sleep(STEP_MS);
  }
}

/** The peak of resident memory. */
export function peakMegabytes(pid: number | undefined): number {
  return statusField(pid, 'VmHWM');
}

function statusField(pid: number | undefined, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return (Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) * 1024) / 1e6;
}
