import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { type Extent, GAP, ZEROS } from '../../src/extent/extent.ts';
import { coalesce, ExtentMap } from '../../src/extent/extent-map.ts';

/** Extents that lie end to end, from (length, source, source offset). */
function layOut(parts: readonly (readonly [number, number, number])[]): Extent[] {
  let offset = 0;
  return parts.map(([length, source, sourceOffset]) => {
    const extent = { offset, length, source, sourceOffset: source < 0 ? 0 : sourceOffset };
    offset += length;
    return extent;
  });
}

/** Where each byte comes from, one string a byte. */
function bytesOf(extents: Iterable<Extent>): string[] {
  return [...extents].flatMap(({ length, source, sourceOffset }) =>
    Array.from({ length }, (_, i) => (source < 0 ? `${source}` : `${source}:${sourceOffset + i}`)),
  );
}

const arbitraryExtents = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: -2, max: 2 }), fc.integer({ min: 0, max: 12 })), {
    maxLength: 12,
  })
  .map(layOut);
const lengthOf = (extents: readonly Extent[]): number => extents.reduce((sum, { length }) => sum + length, 0);

describe('ExtentMap', () => {
  it('answers for every range as the bytes one by one do', () => {
    fc.assert(
      fc.property(arbitraryExtents, fc.nat(120), fc.nat(120), (extents, offset, length) => {
        const map = ExtentMap.from(extents, lengthOf(extents));
        const slice = map.slice(offset, length);
        assert.deepEqual(bytesOf(slice), bytesOf(extents).slice(offset, offset + length));
        let at = offset;
        for (const extent of slice) {
          assert.equal(extent.offset, at);
          assert.ok(extent.length > 0);
          at += extent.length;
        }
        assert.deepEqual(bytesOf(map), bytesOf(extents));
      }),
    );
  });

  it('counts bytes by kind', () => {
    fc.assert(
      fc.property(arbitraryExtents, (extents) => {
        const map = ExtentMap.from(extents, lengthOf(extents));
        const bytes = bytesOf(extents);
        assert.equal(map.bytesIn('zeros'), bytes.filter((b) => b === String(ZEROS)).length);
        assert.equal(map.bytesIn('gaps'), bytes.filter((b) => b === String(GAP)).length);
        assert.equal(map.bytesIn('sources') + map.bytesIn('zeros') + map.bytesIn('gaps'), map.length);
      }),
    );
  });

  it('merges what continues, and nothing else', () => {
    const merged = coalesce(
      layOut([
        [4, 1, 0],
        [4, 1, 4],
        [4, 1, 9],
        [2, ZEROS, 0],
        [2, ZEROS, 0],
        [2, GAP, 0],
        [2, 2, 8],
        [2, 3, 10],
      ]),
    );
    assert.deepEqual(
      merged.map(({ offset, length, source }) => [offset, length, source]),
      [
        [0, 8, 1],
        [8, 4, 1],
        [12, 4, ZEROS],
        [16, 2, GAP],
        [18, 2, 2],
        [20, 2, 3],
      ],
    );
    fc.assert(
      fc.property(arbitraryExtents, (extents) => {
        const once = coalesce(extents);
        assert.deepEqual(coalesce(once), once);
        assert.deepEqual(bytesOf(once), bytesOf(extents));
      }),
    );
  });

  it('holds large files and many extents', () => {
    const huge = ExtentMap.single(2 ** 52, 7, 2 ** 52 - 1);
    assert.deepEqual(huge.slice(2 ** 52 - 1, 9), [
      { offset: 2 ** 52 - 1, length: 1, source: 7, sourceOffset: 2 ** 53 - 2 },
    ]);
    const many = ExtentMap.from(layOut(Array.from({ length: 12_800 }, (_, i) => [5, i % 3, i * 7] as const)), 64_000);
    assert.equal(many.count, 12_800);
    assert.deepEqual(many.slice(63_999, 1), [
      { offset: 63_999, length: 1, source: 12_799 % 3, sourceOffset: 12_799 * 7 + 4 },
    ]);
  });

  it('has nothing in an empty file, and nothing behind the end', () => {
    const empty = ExtentMap.from([], 0);
    assert.deepEqual([empty.count, empty.slice(0, 10), [...empty]], [0, [], []]);
    assert.deepEqual(ExtentMap.single(0, 3).slice(0, 1), []);
    assert.deepEqual(ExtentMap.single(5, 3).slice(5, 1), []);
    assert.deepEqual(ExtentMap.single(5, ZEROS).slice(4, 10), [
      { offset: 4, length: 1, source: ZEROS, sourceOffset: 0 },
    ]);
  });

  it('refuses what is no cover of the file', () => {
    const good = { offset: 0, length: 5, source: 1, sourceOffset: 0 };
    const bad: readonly (readonly [string, Extent[], number])[] = [
      ['too short', [good], 6],
      ['too long', [good], 4],
      ['a hole', [good, { ...good, offset: 6 }], 11],
      ['an overlap', [good, { ...good, offset: 4 }], 9],
      ['out of order', [{ ...good, offset: 5 }, good], 10],
      ['an empty extent', [good, { ...good, offset: 5, length: 0 }], 5],
      ['a negative length', [{ ...good, length: -5 }], 0],
      ['half a byte', [{ ...good, length: 0.5 }], 0.5],
      ['no such source', [{ ...good, source: -3 }], 5],
      ['half a source', [{ ...good, source: 0.5 }], 5],
      ['zeros from somewhere', [{ ...good, source: ZEROS, sourceOffset: 1 }], 5],
      ['a negative source offset', [{ ...good, sourceOffset: -1 }], 5],
      ['an unsafe source offset', [{ ...good, sourceOffset: Number.MAX_SAFE_INTEGER }], 5],
      ['an unsafe length', [{ ...good, length: 2 ** 53 }], 2 ** 53],
      ['NaN', [{ ...good, length: Number.NaN }], Number.NaN],
    ];
    for (const [what, extents, length] of bad) assert.throws(() => ExtentMap.from(extents, length), RangeError, what);
    for (const [offset, length] of [
      [-1, 1],
      [0, -1],
      [0.5, 1],
      [Number.NaN, 1],
      [0, 2 ** 53],
    ] as const) {
      assert.throws(() => ExtentMap.single(5, 1).slice(offset, length), RangeError);
    }
  });
});
