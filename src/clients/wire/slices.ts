/**
 * Reading a reply in slices: a parser is a generator that pauses every few values, so that a time limit holds while it
 * runs, and nothing else of the process waits for it.
 */
import { setImmediate } from 'node:timers/promises';
import type { Allowance } from './allowance.ts';

/** A parser that pauses between values. */
export type Steps<T> = Generator<undefined, T, undefined>;

/** How long a parser may run before others have their turn. */
const SLICE_MS = 20;
/** Values between two looks at the clock. */
const VALUES_A_STEP = 64;
/** Bytes of one text: more than any path, message or magnet link takes. */
export const LONGEST_TEXT = 1024 * 1024;
/** Digits and signs of one number. */
export const LONGEST_NUMBER = 64;
/** Lists in lists: no client's answer has more than 6. */
const DEEPEST = 32;
/** Keys of one object, beside one for each list: more than any client gives of a torrent or of itself. */
const MOST_KEYS = 1000;

/** The reply has more in it than was asked for. */
export class Excess extends Error {}

/** The time limit of the call ended while its reply was being read. */
export class PastDeadline extends Error {}

/** Counts what a parser finds. */
export class Budget {
  readonly #allowed: Allowance;
  #values = 0;
  #lists = 0;

  constructor(allowed: Allowance) {
    this.#allowed = allowed;
  }

  /** Counts a value that begins; true where the parser is to pause. @throws Excess */
  value(): boolean {
    if (++this.#values > this.#allowed.values) throw new Excess(`more than ${this.#allowed.values} values`);
    return this.#values % VALUES_A_STEP === 0;
  }

  /**
   * Looks at the `nth` key of an object: those that have many have a torrent under each. (An object with a million keys
   * takes a second to list.) `__proto__` would not become a key, but change what the object is.
   * @throws Excess, SyntaxError
   */
  key(nth: number, key: string | number): void {
    const most = this.#allowed.lists + MOST_KEYS;
    if (nth > most) throw new Excess(`more than ${most} keys in an object`);
    if (key === '__proto__') throw new SyntaxError('a key that no client has: __proto__');
  }

  /** Counts a list or an object that begins inside `depth` others. @throws Excess */
  list(depth: number): void {
    if (depth >= DEEPEST) throw new Excess(`lists nested deeper than ${DEEPEST}`);
    if (++this.#lists > this.#allowed.lists) throw new Excess(`more than ${this.#allowed.lists} lists`);
  }
}

/** Runs a parser to its end. `deadline`: as `performance.now()` counts. @throws PastDeadline, and what the parser throws */
export async function inSlices<T>(steps: Steps<T>, deadline: number): Promise<T> {
  let pause = performance.now() + SLICE_MS;
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    const now = performance.now();
    if (now > deadline) throw new PastDeadline('the time limit ended while the reply was being read');
    if (now < pause) continue;
    await setImmediate();
    pause = performance.now() + SLICE_MS;
  }
}

/** Runs a parser of a short text to its end. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
