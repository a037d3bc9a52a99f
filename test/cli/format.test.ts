import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bytes, duration, percent } from '../../src/app/quantities.ts';
import { columns, quoted, table } from '../../src/cli/format.ts';
import { rendered } from '../../src/cli/markup.ts';

describe('quantities', () => {
  it('tells bytes in decimal units', () => {
    const cases: readonly [number, string][] = [
      [0, '0 bytes'],
      [1, '1 byte'],
      [999, '999 bytes'],
      [1000, '1.0 kB'],
      [999_949, '999.9 kB'],
      [999_951, '1.0 MB'],
      [4_200_000, '4.2 MB'],
      [5_000_000_000_000, '5.0 TB'],
    ];
    for (const [count, text] of cases) assert.equal(bytes(count), text);
  });
  it('never calls a share whole while something is missing', () => {
    assert.equal(percent(99_999_999, 100_000_000), '99.99%');
    assert.equal(percent(100, 100), '100.00%');
    assert.equal(percent(0, 0), '100.00%');
    assert.equal(percent(9312, 10_000), '93.12%');
  });
  it('tells the two largest units of a duration', () => {
    assert.equal(duration(0), '0s');
    assert.equal(duration(0.0501), '50ms');
    assert.equal(duration(61), '1m 1s');
    assert.equal(duration(90_000), '1d 1h');
    assert.equal(duration(3600), '1h');
  });
});

describe('names on a line', () => {
  it('are quoted as the original quoted them', () => {
    assert.equal(quoted('plain'), "'plain'");
    assert.equal(quoted("it's"), `"it's"`);
    assert.equal(quoted(`it's "both"`), `'it\\'s "both"'`);
    assert.equal(quoted('back\\slash'), "'back\\\\slash'");
    assert.equal(quoted('東京'), "'東京'");
  });
  it('cannot drive the terminal that prints them', () => {
    assert.equal(rendered(quoted('a\nb\x1b[31m\u009b')), "'a\\nb\\x1b[31m\\x9b'");
  });
});

describe('a table', () => {
  it('aligns by columns of the terminal', () => {
    assert.deepEqual(
      table(
        ['A', 'N'],
        [
          ['東京', '1'],
          ['x', '10'],
        ],
        new Set([1]),
      ).map(rendered),
      ['A      N', '東京   1', 'x     10'],
    );
  });
  it('aligns what it escaped', () => {
    const lines = table(['A', 'N'], [['a\x1b', '1']], new Set([1])).map(rendered);
    assert.deepEqual(lines, ['A      N', 'a\\x1b  1']);
  });
  it('counts wide and combining characters', () => {
    assert.equal(columns('ab'), 2);
    assert.equal(columns('東京'), 4);
    assert.equal(columns('e\u0301'), 1);
  });
});
