/** Lets this process give way to all others at the disk, as ionice(1) does. */
import type { CLibrary } from './c-library.ts';

/** The number of ioprio_set(2), which glibc does not wrap. */
const IOPRIO_SET: Readonly<Partial<Record<NodeJS.Architecture, number>>> = { x64: 251, arm64: 30, riscv64: 30 };
const IOPRIO_WHO_PROCESS = 1;
/** IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0) of <linux/ioprio.h>. */
const IDLE = 3 << 13;

/**
 * Gives this thread the idle class, and with it the threads that it starts later. Schedulers that know no classes take no
 * notice. False if it could not be done.
 */
export function giveWayAtDisks(library: CLibrary): boolean {
  const number = IOPRIO_SET[process.arch];
  if (number === undefined) return false;
  const set = library.ability('background work does not give way to others at the disk', ({ func }) =>
    func('long syscall(long number, int which, int who, int ioprio)'),
  );
  return set !== undefined && Number(set(number, IOPRIO_WHO_PROCESS, 0, IDLE)) === 0;
}
