/** Adds to a .torrent without touching a byte of the rest: the info dictionary, and so the info hash, stay as they are. */
import bencode from 'bencode';
import { endOf, kindAt, stringSpan } from './bencoded.ts';
import { refuse } from './refuse.ts';
import { E, scan } from './scan.ts';

/** What bencode can say. Text is written as UTF-8; a key's order is that of its UTF-16 units. */
export type BencodeValue =
  | number
  | string
  | Uint8Array
  | readonly BencodeValue[]
  | { readonly [key: string]: BencodeValue };

/**
 * A copy of the .torrent `raw` with `key` in its top-level dictionary, in place of the value it may have there; else
 * before the first key that is greater. For rTorrent's `libtorrent_resume`.
 * Throws AutotorrentError('TORRENT') where `raw` is no bencoded dictionary, TypeError for values that bencode lacks.
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

/** The package drops what it does not know, bigints, null and undefined among it, and leaves their keys behind. */
function checkEncodable(value: unknown): void {
  if (typeof value === 'string' || value instanceof Uint8Array) return;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return;
  if (Array.isArray(value)) return value.forEach(checkEncodable);
  if (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.values(value).forEach(checkEncodable);
  }
  throw new TypeError(`bencode has no ${typeof value === 'number' ? `number ${value}` : typeof value}`);
}
