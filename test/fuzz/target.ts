/**
 * What a fuzz target is: a parser of hostile bytes, inputs to begin with, and what must hold for every input.
 *
 * The n-th input of a seed is always the same: `inputs.ts` makes it from the seeds of the target, the files of
 * `corpus/NAME` and the numbers of `random.ts` alone. So a worker that crashed or hangs is understood by the number of its input.
 */
import type { Random } from './random.ts';

export interface FuzzTarget {
  /** Valid inputs, which mutations begin with. */
  seeds(): Promise<readonly Buffer[]> | readonly Buffer[];
  /** Pieces of the format, which mutations insert. */
  readonly tokens?: readonly (string | Buffer)[];
  /** Makes an input from nothing, where that reaches further than a mutation. */
  make?(random: Random): Buffer;
  /** Makes checksums and the like right again after a mutation, in place. */
  repair?(input: Buffer): void;
  /**
   * Parses the input and checks what came out. It catches the errors that the parser declares; every other one is a finding,
   * and so is an input that takes too long.
   */
  run(input: Buffer): void | Promise<void>;
  /** The most bytes of an input. Default: 64 KiB. */
  readonly maxBytes?: number;
  /** Milliseconds of the processor that an input may take. Default: a second. */
  readonly limitMs?: number;
}
