/** Damaged torrents are refused with the right error, or read into something that keeps the promises of `metainfo.ts`. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { AutotorrentError } from '../../src/errors.ts';
import type { Metainfo } from '../../src/metainfo/metainfo.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { pieceSpans } from '../../src/metainfo/piece-layout.ts';
import { bencoded, file, multi, pieces, single } from './torrent-bytes.ts';

const root = Buffer.alloc(32, 'r');
const node = { '': { length: 5, 'pieces root': root } };
const SEEDS: readonly Buffer[] = [
  single({ private: 1, 'name.utf-8': 'né' }, { announce: 'http://a/', 'announce-list': [['http://a/']] }),
  multi(
    [file('a/b', 9), { attr: 'p', length: 7, path: ['.pad', '7'] }, file('a/c', 30, { 'path.utf-8': ['a', 'é'] })],
    {
      'piece length': 16,
      pieces: pieces(3),
    },
  ),
  multi([file('a', 1), { attr: 'l', path: ['b'], 'symlink path': ['a'] }]),
  bencoded({ info: { 'file tree': { a: node, b: { c: node } }, 'meta version': 2, name: 'n', 'piece length': 16384 } }),
  single({ 'file tree': { n: node }, 'meta version': 2 }),
];

/** Checks the promises of `metainfo.ts`. */
function checkPromises(meta: Metainfo, raw: Buffer): void {
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
    for (const component of path) assert.ok(Buffer.byteLength(component) <= 255);
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

const change = fc.record({
  at: fc.nat(),
  remove: fc.nat({ max: 12 }),
  insert: fc.oneof(
    fc.uint8Array({ maxLength: 3 }).map((bytes) => Buffer.from(bytes)),
    fc
      .constantFrom(
        '',
        'e',
        'd',
        'l',
        'i0e',
        'i-1e',
        'i9007199254740993e',
        '0:',
        '1:.',
        '2:..',
        '1:/',
        '1:a',
        '4:path',
        '6:length',
        '4:attr',
        'le',
        'de',
      )
      .map((text) => Buffer.from(text)),
  ),
});

function apply(seed: Buffer, changes: readonly { at: number; remove: number; insert: Buffer }[]): Buffer {
  let raw = seed;
  for (const { at, remove, insert } of changes) {
    const from = at % (raw.length + 1);
    raw = Buffer.concat([raw.subarray(0, from), insert, raw.subarray(from + remove)]);
  }
  return raw;
}

function parseOrRefuse(raw: Buffer): boolean {
  let meta: Metainfo;
  try {
    meta = parseMetainfo(raw);
  } catch (error) {
    if (error instanceof AutotorrentError && error.code === 'TORRENT') return false;
    throw error;
  }
  checkPromises(meta, raw);
  return true;
}

describe('damaged torrents', () => {
  it('are good before they are damaged', () => {
    for (const seed of SEEDS) assert.ok(parseOrRefuse(seed));
  });

  it('are refused or read, never anything else', () => {
    fc.assert(
      fc.property(fc.constantFrom(...SEEDS), fc.array(change, { minLength: 1, maxLength: 4 }), (seed, changes) => {
        parseOrRefuse(apply(seed, changes));
      }),
      { numRuns: 3000 },
    );
  });

  it('with a single byte changed are so, too, wherever it stands', () => {
    let read = 0;
    for (const seed of SEEDS) {
      for (let at = 0; at < seed.length; at++) {
        for (const byte of [0, 0x2e, 0x2f, 0x30, 0x31, 0x39, 0x65, 0x64, 0xff]) {
          const raw = Buffer.from(seed);
          raw[at] = byte;
          if (parseOrRefuse(raw)) read++;
        }
      }
    }
    assert.ok(read > 500, `only ${read} were read: the check of what is read sees too little`);
  });

  it('cut off anywhere are refused', () => {
    for (const seed of SEEDS) {
      for (let length = 0; length < seed.length; length++) assert.ok(!parseOrRefuse(seed.subarray(0, length)));
    }
  });

  it('made of values only are refused or read', () => {
    const value = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.integer().map((n) => bencoded(n)),
        fc.uint8Array({ maxLength: 30 }).map((bytes) => bencoded(Buffer.from(bytes))),
        fc.array(tie('value'), { maxLength: 4 }).map((items) => joined('l', items)),
        fc.array(tie('entry'), { maxLength: 4 }).map((items) => joined('d', items)),
      ),
      entry: fc
        .tuple(
          fc.constantFrom('info', 'length', 'files', 'path', 'name', 'pieces', 'piece length', 'attr', ''),
          tie('value'),
        )
        .map(([key, item]) => Buffer.concat([bencoded(key), asBuffer(item)])),
    })).value;
    fc.assert(
      fc.property(value, (item) => {
        parseOrRefuse(asBuffer(item));
        parseOrRefuse(Buffer.concat([Buffer.from('d4:info'), asBuffer(item), Buffer.from('e')]));
      }),
      { numRuns: 1000 },
    );
  });
});

function asBuffer(item: unknown): Buffer {
  assert.ok(Buffer.isBuffer(item));
  return item;
}

function joined(begin: string, items: readonly unknown[]): Buffer {
  return Buffer.concat([Buffer.from(begin), ...items.map(asBuffer), Buffer.from('e')]);
}
