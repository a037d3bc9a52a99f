/** The interface of a suite. A new suite is a file in `suites/` and a line in `suites.ts`. */
import type { DataCache } from '../data/cache.ts';
import type { Row } from './row.ts';

export interface Suite {
  readonly name: string;
  /** One line for the help. */
  readonly about: string;
  readonly run: (setting: Setting) => Promise<readonly Row[]>;
}

export interface Setting {
  /**
   * `full`: the size that the targets are for. `small`: the same measurements on a fraction of the data, in seconds, to see
   * that they work; its figures mean nothing.
   */
  readonly size: 'full' | 'small';
  /** True: also measures cases that take more than ten minutes each; otherwise they are extrapolated. */
  readonly whole: boolean;
  readonly data: DataCache;
}

/** Thrown at the end by a suite that could measure only some of its rows. */
export class PartialFailure extends Error {
  readonly rows: readonly Row[];

  constructor(message: string, rows: readonly Row[]) {
    super(message);
    this.name = 'PartialFailure';
    this.rows = rows;
  }
}

/** The sizes of a suite: `full` for a measurement, `small` to see that it works. */
export function sized<T>({ size }: Pick<Setting, 'size'>, sizes: { readonly full: T; readonly small: T }): T {
  return sizes[size];
}

/** Reports progress to the user. */
export function tell(message: string): void {
  process.stderr.write(`${message}\n`);
}
