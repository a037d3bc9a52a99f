/**
 * rencode, the encoding of Deluge's RPC: a type byte, then the value; small integers, strings, lists and dictionaries
 * have their size in the type byte. The bytes are those of rencode 1.0.6 (which Deluge 2.0.3 uses), compared in the test.
 *
 * What is decoded is hostile input: a length is believed only once its bytes are there, every value takes at least one
 * byte, and nesting ends at `maxDepth`.
 */

export type Rencodable =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly Rencodable[]
  | { readonly [key: string]: Rencodable };

const FLOAT64 = 44;
const LIST = 59;
const DICT = 60;
const DECIMAL = 61;
const INT8 = 62;
const INT16 = 63;
const INT32 = 64;
const INT64 = 65;
const FLOAT32 = 66;
const TRUE = 67;
const FALSE = 68;
const NONE = 69;
const END = 127;
/** A range of type bytes: the first one stands for 0 (for negative integers: for -1), and there are `count`. */
const POSITIVE = { first: 0, count: 44 };
const NEGATIVE = { first: 70, count: 32 };
const SHORT_DICT = { first: 102, count: 25 };
const SHORT_STRING = { first: 128, count: 64 };
const SHORT_LIST = { first: 192, count: 64 };
/** Digits of the longest decimal integer that is read: sizes need no more than 20. */
const MAX_DECIMAL = 64;

export function rencode(value: Rencodable): Buffer {
  const parts: Uint8Array[] = [];
  write(value, parts);
  return Buffer.concat(parts);
}

function write(value: Rencodable, parts: Uint8Array[]): void {
  if (value === null) parts.push(Buffer.of(NONE));
  else if (typeof value === 'boolean') parts.push(Buffer.of(value ? TRUE : FALSE));
  else if (typeof value === 'bigint' || Number.isSafeInteger(value)) parts.push(integer(BigInt(value as number)));
  else if (typeof value === 'number') {
    const bytes = Buffer.alloc(9, FLOAT64);
    bytes.writeDoubleBE(value, 1);
    parts.push(bytes);
  } else if (typeof value === 'string' || value instanceof Uint8Array) {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    const short = bytes.length < SHORT_STRING.count;
    parts.push(short ? Buffer.of(SHORT_STRING.first + bytes.length) : Buffer.from(`${bytes.length}:`), bytes);
  } else if (Array.isArray(value)) {
    const items = value as readonly Rencodable[];
    const short = items.length < SHORT_LIST.count;
    parts.push(Buffer.of(short ? SHORT_LIST.first + items.length : LIST));
    for (const item of items) write(item, parts);
    if (!short) parts.push(Buffer.of(END));
  } else {
    const entries = Object.entries(value);
    const short = entries.length < SHORT_DICT.count;
    parts.push(Buffer.of(short ? SHORT_DICT.first + entries.length : DICT));
    for (const [key, item] of entries) {
      write(key, parts);
      write(item, parts);
    }
    if (!short) parts.push(Buffer.of(END));
  }
}

function integer(value: bigint): Buffer {
  if (value >= 0n && value < BigInt(POSITIVE.count)) return Buffer.of(Number(value));
  if (value < 0n && value >= -BigInt(NEGATIVE.count)) return Buffer.of(NEGATIVE.first - 1 - Number(value));
  for (const [type, size] of [
    [INT8, 1],
    [INT16, 2],
    [INT32, 4],
    [INT64, 8],
  ] as const) {
    if (BigInt.asIntN(size * 8, value) !== value) continue;
    const bytes = Buffer.alloc(9, type);
    bytes.writeBigInt64BE(value << BigInt(64 - size * 8), 1);
    return bytes.subarray(0, 1 + size);
  }
  return Buffer.concat([Buffer.of(DECIMAL), Buffer.from(String(value)), Buffer.of(END)]);
}

/**
 * Decodes one value that takes all of `bytes`. Strings that are not UTF-8 become bytes, integers beyond 2^53 bigints,
 * dictionaries objects without a prototype. @throws SyntaxError on everything else
 */
