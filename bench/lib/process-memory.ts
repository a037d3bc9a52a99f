/** The memory of a running process, in megabytes. */
import { readFileSync } from 'node:fs';

/** Resident memory now. */
export function residentMegabytes(pid: number | undefined): number {
  return statusField(pid, 'VmRSS');
}

/** The peak of resident memory. */
export function peakMegabytes(pid: number | undefined): number {
  return statusField(pid, 'VmHWM');
}

function statusField(pid: number | undefined, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return (Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) * 1024) / 1e6;
}
