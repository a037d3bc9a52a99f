/**
 * Checks strictly that bytes are one bencoded value (BEP 3), before anything else reads them. Valid bytes have no key twice,
 * one spelling for each number, and bounded depth. The rest of this folder relies on that (`bencoded.ts` checks nothing
 * again).
 *
 * It accepts keys out of order (hashes are taken over the bytes as they are), and white space after the end.
 * It is not recursive, and takes linear time for any input.
 */
import { refuse } from './refuse.ts';

/** The deepest nesting of lists and dictionaries. A path in a v2 file tree takes one level for each component. */
export const MAX_DEPTH = 256;
/** The most keys in one dictionary. A folder of a v2 file tree has one key for each file. */
const MAX_KEYS = 1_000_000;
/** The longest spelling of a 64-bit integer, without its sign. */
const MAX_DIGITS = 19;
/** Below this number, comparing each key with each is cheaper than a Set. */
const FEW_KEYS = 16;

export const I = 0x69;
export const L = 0x6c;
export const D = 0x64;
export const E = 0x65;
export const COLON = 0x3a;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;

/** An open list or dictionary. */
interface Level {
  dictionary: boolean;
  /** For a dictionary: a key was read last, and its value comes next. */
  afterKey: boolean;
  /** For a dictionary: no key was smaller than the one before it. */
  sorted: boolean;
  /** For a dictionary: the start of its keys in the scanner's list of keys. */
  firstKey: number;
}

/** Checks `raw`. @throws AutotorrentError('TORRENT') unless it is one valid bencoded value */
export function scan(raw: Buffer): void {
  new Scanner(raw).run();
}

/** Checks `raw` like `scan`, and counts its dictionaries: a torrent has at least one for each file. */
export function countDictionaries(raw: Buffer): number {
  const scanner = new Scanner(raw);
  scanner.run();
  return scanner.dictionaries;
}

/** Checks bytes step by step. `distinct`: keys out of order are compared with each other, which takes memory. */
export class Scanner {
  dictionaries = 0;
  readonly #distinct: boolean;
  readonly #raw: Buffer;
  #at = 0;
  /** Reused from value to value; only the first `#depth` are open. */
  readonly #levels: Level[] = [];
  #depth = 0;
  /** The start and end of each key of each open dictionary, innermost last. */
  #keys = new Uint32Array(1024);
  #keyCount = 0;
  /** The start of the content of the string that was read last. */
  #contentStart = 0;

  constructor(raw: Buffer, { distinct = true }: { readonly distinct?: boolean } = {}) {
    this.#raw = raw;
    this.#distinct = distinct;
  }

