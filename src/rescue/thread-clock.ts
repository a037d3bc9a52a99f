/** A clock that all threads of the process read alike, also while somebody sets the time: `performance.now()` begins with each. */

/** Gives milliseconds since some moment before the process began. */
export function threadClockMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}
