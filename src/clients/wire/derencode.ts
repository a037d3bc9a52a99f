/**
 * Decodes rencode (`rencode.ts`) step by step, within an allowance. A length is believed only once its bytes are there,
 * and every value takes at least one byte.
 */
import type { Allowance } from './allowance.ts';
import type { Rencodable } from './rencode.ts';
import {
  DECIMAL,
  DICT,
  END,
  FALSE,
  FLOAT32,
  FLOAT64,
  INT8,
  INT16,
  INT32,
  INT64,
  LIST,
  NEGATIVE,
  NONE,
  POSITIVE,
  SHORT_DICT,
  SHORT_LIST,
  SHORT_STRING,
  TRUE,
} from './rencode-types.ts';
import { Budget, Excess, LONGEST_NUMBER, LONGEST_TEXT, type Steps } from './slices.ts';

/** A list or a dictionary whose end has not come yet. `left`: how many items are still to come; undefined: until the end byte. */
type Open =
  | { readonly list: Rencodable[]; left: number | undefined }
  | {
      readonly list?: undefined;
      readonly dict: { [key: string]: Rencodable };
      left: number | undefined;
      /** Of the value that comes next. */
      key: string | number;
      keys: number;
    };

/**
 * Gives the one value that takes all of `bytes`. Strings that are not UTF-8 become bytes, integers beyond 2^53 bigints,
 * dictionaries objects without a prototype. @throws SyntaxError for anything else, Excess for more than is allowed
 */
export function* derencodeSteps(bytes: Buffer, allowed: Allowance): Steps<Rencodable> {
  const reader = new Reader(bytes);
  const budget = new Budget(allowed);
  const open: Open[] = [];
  for (;;) {
    if (budget.value()) yield;
    let value: Rencodable;
    const begun = reader.opened();
    if (begun === undefined) value = reader.scalar();
    else {
      budget.list(open.length);
      if (reader.hasMore(begun)) {
        if (begun.list === undefined) nextKey(begun, reader, budget);
        open.push(begun);
        continue;
      }
      value = begun.list ?? begun.dict;
    }

    // A value has ended, and with it, perhaps, those around it.
    for (;;) {
      const last = open.at(-1);
      if (last === undefined) {
        reader.end();
        return value;
      }
      if (last.list !== undefined) last.list.push(value);
      else last.dict[last.key] = value;
      if (last.left !== undefined) last.left -= 1;
      if (reader.hasMore(last)) {
        if (last.list === undefined) nextKey(last, reader, budget);
        break;
      }
      value = last.list ?? last.dict;
      open.pop();
    }
  }
}

function nextKey(open: Extract<Open, { key: unknown }>, reader: Reader, budget: Budget): void {
  open.key = reader.key();
  budget.key(++open.keys, open.key);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

class Reader {
  #at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  end(): void {
    if (this.#at < this.#bytes.length)
      throw new SyntaxError(`rencode: something follows the value at byte ${this.#at}`);
  }

  /** Goes past the type byte of a list or dictionary; undefined where a scalar comes. */
  opened(): Open | undefined {
    const type = this.#bytes[this.#at];
    if (type === undefined) throw new SyntaxError('rencode: cut off');
    const isList = type === LIST || type >= SHORT_LIST.first;
    if (!isList && type !== DICT && !(type >= SHORT_DICT.first && type < END)) return undefined;
    this.#at += 1;
    if (isList) return { list: [], left: type === LIST ? undefined : type - SHORT_LIST.first };
    return { dict: Object.create(null), left: type === DICT ? undefined : type - SHORT_DICT.first, key: '', keys: 0 };
  }

  /** Whether another item comes; goes past the end byte where none does. */
  hasMore({ left }: Open): boolean {
    if (left !== undefined) return left > 0;
    if (this.#bytes[this.#at] !== END) return true;
    this.#at += 1;
    return false;
  }

  key(): string | number {
    const key = this.scalar();
    if (typeof key !== 'string' && typeof key !== 'number') throw new SyntaxError('rencode: a key that is no text');
    return key;
  }

  scalar(): Rencodable {
    const type = this.#take(1).readUInt8();
    if (type < POSITIVE.count) return type;
    if (type >= SHORT_STRING.first && type < SHORT_LIST.first) return this.#text(type - SHORT_STRING.first);
    if (type >= NEGATIVE.first && type < SHORT_DICT.first) return NEGATIVE.first - 1 - type;
    if (type >= 0x30 && type <= 0x39) {
      this.#at -= 1;
      return this.#text(Number(this.#digits(':'.charCodeAt(0), 10)));
    }
    if (type === DECIMAL) return small(this.#digits(END, LONGEST_NUMBER));
    if (type === INT8) return this.#take(1).readInt8();
    if (type === INT16) return this.#take(2).readInt16BE();
    if (type === INT32) return this.#take(4).readInt32BE();
    if (type === INT64) return small(this.#take(8).readBigInt64BE());
    if (type === FLOAT32) return this.#take(4).readFloatBE();
    if (type === FLOAT64) return this.#take(8).readDoubleBE();
    if (type === TRUE || type === FALSE) return type === TRUE;
    if (type === NONE) return null;
    throw new SyntaxError(`rencode: no value begins with ${type}, at byte ${this.#at - 1}`);
  }

  #text(length: number): string | Buffer {
    const bytes = this.#take(length);
    if (length > LONGEST_TEXT) throw new Excess(`a text of more than ${LONGEST_TEXT} bytes`);
    try {
      return utf8.decode(bytes);
    } catch {
      return Buffer.from(bytes);
    }
  }

  #digits(end: number, most: number): bigint {
    const stop = this.#bytes.subarray(this.#at, this.#at + most + 1).indexOf(end);
    const text = stop < 0 ? '' : this.#take(stop + 1).toString('latin1', 0, stop);
    if (!/^-?\d+$/.test(text)) throw new SyntaxError(`rencode: no number at byte ${this.#at}`);
    return BigInt(text);
  }

  #take(length: number): Buffer {
    if (length < 0 || length > this.#bytes.length - this.#at) throw new SyntaxError('rencode: cut off');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

function small(value: bigint): number | bigint {
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}
