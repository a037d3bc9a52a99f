/** Lets this process give way to all others, at the processors and at the disks, as nice(1) and ionice(1) do. */
import { readdirSync } from 'node:fs';
import { setPriority } from 'node:os';
import type { CLibrary } from './c-library.ts';

/** The number of ioprio_set(2), which glibc does not wrap. */
const IOPRIO_SET: Readonly<Partial<Record<NodeJS.Architecture, number>>> = { x64: 251, arm64: 30, riscv64: 30 };
const IOPRIO_WHO_PROCESS = 1;
/** IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0) of <linux/ioprio.h>. */
const IDLE = 3 << 13;

/**
 * Gives all threads of this process a nice value and the idle class of the disks. Linux keeps both for each thread: those that
 * Node has started do not get them from this one, those that start later do. Disk schedulers that know no classes take no notice.
 */
export function giveWay(library: CLibrary, nice: number): void {
  const number = IOPRIO_SET[process.arch];
  const set = library.ability('background work does not give way to others at the disk', ({ func }) =>
    func('long syscall(long number, int which, int who, int ioprio)'),
  );
  for (const thread of readdirSync('/proc/self/task').map(Number)) {
    try {
      setPriority(thread, nice);
    } catch {
      // It has ended meanwhile.
      continue;
    }
    if (number !== undefined) set?.(number, IOPRIO_WHO_PROCESS, thread, IDLE);
  }
}
