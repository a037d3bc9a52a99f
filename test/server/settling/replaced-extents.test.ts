import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Extent, GAP } from '../../../src/extent/extent.ts';
import { ExtentMap } from '../../../src/extent/extent-map.ts';
import { replaced } from '../../../src/server/settling/replaced-extents.ts';

const FILE: readonly Extent[] = [
  { offset: 0, length: 100, source: 7, sourceOffset: 50 },
  { offset: 100, length: 100, source: GAP, sourceOffset: 0 },
  { offset: 200, length: 100, source: 9, sourceOffset: 0 },
];

describe('extents of which some are mapped anew', () => {
  it('keep what is left of a gap, on both sides of what was found', () => {
    const { extents, kept } = replaced(FILE, GAP, [{ offset: 120, length: 30, source: 0, sourceOffset: 120 }], 1);
    assert.deepEqual(kept, [7, 9]);
    assert.deepEqual(extents, [
      { offset: 0, length: 100, source: 1, sourceOffset: 50 },
      { offset: 100, length: 20, source: GAP, sourceOffset: 0 },
      { offset: 120, length: 30, source: 0, sourceOffset: 120 },
      { offset: 150, length: 50, source: GAP, sourceOffset: 0 },
      { offset: 200, length: 100, source: 2, sourceOffset: 0 },
    ]);
    assert.equal(ExtentMap.from(extents, 300).count, 5);
  });

  it('keep what is left of a source at its place', () => {
    const { extents } = replaced(FILE, 7, [{ offset: 40, length: 60, source: 0, sourceOffset: 0 }], 1);
    assert.deepEqual(extents.slice(0, 2), [
      { offset: 0, length: 40, source: 1, sourceOffset: 50 },
      { offset: 40, length: 60, source: 0, sourceOffset: 0 },
    ]);
  });

  it('take no range that lies beside those of the source', () => {
    for (const [offset, length] of [
      [90, 20],
      [250, 10],
    ] as const) {
      assert.throws(() => replaced(FILE, GAP, [{ offset, length, source: 0, sourceOffset: 0 }], 1), /lie outside/);
    }
  });
});
