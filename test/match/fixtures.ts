/** Makes real files and .torrents with true hashes for the tests of matching. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Metainfo } from '../../src/metainfo/metainfo.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';

type Bencodable = number | string | Buffer | Bencodable[] | { [key: string]: Bencodable };
export type Files = Readonly<Record<string, Buffer>>;

export function bencode(value: Bencodable): Buffer {
  if (typeof value === 'number') return Buffer.from(`i${value}e`);
  if (typeof value === 'string') return bencode(Buffer.from(value));
  if (Buffer.isBuffer(value)) return Buffer.concat([Buffer.from(`${value.length}:`), value]);
  if (Array.isArray(value)) return Buffer.concat([Buffer.from('l'), ...value.map(bencode), Buffer.from('e')]);
  const entries = Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([key, inner]) => [bencode(key), bencode(inner)]);
  return Buffer.concat([Buffer.from('d'), ...entries, Buffer.from('e')]);
}

/** Gives bytes that differ with `seed`, always the same for one seed. */
export function content(seed: string, length: number): Buffer {
  const out = Buffer.alloc(length);
  let block = createHash('sha256').update(seed).digest();
  for (let at = 0; at < length; at += block.length) {
    block.copy(out, at);
    block = createHash('sha256').update(block).digest();
  }
  return out;
}

export const PIECE = 16384;

/** `files`: path to content, where a number is a pad of that many zeros; or the content of a single file. */
export function torrent(
  name: string | Buffer,
  files: Readonly<Record<string, Buffer | number>> | Buffer,
  pieceLength = PIECE,
): Metainfo {
  const parts = Buffer.isBuffer(files) ? [files] : Object.values(files);
  const all = Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.alloc(part) : part)));
  const digests: Buffer[] = [];
  for (let at = 0; at < all.length; at += pieceLength) {
    digests.push(
      createHash('sha1')
        .update(all.subarray(at, at + pieceLength))
        .digest(),
    );
  }
  const info: { [key: string]: Bencodable } = { name, 'piece length': pieceLength, pieces: Buffer.concat(digests) };
  if (Buffer.isBuffer(files)) info['length'] = files.length;
  else {
    info['files'] = Object.entries(files).map(([path, part]) =>
      typeof part === 'number'
        ? { attr: 'p', length: part, path: path.split('/') }
        : { length: part.length, path: path.split('/') },
    );
  }
  return parseMetainfo(bencode({ announce: 'http://127.0.0.1:1/announce', info }));
}

/** Writes `files` below `dir`, and gives `dir`. */
export function writeFiles(dir: string, files: Files): string {
  for (const [path, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), bytes);
  }
  return dir;
}
