import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Batches, together } from '../src/batches.ts';

describe('batches', () => {
  it('hold what is asked for in one turn, and then what is asked for meanwhile', async () => {
    const seen: (readonly number[])[] = [];
    const batches = new Batches<number, number>(
      3,
      together(async (items) => {
        seen.push(items);
        if (seen.length === 1) void batches.add(5);
        await new Promise(setImmediate);
        return items.map((item) => 10 * item);
      }),
    );
    assert.deepEqual(await Promise.all([1, 2, 3, 4].map(async (item) => await batches.add(item))), [10, 20, 30, 40]);
    assert.deepEqual(seen, [
      [1, 2, 3],
      [4, 5],
    ]);
    assert.equal(await batches.add(6), 60);
    assert.deepEqual(seen.at(-1), [6]);
  });

  it('answer each item by itself, and begin the next batch once all of the last are settled', async () => {
    const settled: number[] = [];
    const batches = new Batches<number, number>(2, (items) =>
      items.map(async (item) => {
        for (let i = 0; i < item; i++) await new Promise(setImmediate);
        if (item === 3) throw new Error('three');
        settled.push(item);
        return item;
      }),
    );
    const results = await Promise.allSettled([3, 1, 0].map(async (item) => await batches.add(item)));
    assert.deepEqual(
      results.map((result) => (result.status === 'fulfilled' ? result.value : String(result.reason))),
      ['Error: three', 1, 0],
    );
    assert.deepEqual(settled, [1, 0]);
  });

  it('reject all items of a batch that cannot begin, and go on', async () => {
    let fails = true;
    const batches = new Batches<number, number>(2, (items) => {
      if (fails) throw new Error('no room');
      return items.map(async (item) => await Promise.resolve(item));
    });
    const failing = await Promise.allSettled([1, 2].map(async (item) => await batches.add(item)));
    assert.deepEqual(
      failing.map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    fails = false;
    assert.equal(await batches.add(3), 3);
  });
});
