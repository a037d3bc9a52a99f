/**
 * Parses JSON step by step, within an allowance: `JSON.parse` can neither be paused nor told what is too much. It takes
 * what that takes, but for a key `__proto__`, long texts and numbers, and long runs of blanks.
 */
import type { Allowance } from './allowance.ts';
import { Budget, Excess, LONGEST_NUMBER, LONGEST_TEXT, type Steps } from './slices.ts';

const LONGEST_BLANKS = 64 * 1024;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const ARRAY = 0x5b;
const ARRAY_END = 0x5d;
const BACKSLASH = 0x5c;
const OBJECT = 0x7b;
const OBJECT_END = 0x7d;
const LITERALS: readonly (readonly [string, boolean | null])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
];
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** A list or an object whose end has not come yet. */
type Open =
  | { readonly list: unknown[] }
  | {
      readonly list?: undefined;
      readonly object: Record<string, unknown>;
      /** Of the value that comes next. */
      key: string;
      keys: number;
    };

/** @throws SyntaxError for what is no JSON, Excess for more than is allowed */
export function* jsonSteps(bytes: Buffer, allowed: Allowance): Steps<unknown> {
  const text = new JsonText(bytes);
  const budget = new Budget(allowed);
  const open: Open[] = [];
  for (;;) {
    if (budget.value()) yield;
    let value: unknown;
    if (text.takes(ARRAY)) {
      budget.list(open.length);
      const list: unknown[] = [];
      if (!text.takes(ARRAY_END)) {
        open.push({ list });
        continue;
      }
      value = list;
    } else if (text.takes(OBJECT)) {
      budget.list(open.length);
      const object: Record<string, unknown> = {};
      if (!text.takes(OBJECT_END)) {
        const key = text.key();
        budget.key(1, key);
        open.push({ object, key, keys: 1 });
        continue;
      }
      value = object;
    } else value = text.scalar();

    // A value has ended, and with it, perhaps, those around it.
    for (;;) {
      const last = open.at(-1);
      if (last === undefined) {
        text.end();
        return value;
      }
      if (last.list !== undefined) last.list.push(value);
      else last.object[last.key] = value;
      if (text.takes(COMMA)) {
        if (last.list === undefined) {
          last.key = text.key();
          budget.key(++last.keys, last.key);
        }
        break;
      }
      text.require(last.list === undefined ? OBJECT_END : ARRAY_END);
      value = last.list ?? last.object;
      open.pop();
    }
  }
}

class JsonText {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Skips blanks, and the byte where it is the next one: whether it is. */
  takes(byte: number): boolean {
    this.#skipBlanks();
    if (this.#bytes[this.#at] !== byte) return false;
    this.#at += 1;
    return true;
  }

  require(byte: number): void {
    if (!this.takes(byte)) throw this.#unexpected();
  }

  key(): string {
    if (!this.takes(QUOTE)) throw this.#unexpected();
    const key = this.#string();
    this.require(COLON);
    return key;
  }

  scalar(): string | number | boolean | null {
    if (this.takes(QUOTE)) return this.#string();
    for (const [word, value] of LITERALS) {
      if (this.#bytes[this.#at] !== word.charCodeAt(0)) continue;
      if (this.#bytes.toString('latin1', this.#at, this.#at + word.length) !== word) throw this.#unexpected();
      this.#at += word.length;
      return value;
    }
    return this.#number();
  }

  end(): void {
    this.#skipBlanks();
    if (this.#at < this.#bytes.length) throw this.#unexpected();
  }

  #string(): string {
    const start = this.#at;
    let at = start;
    let isAscii = true;
    let hasEscapes = false;
    for (; ; at += 1) {
      const byte = this.#bytes[at];
      if (byte === QUOTE) break;
      if (byte === undefined || byte < 0x20) throw this.#unexpected(at);
      if (at - start > LONGEST_TEXT) throw new Excess(`a text of more than ${LONGEST_TEXT} bytes`);
      if (byte === BACKSLASH) {
        hasEscapes = true;
        at += 1;
      } else if (byte >= 0x80) isAscii = false;
    }
    this.#at = at + 1;
    // What escapes mean, JSON.parse knows.
    if (hasEscapes) return JSON.parse(this.#bytes.toString('utf8', start - 1, at + 1)) as string;
    return this.#bytes.toString(isAscii ? 'latin1' : 'utf8', start, at);
  }

  #number(): number {
    const start = this.#at;
    let at = start;
    while (at - start <= LONGEST_NUMBER && isOfNumber(this.#bytes[at])) at += 1;
    const digits = this.#bytes.toString('latin1', start, at);
    if (digits.length > LONGEST_NUMBER) throw new Excess(`a number of more than ${LONGEST_NUMBER} digits`);
    if (!NUMBER.test(digits)) throw this.#unexpected();
    this.#at = at;
    return Number(digits);
  }

  #skipBlanks(): void {
    const start = this.#at;
    let byte = this.#bytes[this.#at];
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) {
      if (this.#at - start > LONGEST_BLANKS) throw new Excess(`more than ${LONGEST_BLANKS} blanks at once`);
      byte = this.#bytes[++this.#at];
    }
  }

  #unexpected(at = this.#at): SyntaxError {
    return new SyntaxError(at >= this.#bytes.length ? 'the JSON is cut off' : `unexpected byte at ${at} of the JSON`);
  }
}

/** Digits, signs, the point, and the letter of the exponent. */
function isOfNumber(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  return (byte >= 0x30 && byte <= 0x39) || byte === 0x2b || byte === 0x2d || byte === 0x2e || (byte | 0x20) === 0x65;
}
