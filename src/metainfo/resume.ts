/** Adds a key beside `info` in a .torrent, leaving the bytes of `info` as they are: the info hash must not change. */

/** `raw` with the top-level `key` (which it does not have) set to `value`: numbers, strings, Buffers, arrays, objects. */
export function withTopLevelKey(raw: Buffer, key: string, value: unknown): Buffer {
  return Buffer.concat([raw.subarray(0, -1), encoded(key), encoded(value), Buffer.from('e')]);
}

function encoded(value: unknown): Buffer {
  if (typeof value === 'number') return Buffer.from(`i${value}e`);
  if (typeof value === 'string') return encoded(Buffer.from(value));
  if (Buffer.isBuffer(value)) return Buffer.concat([Buffer.from(`${value.length}:`), value]);
  if (Array.isArray(value)) return Buffer.concat([Buffer.from('l'), ...value.map(encoded), Buffer.from('e')]);
  if (typeof value !== 'object' || value === null) throw new TypeError(`cannot be bencoded: ${typeof value}`);
  const pairs = Object.entries(value).toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return Buffer.concat([Buffer.from('d'), ...pairs.flatMap(([k, v]) => [encoded(k), encoded(v)]), Buffer.from('e')]);
}
