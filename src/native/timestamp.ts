/** Points in time, as files record them. */

/** The fields of `struct timespec`; `seconds` since the epoch, negative before it. */
export interface Timestamp {
  readonly seconds: number;
  /** 0 to 999,999,999. */
  readonly nanoseconds: number;
}

export function fromMilliseconds(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanoseconds: Math.min(999_999_999, Math.floor((ms - seconds * 1000) * 1e6)) };
}

/** Whole milliseconds, rounded down. */
export function toMilliseconds({ seconds, nanoseconds }: Timestamp): number {
  return seconds * 1000 + Math.floor(nanoseconds / 1e6);
}

/** Converts the nanoseconds of Node's `bigint` statistics, the only exact ones. */
export function fromNanoseconds(ns: bigint): Timestamp {
  const seconds = ns / 1_000_000_000n;
  const nanoseconds = Number(ns - seconds * 1_000_000_000n);
  // Division of bigints rounds towards zero.
  return nanoseconds < 0
    ? { seconds: Number(seconds) - 1, nanoseconds: nanoseconds + 1_000_000_000 }
    : { seconds: Number(seconds), nanoseconds };
}

export function toNanoseconds({ seconds, nanoseconds }: Timestamp): bigint {
  return BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds);
}

/** Gives the number that Node's `Stats` has for a time (`mtimeMs`): milliseconds with a fraction, a double. */
export function millisecondsOf(ns: bigint): number {
  const { seconds, nanoseconds } = fromNanoseconds(ns);
  return seconds * 1000 + nanoseconds / 1e6;
}

/** Gives a time that `millisecondsOf` turns into `ms` again: up to a quarter of a microsecond from the true one. */
export function nanosecondsOf(ms: number): bigint {
  const seconds = Math.floor(ms / 1000);
  return BigInt(seconds) * 1_000_000_000n + BigInt(Math.round((ms - seconds * 1000) * 1e6));
}

export function isLater(a: Timestamp, b: Timestamp): boolean {
  return a.seconds > b.seconds || (a.seconds === b.seconds && a.nanoseconds > b.nanoseconds);
}

export function later(a: Timestamp, b: Timestamp): Timestamp {
  return isLater(a, b) ? a : b;
}

/** Makes a clock that is finer than `Date.now`, and never more than a millisecond away from it. */
export function createClock(): () => Timestamp {
  let offset = Date.now() - performance.now();
  return () => {
    const monotonic = performance.now();
    const today = Date.now();
    // The system clock was set, or the two clocks drifted apart.
    if (Math.abs(monotonic + offset - today) > 1) offset = today - monotonic;
    return fromMilliseconds(monotonic + offset);
  };
}
