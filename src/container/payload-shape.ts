/** A file's data, and what lies around it: see `payload.ts`. */

export interface Payload {
  /** Of the whole file. */
  readonly size: number;
  /** `[start, end)` is the data. */
  readonly start: number;
  readonly end: number;
  /** Bytes of each part before the data that another copy may lack. */
  readonly head: readonly number[];
  /** Bytes of each part behind the data that another copy may lack. */
  readonly tail: readonly number[];
  /** Where the data begins in other copies: by convention, or when a part moves from one end to the other. */
  readonly otherStarts: readonly number[];
  /** Bytes that other copies may have behind the data. */
  readonly otherTails: readonly number[];
}

/** Elements (tags, chunks, boxes) that are read of one file at most. */
export const MAX_ELEMENTS = 1000;
export function sum(lengths: readonly number[]): number {
  return lengths.reduce((total, length) => total + length, 0);
}
