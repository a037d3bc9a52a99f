/**
 * Extents: where the bytes of a virtual file come from.
 *
 * A range is half-open, `[offset, offset + length)`, in bytes. Offsets and lengths are safe integers.
 * An extent is a range of a virtual file together with its origin: a source at an offset, zeros (a pad file, BEP 47),
 * or a gap (nobody has these bytes; they read as zeros and count as missing).
 * The extents of a file lie in order, touch each other, and cover it from 0 to its length exactly.
 */

/** `source` of an extent whose bytes are zeros by definition. */
export const ZEROS = -1;
/** `source` of an extent whose bytes are nowhere. */
export const GAP = -2;
/** `source` of bytes that a client has written over a file. No map has such extents: a store merges them when it reads. */
export const OVERLAY = -3;

export interface Extent {
  readonly offset: number;
  readonly length: number;
  /** A source's number (its index in a plan, its id in a store), or `ZEROS`, `GAP`, `OVERLAY`. */
  readonly source: number;
  /** Start of the range in the source or in the overlay file; 0 for `ZEROS` and `GAP`. */
  readonly sourceOffset: number;
}
