/** Damaged torrents are refused with the right error, or read into something that keeps the promises of `metainfo.ts`. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { AutotorrentError } from '../../src/errors.ts';
import type { Metainfo } from '../../src/metainfo/metainfo.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { checkPromises, SEEDS } from './promises.ts';
import { bencoded } from './torrent-bytes.ts';

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
