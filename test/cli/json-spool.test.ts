import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { inBlocks, JsonSpool, jsonPieces, LazyList } from '../../src/cli/json-spool.ts';
import { jsonText } from '../../src/printable.ts';

const joined = (value: unknown): string => [...inBlocks(jsonPieces(value))].join('');

describe('JSON that is printed in pieces', () => {
  it('is the JSON that is printed at once', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => assert.equal(joined(value), jsonText(value, 2))));
  });

  it('leaves out what is undefined, and escapes what is active', () => {
    const value = { a: undefined, 'b\u202e': ['\u009b', { c: undefined }], d: new Date(0) };
    assert.equal(joined(value), jsonText(value, 2));
  });

  it('may have lists of which one item is in memory', () => {
    const list = (count: number) => Array.from({ length: count }, (_, i) => ({ i, more: [i] }));
    for (const count of [0, 1, 3]) {
      assert.equal(joined({ a: new LazyList(list(count)) }), jsonText({ a: list(count) }, 2));
    }
  });

  it('may have lists that wait, also in a file', () => {
    for (const count of [0, 2, 200_000]) {
      const spool = new JsonSpool(1);
      const items = Array.from({ length: count }, (_, i) => ({ i, name: 'é'.repeat(30) }));
      for (const item of items) spool.add(item);
      assert.equal(joined({ a: 1, items: spool, z: [] }), jsonText({ a: 1, items, z: [] }, 2));
    }
  });
});
