/** Pauses before something that failed is tried again: they double from the first to the last, in milliseconds. */
export type Pauses = readonly [first: number, last: number];

/** Gives the pause that follows another one; 0 was none. */
export function longerPause(before: number, [first, last]: Pauses): number {
  return Math.min(last, before === 0 ? first : before * 2);
}
