/** How fast a scrub may go: a command never waits, a scrub in the background asks the server before each batch. */
import type { HashJob } from '../../hash/hash-pool.ts';

export interface Pace {
  /** Gives the device numbers of the disks that hold files, without touching them. */
  readonly disksOf: (paths: readonly Buffer[]) => ReadonlySet<number>;
  /** Waits until a batch may be read. Gives those of `disks` that may be read now; undefined when it is time to end. */
  readonly turn: (disks: ReadonlySet<number>) => Promise<ReadonlySet<number> | undefined>;
  /** Called with what was read in a turn. */
  readonly read: (jobs: readonly HashJob[]) => void;
}

const NONE: ReadonlySet<number> = new Set();

export const AT_ONCE: Pace = {
  disksOf: () => NONE,
  turn: async (disks) => disks,
  read() {},
};