export function derencode(bytes: Buffer, maxDepth = 32): Rencodable {
  const reader = new Reader(bytes, maxDepth);
  const value = reader.value(0);
  if (reader.at !== bytes.length) throw new SyntaxError(`rencode: something follows the value at byte ${reader.at}`);
  return value;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

class Reader {
  at = 0;
  readonly #bytes: Buffer;
  readonly #maxDepth: number;

  constructor(bytes: Buffer, maxDepth: number) {
    this.#bytes = bytes;
    this.#maxDepth = maxDepth;
  }

  value(depth: number): Rencodable {
    if (depth > this.#maxDepth) throw new SyntaxError(`rencode: nested deeper than ${this.#maxDepth}`);
    const type = this.#take(1).readUInt8();
    if (type < POSITIVE.count) return type;
    if (type >= SHORT_LIST.first) return this.#list(depth, type - SHORT_LIST.first);
    if (type >= SHORT_STRING.first) return this.#text(type - SHORT_STRING.first);
    if (type >= SHORT_DICT.first && type < END) return this.#dict(depth, type - SHORT_DICT.first);
    if (type >= NEGATIVE.first && type < SHORT_DICT.first) return NEGATIVE.first - 1 - type;
    if (type >= 0x30 && type <= 0x39) {
      this.at -= 1;
      return this.#text(Number(this.#digits(':'.charCodeAt(0), 10)));
    }
    if (type === LIST) return this.#list(depth);
    if (type === DICT) return this.#dict(depth);
    if (type === DECIMAL) return small(this.#digits(END, MAX_DECIMAL));
    if (type === INT8) return this.#take(1).readInt8();
    if (type === INT16) return this.#take(2).readInt16BE();
    if (type === INT32) return this.#take(4).readInt32BE();
    if (type === INT64) return small(this.#take(8).readBigInt64BE());
    if (type === FLOAT32) return this.#take(4).readFloatBE();
    if (type === FLOAT64) return this.#take(8).readDoubleBE();
    if (type === TRUE || type === FALSE) return type === TRUE;
    if (type === NONE) return null;
    throw new SyntaxError(`rencode: no value begins with ${type}, at byte ${this.at - 1}`);
  }

  /** Reads `count` items, or, without a count, items until the end byte. */
  #list(depth: number, count?: number): Rencodable[] {
    const items: Rencodable[] = [];
    while (this.#more(items.length, count)) items.push(this.value(depth + 1));
    return items;
  }

  #dict(depth: number, count?: number): { [key: string]: Rencodable } {
    const dict: { [key: string]: Rencodable } = Object.create(null);
    for (let read = 0; this.#more(read, count); read += 1) {
      const key = this.value(depth + 1);
      if (typeof key !== 'string' && typeof key !== 'number') throw new SyntaxError('rencode: a key that is no text');
      dict[key] = this.value(depth + 1);
    }
    return dict;
  }

  #more(read: number, count: number | undefined): boolean {
    if (count !== undefined) return read < count;
    if (this.#bytes[this.at] !== END) return true;
    this.at += 1;
    return false;
  }

  #text(length: number): string | Buffer {
    const bytes = this.#take(length);
    try {
      return utf8.decode(bytes);
    } catch {
      return Buffer.from(bytes);
    }
  }

  #digits(end: number, most: number): bigint {
    const stop = this.#bytes.subarray(this.at, this.at + most + 1).indexOf(end);
    const text = stop < 0 ? '' : this.#take(stop + 1).toString('latin1', 0, stop);
    if (!/^-?\d+$/.test(text)) throw new SyntaxError(`rencode: no number at byte ${this.at}`);
    return BigInt(text);
  }

  #take(length: number): Buffer {
    if (length > this.#bytes.length - this.at) throw new SyntaxError('rencode: cut off');
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }
}

function small(value: bigint): number | bigint {
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}
