/** What `parseMetainfo` promises of its result, and torrents of every kind. */
import assert from 'node:assert/strict';
import type { Metainfo } from '../../src/metainfo/metainfo.ts';
import { pieceSpans } from '../../src/metainfo/piece-layout.ts';
import { OPENED_PATH_BYTES, SHOWN_NAME_BYTES } from '../../src/name-limits.ts';
import { bencoded, file, multi, pieces, single } from './torrent-bytes.ts';

const root = Buffer.alloc(32, 'r');
const node = { '': { length: 5, 'pieces root': root } };
export const SEEDS: readonly Buffer[] = [
  single({ private: 1, 'name.utf-8': 'né' }, { announce: 'http://a/', 'announce-list': [['http://a/']] }),
  multi(
    [file('a/b', 9), { attr: 'p', length: 7, path: ['.pad', '7'] }, file('a/c', 30, { 'path.utf-8': ['a', 'é'] })],
    {
      'piece length': 16,
      pieces: pieces(3),
    },
  ),
  multi([file('a', 1), { attr: 'l', path: ['b'], 'symlink path': ['a'] }]),
  multi([{ length: 5, path: ['', 'a', ''] }, file('x'.repeat(256), 7), { length: 5, path: [''] }], { name: '' }),
  single({ name: 'é'.repeat(520) }),
  bencoded({ info: { 'file tree': { a: node, b: { c: node } }, 'meta version': 2, name: 'n', 'piece length': 16384 } }),
  single({ 'file tree': { n: node }, 'meta version': 2 }),
];

/** Checks the promises of `metainfo.ts`. */
export function checkPromises(meta: Metainfo, raw: Buffer): void {
  assert.equal(meta.raw, raw);
  assert.match(meta.infoHash, /^[0-9a-f]{40}$/);
  assert.equal(meta.pieces.length, meta.version === 'v2' ? 0 : meta.pieceCount * 20);
  const paths = new Set<string>();
  for (const [index, { path, rawPath, length, offset, pad, index: own }] of meta.files.entries()) {
    assert.equal(own, index);
    assert.ok(Number.isSafeInteger(length) && length >= 0 && Number.isSafeInteger(offset));
    assert.ok(path.length > 0 && rawPath.length > 0);
    for (const component of [meta.name, ...path, ...rawPath.map((bytes) => bytes.toString('latin1'))]) {
      assert.ok(component !== '' && component !== '.' && component !== '..' && !/[/\0]/.test(component));
    }
    for (const component of [meta.name, ...path]) assert.ok(Buffer.byteLength(component) <= SHOWN_NAME_BYTES);
    assert.ok(Buffer.byteLength([meta.name, ...path].join('/')) < OPENED_PATH_BYTES);
    const key = path.join('/');
    assert.ok(pad || !paths.has(key));
    paths.add(key);
  }
  if (meta.pieceCount > 1000) return;
  let bytes = 0;
  for (let piece = 0; piece < meta.pieceCount; piece++) {
    for (const span of pieceSpans(meta, piece)) bytes += span.length;
  }
  assert.equal(bytes, meta.totalLength);
}
