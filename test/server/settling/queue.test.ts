import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CaseQueue, type QueueOptions } from '../../../src/server/settling/queue.ts';
import type { Condition } from '../../../src/source/condition.ts';

const TIMES = { start: 10, again: [20, 80] } as const;

describe('the queue of cases', () => {
  function queueOf(states: Readonly<Record<number, Condition['state']>>, more: Partial<QueueOptions> = {}) {
    const conditions = new Map(
      Object.entries(states).map(([id, state]) => [Number(id), { state, epoch: 1, sinceMs: 0, reason: '' }]),
    );
    let woken = 0;
    const queue = new CaseQueue({
      sources: { conditions: () => conditions, condition: (id) => conditions.get(id) },
      diskOf: () => 'uuid:1',
      onDue: () => {
        woken++;
      },
      times: TIMES,
      ...more,
    });
    return { queue, conditions, woken: () => woken };
  }
  const ids = (queue: CaseQueue): number[] => queue.take(100).map(({ id }) => id);

  it('takes up what an earlier server left, but not what is only doubted or lost', async () => {
    const { queue, woken } = queueOf(
      { 1: 'healing', 2: 'waiting', 3: 'doubted', 4: 'lost' },
      {
        times: { ...TIMES, start: 400 },
      },
    );
    queue.load();
    assert.deepEqual(ids(queue), []);
    for (let i = 0; i < 100 && woken() === 0; i++) await sleep(50);
    assert.equal(woken(), 1);
    assert.deepEqual(ids(queue), [1, 2]);
  });

  it('hands out urgent cases first, each once, until an outcome comes', () => {
    const { queue } = queueOf({ 1: 'healing', 2: 'healing', 3: 'doubted' });
    for (const id of [1, 2, 3]) queue.note(id);
    queue.urgent(3);
    assert.deepEqual(ids(queue), [3, 1, 2]);
    assert.deepEqual(ids(queue), []);
    queue.settled(1);
    assert.equal(queue.size, 2);
    queue.released();
    assert.deepEqual(queue.open([1, 2, 3], 1000), [2, 3]);
  });

  it('hands out what a reader waits for to the urgent healer, whoever has it; the first outcome counts', () => {
    const { queue } = queueOf({ 1: 'healing', 2: 'healing', 3: 'healing' });
    for (const id of [1, 2, 3]) queue.note(id);
    queue.ask(3);
    assert.deepEqual(ids(queue), [3, 1, 2]);
    assert.equal(queue.hasUrgent, false, 'a command can wait');
    queue.urgent(2);
    assert.deepEqual([queue.hasUrgent, queue.hasOthers], [true, false]);
    const urgent = (): number[] => queue.take(100, 'urgent').map(({ id }) => id);
    assert.deepEqual(urgent(), [2]);
    assert.deepEqual([urgent(), queue.hasUrgent], [[], false]);
    assert.deepEqual(
      [queue.isHeld(2, 'healer'), queue.isHeld(2, 'urgent'), queue.isHeld(1, 'urgent')],
      [true, true, false],
    );
    queue.released('healer');
    assert.deepEqual([queue.isHeld(2, 'healer'), queue.isHeld(2, 'urgent')], [false, true]);
    queue.settled(2);
    assert.deepEqual([queue.isHeld(2, 'urgent'), queue.size], [false, 2]);
  });

  it('tries again after pauses that grow, and at once when it is noted again', async () => {
    const { queue } = queueOf({ 1: 'waiting' });
    queue.note(1);
    assert.deepEqual(ids(queue), [1]);
    for (const pause of [20, 40, 80, 80]) {
      const began = performance.now();
      queue.postpone(1);
      while (ids(queue).length === 0) await sleep(1);
      assert.ok(performance.now() - began >= pause);
    }
    queue.note(1);
    queue.postpone(1);
    assert.deepEqual(ids(queue), [1], 'it was noted while it was taken');
  });

  it('has nobody wait for a source that waits for its disk, until it is given up', () => {
    const { queue } = queueOf({ 1: 'waiting' });
    queue.urgent(1);
    assert.deepEqual(ids(queue), [1]);
    assert.deepEqual(queue.open([1], 1000), [1]);
    queue.postpone(1, { answered: true });
    assert.deepEqual(queue.open([1], 1000), []);
    queue.giveUp(1);
    assert.deepEqual(queue.open([1], 1000), [1]);
  });

  it('hands a case out again as soon as it can be judged', async () => {
    const { queue } = queueOf({ 1: 'healing' }, { times: { start: 0, again: [60_000, 60_000] } });
    queue.note(1);
    assert.deepEqual(ids(queue), [1]);
    queue.postpone(1, { due: 20 });
    assert.deepEqual(ids(queue), []);
    await sleep(30);
    assert.deepEqual(ids(queue), [1]);
    queue.postpone(1, { due: 1e9 });
    assert.deepEqual([queue.open([1], 59_000), queue.open([1], 61_000)], [[], [1]]);
  });

  it('forgets a case whose source is trusted', () => {
    const { queue, conditions } = queueOf({ 1: 'healing' });
    queue.note(1);
    conditions.delete(1);
    assert.deepEqual(ids(queue), []);
    assert.equal(queue.size, 0);
  });

  it('wakes no sleeping disk for a second look, unless a reader waits', async () => {
    const { queue } = queueOf({ 1: 'waiting' }, { usedLately: () => false });
    queue.note(1);
    assert.deepEqual(ids(queue), [1]);
    queue.postpone(1);
    await sleep(40);
    assert.deepEqual(ids(queue), []);
    queue.urgent(1);
    assert.deepEqual(ids(queue), [1]);
  });

  it('hands out what awaits the index when it was renewed, or may be, or a person asks', async () => {
    let ready = false;
    const { queue } = queueOf({ 1: 'healing' }, { isIndexReady: () => ready });
    const awaits = { why: 'is looked for again when the index is renewed', ms: 1 };
    queue.note(1);
    assert.deepEqual(ids(queue), [1]);
    queue.postpone(1, { awaits });
    assert.equal(queue.awaits(1), awaits.why);
    assert.deepEqual(queue.open([1], 1000), []);
    await sleep(5);
    assert.deepEqual(ids(queue), []);
    ready = true;
    assert.deepEqual(ids(queue), [1]);
    queue.postpone(1, { awaits: { ...awaits, ms: 60_000 } });
    assert.deepEqual(ids(queue), []);
    queue.indexRenewed();
    assert.deepEqual(ids(queue), [1]);
    queue.postpone(1, { awaits: { ...awaits, ms: 60_000 } });
    queue.ask(1);
    assert.deepEqual([ids(queue), queue.isAsked(1), queue.awaits(1)], [[1], true, undefined]);
    queue.postpone(1);
    assert.equal(queue.isAsked(1), true, 'it has no answer yet');
  });

  it('remembers that a deletion was seen, and that a source was given up', () => {
    const { queue } = queueOf({ 1: 'healing', 2: 'waiting' });
    queue.note(1, { seenDeleted: true });
    queue.giveUp(2);
    const taken = queue.take(10).toSorted((a, b) => a.id - b.id);
    assert.deepEqual(
      taken.map(({ seenDeleted, givenUp }) => [seenDeleted, givenUp]),
      [
        [true, false],
        [false, true],
      ],
    );
  });
});
