/** A stored copy of a file, described by the parts that it consists of. */
import type { Random } from '../random.ts';

/**
 * `keep`: a range of the original as it is. `damage`: a range of it with each byte inverted. `foreign`: this many other
 * bytes. `zeros`: this many zeros.
 */
export type Part =
  | { readonly keep: readonly [from: number, end: number] }
  | { readonly damage: readonly [from: number, end: number] }
  | { readonly foreign: number }
  | { readonly zeros: number };

/** A range of the original that the stored copy holds in one place. */
export interface Run {
  /** Offset in the original. */
  readonly offset: number;
  readonly length: number;
  readonly stored_offset: number;
}

/** Gives the stored copy's bytes, part by part. */
export function render(original: Buffer, parts: readonly Part[], random: Random): Buffer[] {
  return parts.map((part) => {
    if ('keep' in part) return original.subarray(...part.keep);
    if ('damage' in part) return Buffer.from(original.subarray(...part.damage).map((byte) => byte ^ 0xff));
    return 'foreign' in part ? random.bytes(part.foreign) : Buffer.alloc(part.zeros);
  });
}

/** Lists which bytes of the original the copy holds, and where. */
export function runsOf(parts: readonly Part[]): Run[] {
  const runs: Run[] = [];
  let stored = 0;
  for (const part of parts) {
    const length = lengthOf(part);
    if ('keep' in part && length > 0) runs.push({ offset: part.keep[0], length, stored_offset: stored });
    stored += length;
  }
  return runs;
}

function lengthOf(part: Part): number {
  if ('foreign' in part) return part.foreign;
  if ('zeros' in part) return part.zeros;
  const [from, end] = 'keep' in part ? part.keep : part.damage;
  return end - from;
}
