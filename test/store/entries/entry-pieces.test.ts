import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { hasBit, setBit } from '../../../src/extent/bitfield.ts';
import { EntryPieces } from '../../../src/store/entries/entry-pieces.ts';

const LENGTH = 10;
const COUNT = 20;
const NONE = Buffer.alloc(3);
const bits = (...pieces: readonly number[]): Buffer => {
  const map = Buffer.alloc(3);
  for (const piece of pieces) setBit(map, piece);
  return map;
};
const listed = (map: Buffer): number[] => Array.from({ length: COUNT }, (_, i) => i).filter((i) => hasBit(map, i));
const pieces = (...verified: readonly number[]): EntryPieces =>
  new EntryPieces(1, 'x', LENGTH, COUNT, bits(...verified));

describe('the pieces of an entry', () => {
  it('are touched by each byte of theirs, and by no other', () => {
    fc.assert(
      fc.property(fc.nat(COUNT * LENGTH + 20), fc.nat(60), (offset, length) => {
        const all = pieces(...Array.from({ length: COUNT }, (_, i) => i));
        const touched = new Set<number>();
        for (let at = offset; at < offset + length; at++) touched.add(Math.floor(at / LENGTH));
        const left = listed(all.map).filter((piece) => !touched.has(piece));
        assert.deepEqual(listed(all.without(offset, offset + length)), left);
        assert.equal(all.hasVerified(offset, offset + length), left.length < COUNT);
        assert.equal(all.verified, COUNT, 'the map itself stays until the new one is recorded');
      }),
    );
  });

  it('count after a verification that found them good, unless they changed since it began', () => {
    const some = pieces(0, 1);
    some.noteChange(0, 5);
    const since = some.sequence;
    some.noteChange(35, 45);
    const after = some.after({ since, good: bits(0, 2, 3, 4, 5), bad: bits(1) });
    assert.deepEqual(listed(after), [0, 2, 5]);
  });

  it('stay as they are while they are being changed, whenever a verification began and ended', () => {
    const some = pieces(7);
    const before = some.sequence;
    const done = some.changing(25, 35);
    const during = some.sequence;
    assert.deepEqual(listed(some.after({ since: before, good: bits(2, 3, 4), bad: NONE })), [4, 7]);
    assert.deepEqual(listed(some.after({ since: during, good: bits(2, 3, 4), bad: NONE })), [4, 7]);
    const other = some.changing(30, 41);
    done();
    assert.deepEqual(listed(some.after({ since: some.sequence, good: bits(2, 3, 4), bad: NONE })), [2, 7]);
    other();
    assert.deepEqual(listed(some.after({ since: during, good: bits(2, 3, 4), bad: NONE })), [7]);
    assert.deepEqual(listed(some.after({ since: some.sequence, good: bits(2, 3, 4), bad: NONE })), [2, 3, 4, 7]);
  });

  it('are none where the torrent has none', () => {
    const none = new EntryPieces(1, 'x', 0, 0, Buffer.alloc(0));
    none.noteChange(0, 100);
    none.changing(0, 100)();
    assert.equal(none.hasVerified(0, 100), false);
    assert.equal(none.without(0, 100).length, 0);
    assert.equal(none.verified, 0);
  });
});
