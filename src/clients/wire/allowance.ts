/**
 * How much of a reply is read: each call says what its answer needs at most.
 *
 * What answers may be anything, and a reply of the largest size, filled with the smallest values, takes gigabytes and
 * minutes. So every kind of call has an allowance of its own, by what was asked for: so many torrents with so many
 * fields, so many files.
 */

export interface Allowance {
  /** Of the body, once it is decompressed. */
  readonly bytes: number;
  /** Values of any kind, keys not counted. */
  readonly values: number;
  /** How many of the values are lists or objects. */
  readonly lists: number;
}

/** An answer of a few values: a version, an acknowledgement, a refusal, the settings of a client (with its users' lists of trackers). */
export const SHORT: Allowance = { bytes: 1024 * 1024, values: 2000, lists: 200 };

/**
 * A file in a list of files: path, length and a few further fields. Most take 200 bytes; a path may take 4 KiB, and up to
 * three times that where each letter is an escape (Transmission before 4).
 */
export const A_FILE: Allowance = { bytes: 8192, values: 8, lists: 1 };

/** The most torrents that a client may list when it is asked for all of them. */
export const MOST_TORRENTS = 100_000;

/** What a torrent takes in an answer that gives `fields` values of each. */
export function torrentOf(fields: number): Allowance {
  return { bytes: 4096 + fields * 64, values: fields + 1, lists: 1 };
}

export function times(count: number, { bytes, values, lists }: Allowance): Allowance {
  return { bytes: count * bytes, values: count * values, lists: count * lists };
}

export function sumOf(...all: readonly Allowance[]): Allowance {
  const sum = (key: keyof Allowance): number => all.reduce((total, one) => total + one[key], 0);
  return { bytes: sum('bytes'), values: sum('values'), lists: sum('lists') };
}
