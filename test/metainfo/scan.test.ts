import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AutotorrentError } from '../../src/errors.ts';
import { entriesAt } from '../../src/metainfo/bencoded.ts';
import { MAX_DEPTH, scan } from '../../src/metainfo/scan.ts';

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
const dictionary = (keys: readonly string[]): Buffer =>
  latin1(`d${keys.map((key) => `${key.length}:${key}0:`).join('')}e`);

describe('the scanner', () => {
  for (const text of [
    'i0e',
    'i-1e',
    'i42e',
    'i9223372036854775807e',
    'i-9223372036854775808e',
    '0:',
    '4:spam',
    'le',
    'de',
    'li1e0:dee',
    'd0:i1ee',
    'd1:b0:1:a0:e',
    'd1:ad1:ai1eee',
    'd3:abc0:2:ab0:e',
    'i1e \r\n\t',
    `${'l'.repeat(MAX_DEPTH)}${'e'.repeat(MAX_DEPTH)}`,
  ]) {
    it(`takes ${text.slice(0, 40)}`, () => scan(latin1(text)));
  }

  for (const text of [
    '',
    'i',
    'ie',
    'i-e',
    'i-0e',
    'i00e',
    'i01e',
    'i-01e',
    'i+1e',
    'i1.0e',
    'i 1e',
    'i1',
    'i1x',
    'i9223372036854775808e',
    'i-9223372036854775809e',
    'i99999999999999999999999e',
    '4',
    '4:',
    '4:spa',
    '04:spam',
    '00:',
    '4spam',
    '-1:a',
    '+1:a',
    '99999999999999999999:',
    'l',
    'li1e',
    'd',
    'd1:a',
    'd1:ae',
    'd1:ai1e',
    'di1ei1ee',
    'dlei1ee',
    'd1:ai1e1:ai2ee',
    'd1:ai1e1:bi1e1:ai1ee',
    'd1:bi1e1:ai1e1:bi1ee',
    'e',
    'x',
    'i1ei1e',
    'i1e\0',
    ' i1e',
    'lxe',
    `${'l'.repeat(MAX_DEPTH + 1)}${'e'.repeat(MAX_DEPTH + 1)}`,
    'd'.repeat(100_000),
    'l'.repeat(5_000_000),
    'd1:a'.repeat(100_000),
  ]) {
    it(`refuses ${text.slice(0, 40)}`, () => {
      assert.throws(
        () => scan(latin1(text)),
        (error) => error instanceof AutotorrentError && error.code === 'TORRENT',
      );
    });
  }

  it('finds a key that stands twice, far apart, among 200,000', () => {
    const keys = Array.from({ length: 200_000 }, (_, i) => `key ${(i * 7919) % 200_000}`);
    scan(dictionary(keys));
    scan(dictionary(keys.toSorted()));
    assert.throws(() => scan(dictionary([...keys, 'key 17'])), /"key 17" stands twice/);
    assert.throws(() => scan(dictionary(['key 17', ...keys.toSorted()])), /"key 17" stands twice/);
  });

  it('takes 200,000 small dictionaries, and finds the bad one', () => {
    const small = 'd1:b0:1:a0:1:c0:e';
    scan(latin1(`l${small.repeat(200_000)}e`));
    assert.throws(() => scan(latin1(`l${small.repeat(200_000)}d1:b0:1:a0:1:b0:ee`)), /"b" stands twice/);
  });

  it('keeps the keys of dictionaries in each other apart', () => {
    const inner = (depth: number): string => (depth === 0 ? '0:' : `d1:b${inner(depth - 1)}1:a0:1:c0:e`);
    scan(latin1(inner(100)));
    assert.throws(() => scan(latin1(`d1:b${inner(50)}1:a0:1:b0:e`)), /"b" stands twice/);
  });

  it('names the byte', () => {
    assert.throws(() => scan(latin1('d4:infod3:abci007eee')), /byte 13/);
  });

  it('leaves bytes that can be walked', () => {
    const raw = latin1('d1:ali1e2:bcdee2:\xff\xfei-7ee');
    scan(raw);
    assert.deepEqual(
      [...entriesAt(raw, 0)].map(([key, { start, end }]) => [key, raw.toString('latin1', start, end)]),
      [
        ['a', 'li1e2:bcdee'],
        ['\xff\xfe', 'i-7e'],
      ],
    );
  });
});