  /** Looks at the next values, `most` of them. True at the end. */
  run(most: number = Number.MAX_SAFE_INTEGER): boolean {
    for (let left = most; ; left--) {
      if (left === 0) return false;
      this.#step();
      if (this.#depth === 0) break;
    }
    for (let i = this.#at; i < this.#raw.length; i++) {
      if (!isSpace(this.#raw[i]!))
        refuse(`${this.#raw.length - this.#at} bytes follow after its end (byte ${this.#at})`);
    }
    return true;
  }

  /** Reads one key, one string or integer, or the start or end of a list or dictionary. */
  #step(): void {
    const level = this.#depth > 0 ? this.#levels[this.#depth - 1] : undefined;
    const byte = this.#raw[this.#at];
    if (byte === undefined) refuse('it is cut off: it ends in the middle', 'Download the .torrent again.');
    if (level !== undefined && byte === E) return this.#close(level);
    if (level?.dictionary === true) {
      if (!level.afterKey) {
        level.afterKey = true;
        return this.#key(level);
      }
      level.afterKey = false;
    }
    if (byte === D || byte === L) this.#open(byte === D);
    else if (byte === I) this.#integer();
    else this.#string();
  }

  #open(dictionary: boolean): void {
    if (this.#depth === MAX_DEPTH) refuse(`byte ${this.#at}: lists and dictionaries are nested over ${MAX_DEPTH} deep`);
    this.#levels[this.#depth] ??= { dictionary, afterKey: false, sorted: true, firstKey: 0 };
    const level = this.#levels[this.#depth]!;
    if (dictionary) this.dictionaries++;
    level.dictionary = dictionary;
    level.afterKey = false;
    level.sorted = true;
    level.firstKey = this.#keyCount;
    this.#depth++;
    this.#at++;
  }

  #close(level: Level): void {
    if (level.afterKey) refuse(`byte ${this.#at}: a key has no value`);
    if (level.dictionary) {
      if (!level.sorted && this.#distinct) this.#checkDistinct(level.firstKey);
      this.#keyCount = level.firstKey;
    }
    this.#depth--;
    this.#at++;
  }

  #key(level: Level): void {
    const position = this.#at;
    this.#string();
    const end = this.#at;
    const start = this.#contentStart;
    if (this.#keyCount - level.firstKey === MAX_KEYS)
      refuse(`byte ${position}: a dictionary has over ${MAX_KEYS} keys`);
    if (this.#keyCount > level.firstKey) {
      const order = this.#compareToLast(start, end);
      if (order === 0) this.#refuseTwice(start, end);
      if (order > 0) level.sorted = false;
    }
    if (this.#keyCount * 2 === this.#keys.length) {
      const grown = new Uint32Array(this.#keys.length * 2);
      grown.set(this.#keys);
      this.#keys = grown;
    }
    this.#keys[this.#keyCount * 2] = start;
    this.#keys[this.#keyCount * 2 + 1] = end;
    this.#keyCount++;
  }

  #string(): void {
    const raw = this.#raw;
    const begin = this.#at;
    let length = 0;
    let at = begin;
    for (; isDigit(raw[at]); at++) {
      length = length * 10 + (raw[at]! - ZERO);
      if (length > raw.length)
        refuse(`byte ${begin}: a string is longer than the file`, 'Download the .torrent again.');
    }
    if (at === begin) refuseByte(raw, begin);
    if (raw[begin] === ZERO && at > begin + 1) refuse(`byte ${begin}: the length of a string begins with 0`);
    if (raw[at] !== COLON) refuse(`byte ${at}: no colon after the length of a string`);
    this.#contentStart = at + 1;
    this.#at = at + 1 + length;
    if (this.#at > raw.length)
      refuse('it is cut off: it ends in the middle of a string', 'Download the .torrent again.');
  }

  #integer(): void {
    const raw = this.#raw;
    const begin = this.#at;
    const negative = raw[begin + 1] === MINUS;
    const first = begin + (negative ? 2 : 1);
    let at = first;
    while (isDigit(raw[at]) && at - first <= MAX_DIGITS) at++;
    if (at - first > MAX_DIGITS) refuse(`byte ${begin}: a number is too large`);
    if (at === first || raw[at] !== E) refuse(`byte ${begin}: a number is malformed`);
    if (raw[first] === ZERO && (at > first + 1 || negative))
      refuse(`byte ${begin}: a number is written with a needless 0`);
    if (at - first === MAX_DIGITS && !fits64(raw.toString('latin1', first, at), negative)) {
      refuse(`byte ${begin}: a number is too large`);
    }
    this.#at = at + 1;
  }

  /** Compares the last key with a new one: negative if in order, 0 if the same, positive if out of order. */
  #compareToLast(start: number, end: number): number {
    const raw = this.#raw;
    const lastStart = this.#keys[this.#keyCount * 2 - 2]!;
    const lastLength = this.#keys[this.#keyCount * 2 - 1]! - lastStart;
    const length = Math.min(lastLength, end - start);
    for (let i = 0; i < length; i++) {
      const difference = raw[lastStart + i]! - raw[start + i]!;
      if (difference !== 0) return difference;
    }
    return lastLength - (end - start);
  }

  /** Checks a dictionary whose keys are out of order. Keys in order were each compared with the one before. */
  #checkDistinct(firstKey: number): void {
    const few = this.#keyCount - firstKey <= FEW_KEYS;
    const seen = new Set<string>();
    for (let i = firstKey; i < this.#keyCount; i++) {
      const start = this.#keys[i * 2]!;
      const end = this.#keys[i * 2 + 1]!;
      if (few) {
        for (let j = firstKey; j < i; j++) if (this.#isKey(j, start, end)) this.#refuseTwice(start, end);
      } else {
        const key = this.#raw.toString('latin1', start, end);
        if (seen.has(key)) this.#refuseTwice(start, end);
        seen.add(key);
      }
    }
  }

  #isKey(index: number, start: number, end: number): boolean {
    const otherStart = this.#keys[index * 2]!;
    const otherEnd = this.#keys[index * 2 + 1]!;
    return (
      otherEnd - otherStart === end - start && this.#raw.compare(this.#raw, start, end, otherStart, otherEnd) === 0
    );
  }

  #refuseTwice(start: number, end: number): never {
    refuse(
      `byte ${start}: the key ${JSON.stringify(this.#raw.toString('utf8', start, Math.min(end, start + 64)))} stands twice`,
    );
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

function fits64(digits: string, negative: boolean): boolean {
  return BigInt(digits) <= (negative ? 2n ** 63n : 2n ** 63n - 1n);
}

/** Names the kind of file if it is recognisable: users pass other files than a .torrent. */
function refuseByte(raw: Buffer, at: number): never {
  const begin = at === 0 ? raw.toString('latin1', 0, 256).trimStart().toLowerCase() : '';
  if (begin.startsWith('<')) {
    refuse(
      'this is a web page',
      'Trackers send a page instead of the .torrent to users who are logged out or over a limit.',
    );
  }
  if (begin.startsWith('magnet:')) {
    refuse('this is a magnet link', 'Let a client fetch the torrent that it names, and export the .torrent.');
  }
  if (at === 0 && raw[0] === 0x1f && raw[1] === 0x8b) refuse('this is compressed', 'Unpack it with gunzip first.');
  refuse(`byte ${at} begins no bencoded value`);
}
