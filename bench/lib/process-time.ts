/** The processor time that a running process has taken. */
import { readFileSync } from 'node:fs';

/** Ticks a second in /proc, on every machine that Linux has (`getconf CLK_TCK`). */
const TICKS = 100;

/** Seconds of all its threads, in the program and in the kernel. */
export function processorSeconds(pid: number | undefined): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name of the program may have blanks and brackets.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}
