/** Adds a key to a .torrent without touching any other byte: the info dictionary, and so the info hash, stay the same. */
import bencode from 'bencode';
import { endOf, kindAt, stringSpan } from './bencoded.ts';
import { refuse } from './refuse.ts';
import { E, scan } from './scan.ts';

/** The values that bencode can express. Text is written as UTF-8; keys are ordered by UTF-16 units. */
export type BencodeValue =
  | number
  | string
  | Uint8Array
  | readonly BencodeValue[]
  | { readonly [key: string]: BencodeValue };

/**
 * Copies the .torrent `raw` with `key` in its top-level dictionary: it replaces a value that is there, or goes before the
 * first greater key. For rTorrent's `libtorrent_resume`.
 * @throws AutotorrentError('TORRENT') if `raw` is no bencoded dictionary
 * @throws TypeError for values that bencode lacks
 */
export function withTopLevelKey(raw: Buffer, key: string, value: BencodeValue): Buffer {
  scan(raw);
  if (kindAt(raw, 0) !== 'dictionary') refuse('it is not a dictionary');
  checkEncodable(value);
  const keyBytes = Buffer.from(key);
  const entry = Buffer.concat([Buffer.from(`${keyBytes.length}:`), keyBytes, bencode.encode(value)]);
  let insertAt: number | undefined;
  let position = 1;
  while (raw[position] !== E) {
    const { start, end } = stringSpan(raw, position);
    const order = raw.compare(keyBytes, 0, keyBytes.length, start, end);
    const valueEnd = endOf(raw, end);
    if (order === 0) return Buffer.concat([raw.subarray(0, position), entry, raw.subarray(valueEnd)]);
    if (order > 0) insertAt ??= position;
    position = valueEnd;
  }
  const at = insertAt ?? position;
  return Buffer.concat([raw.subarray(0, at), entry, raw.subarray(at)]);
}

/** Rejects values that the package drops while it keeps their keys: bigints, null, undefined and others. */
function checkEncodable(value: unknown): void {
  if (typeof value === 'string' || value instanceof Uint8Array) return;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return;
  if (Array.isArray(value)) return value.forEach(checkEncodable);
  if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.values(value).forEach(checkEncodable);
  }
  throw new TypeError(`bencode has no ${typeof value === 'number' ? `number ${value}` : typeof value}`);
}
