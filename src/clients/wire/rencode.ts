/**
 * rencode, the encoding of Deluge's RPC: a type byte, then the value; small integers, strings, lists and dictionaries
 * have their size in the type byte. The bytes are those of rencode 1.0.6 (which Deluge 2.0.3 uses), compared in the test.
 */
import {
  DECIMAL,
  DICT,
  END,
  FALSE,
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

export type Rencodable =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly Rencodable[]
  | { readonly [key: string]: Rencodable };

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
