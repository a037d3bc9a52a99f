/** How fast a scrub may go: a command never waits, a scrub in the background asks the server before each batch. */
export interface Pace {
  /** Names the disks that hold files, without touching them. */
  readonly disksOf: (paths: readonly Buffer[]) => ReadonlySet<string>;
  /** Waits until a batch may be read. Gives those of `disks` that may be read now; undefined when it is time to end. */
  readonly turn: (disks: ReadonlySet<string>) => Promise<ReadonlySet<string> | undefined>;
}

const NONE: ReadonlySet<string> = new Set();

export const AT_ONCE: Pace = {
  disksOf: () => NONE,
  turn: async (disks) => disks,
};
