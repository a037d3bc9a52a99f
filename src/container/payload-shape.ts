/** The data of a file, and the parts around it: see `payload.ts`. */

export interface Payload {
  /** Bytes of the whole file. */
  readonly size: number;
  /** `[start, end)` is the data. */
  readonly start: number;
  readonly end: number;
  /** Bytes of each part before the data that another copy may lack. */
  readonly head: readonly number[];
  /** Bytes of each part after the data that another copy may lack. */
  readonly tail: readonly number[];
  /** Offsets at which the data may begin in other copies: by convention, or if a part moves to the other end. */
  readonly otherStarts: readonly number[];
  /** Bytes that other copies may have after the data. */
  readonly otherTails: readonly number[];
}

/** The most elements (tags, chunks, boxes) that are read of one file. */
export const MAX_ELEMENTS = 1000;
export function sum(lengths: readonly number[]): number {
  return lengths.reduce((total, length) => total + length, 0);
}
