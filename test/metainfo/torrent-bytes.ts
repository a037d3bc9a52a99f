/** Makes valid and invalid .torrents from bytes: keys stay as given, in the given order. */

/** Already encoded. */
export class Raw {
  readonly bytes: Buffer;
  constructor(bytes: string | Buffer) {
    this.bytes = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
  }
}

export type Value = number | string | Buffer | Raw | readonly Value[] | Dictionary;
export interface Dictionary {
  readonly [key: string]: Value | undefined;
}

/** Strings are written as UTF-8; keys whose value is undefined are left out. */
export function bencoded(value: Value): Buffer {
  if (value instanceof Raw) return value.bytes;
  if (typeof value === 'number') return Buffer.from(`i${value}e`);
  if (typeof value === 'string') return bencoded(Buffer.from(value));
  if (Buffer.isBuffer(value)) return Buffer.concat([Buffer.from(`${value.length}:`), value]);
  if (isList(value)) return Buffer.concat([Buffer.from('l'), ...value.map(bencoded), Buffer.from('e')]);
  const entries = Object.entries(value).flatMap(([key, item]) =>
    item === undefined ? [] : [bencoded(key), bencoded(item)],
  );
  return Buffer.concat([Buffer.from('d'), ...entries, Buffer.from('e')]);
}

function isList(value: readonly Value[] | Dictionary): value is readonly Value[] {
  return Array.isArray(value);
}

export const pieces = (count: number): Buffer => Buffer.alloc(20 * count, 'p');

/** Makes a v1 torrent of one file of 5 bytes, with changes. */
export function single(info: Dictionary = {}, top: Dictionary = {}): Buffer {
  return bencoded({ info: { length: 5, name: 'n', 'piece length': 16384, pieces: pieces(1), ...info }, ...top });
}

/** Makes a v1 torrent of files; 40,000 bytes would be 3 pieces. */
export function multi(files: readonly Value[], info: Dictionary = {}): Buffer {
  return bencoded({ info: { files, name: 'n', 'piece length': 16384, pieces: pieces(1), ...info } });
}

/** A file of a v1 torrent. */
export function file(path: string, length = 5, more: Dictionary = {}): Dictionary {
  return { length, path: path.split('/'), ...more };
}
