import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { BLOCK_BYTES, WrittenBlocks } from '../../../src/store/overlay/written-blocks.ts';

/** In blocks: 16 MiB. */
const CHUNK = 4096;
/** Three chunks and a few blocks. */
const LIMIT = 3 * CHUNK + 10;

type Step = { readonly add: readonly [number, number] } | { readonly clearFrom: number } | 'record' | 'fail' | 'reload';

/** Blocks that are often at the borders of chunks and bytes. */
const block = fc.oneof(
  fc.nat(LIMIT),
  fc.nat(40),
  fc.constantFrom(CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 8, 2 * CHUNK, 3 * CHUNK),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(block, fc.oneof(fc.nat(20), fc.nat(LIMIT)))
      .map(([from, n]): Step => ({ add: [from, Math.min(LIMIT, from + n)] })),
  },
  { weight: 2, arbitrary: block.map((clearFrom): Step => ({ clearFrom })) },
  fc.constantFrom<Step>('record', 'fail', 'reload'),
);

describe('written blocks', () => {
  it('are what a set of numbers would be, also after they were recorded and loaded', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 25 }),
        fc.array(fc.tuple(block, block), { maxLength: 20 }),
        (steps, asked) => {
          let blocks = new WrittenBlocks();
          const expected = new Set<number>();
          const records = new Map<number, Buffer>();
          const record = (): void => {
            for (const [chunk, bytes] of blocks.takeChanged()) {
              if (bytes === undefined) records.delete(chunk);
              else records.set(chunk, bytes);
            }
          };
          for (const each of steps) {
            if (each === 'record') record();
            else if (each === 'fail') blocks.putBack(blocks.takeChanged().keys());
            else if (each === 'reload') {
              record();
              blocks = new WrittenBlocks();
              for (const [chunk, bytes] of records) blocks.load(chunk, bytes);
            } else if ('add' in each) {
              blocks.add(...each.add);
              for (let i = each.add[0]; i < each.add[1]; i++) expected.add(i);
            } else {
              blocks.clearFrom(each.clearFrom);
              for (const i of expected) if (i >= each.clearFrom) expected.delete(i);
            }
          }
          for (const [from, limit] of asked) {
            assert.equal(blocks.has(from), expected.has(from));
            if (from >= limit) {
              assert.equal(blocks.hasAll(from, limit), true);
              assert.equal(blocks.hasAny(from, limit), false);
              continue;
            }
            let end = from + 1;
            while (end < limit && expected.has(end) === expected.has(from)) end++;
            assert.equal(blocks.runEnd(from, limit), end);
            assert.equal(blocks.hasAll(from, limit), expected.has(from) && end === limit);
            assert.equal(blocks.hasAny(from, limit), expected.has(from) || end < limit);
          }
          const listed = new Set<number>();
          let last = -1;
          for (const [from, end] of blocks.ranges(LIMIT)) {
            assert.ok(from > last && end > from, 'in order');
            last = end - 1;
            for (let i = from; i < end; i++) listed.add(i);
          }
          assert.deepEqual(listed, expected);
          if (expected.size > 0) assert.equal(blocks.isEmpty, false);
          record();
          assert.ok([...records.values()].every((bytes) => bytes.length === 0 || bytes.length === CHUNK / 8));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('take no more than a bit each, and nothing where all of a chunk are written', () => {
    const blocks = new WrittenBlocks();
    blocks.add(0, 2 * CHUNK);
    blocks.add(2 * CHUNK, 2 * CHUNK + 1);
    const records = blocks.takeChanged();
    assert.deepEqual(
      [...records.values()].map((bytes) => bytes?.length),
      [0, 0, CHUNK / 8],
    );
    assert.equal(blocks.takeChanged().size, 0, 'they are recorded');
    blocks.clearFrom(0);
    assert.deepEqual([...blocks.takeChanged().values()], [undefined, undefined, undefined]);
    assert.equal(blocks.isEmpty, true);
  });

  it('reach as far as files do', () => {
    const blocks = new WrittenBlocks();
    const last = 2 ** 47 / BLOCK_BYTES - 1;
    blocks.add(last, last + 1);
    assert.equal(blocks.has(last), true);
    assert.equal(blocks.runEnd(last, last + 1), last + 1);
    assert.equal(blocks.hasAll(0, 1), false);
    assert.deepEqual([...blocks.ranges(last + 1)], [[last, last + 1]]);
    assert.equal(blocks.takeChanged().size, 1);
  });

  it('refuse a record that cannot be', () => {
    assert.throws(() => new WrittenBlocks().load(0, Buffer.alloc(3)), { code: 'STORE' });
  });
});
