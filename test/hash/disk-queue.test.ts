import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DiskQueue } from '../../src/hash/disk-queue.ts';

describe('disk queue', () => {
  it('keeps to its limits, and lets another disk pass a busy one', async () => {
    const queue = new DiskQueue(3, 1);
    const log: string[] = [];
    const ends = new Map<string, () => void>();
    const add = (name: string, disks: readonly number[]): void =>
      queue.add(disks, () => {
        log.push(name);
        return new Promise((resolve) => ends.set(name, resolve));
      });
    add('a1', [1]);
    add('a2', [1]);
    add('b1', [2]);
    add('ab', [1, 2]);
    add('c1', [3]);
    add('none', []);
    assert.deepEqual(log, ['a1', 'b1', 'c1']);
    ends.get('c1')?.();
    await new Promise(setImmediate);
    assert.deepEqual(log, ['a1', 'b1', 'c1', 'none']);
    ends.get('a1')?.();
    await new Promise(setImmediate);
    assert.deepEqual(log.at(-1), 'a2');
    ends.get('a2')?.();
    await new Promise(setImmediate);
    assert.equal(log.includes('ab'), false);
    ends.get('b1')?.();
    await new Promise(setImmediate);
    assert.deepEqual(log.at(-1), 'ab');
  });

  it('takes the disk with the fewest readers next, so that a long queue on one holds up no other', async () => {
    const queue = new DiskQueue(2, 2);
    const log: string[] = [];
    const ends = new Map<string, () => void>();
    const add = (name: string, disk: number): void =>
      queue.add([disk], () => {
        log.push(name);
        return new Promise((resolve) => ends.set(name, resolve));
      });
    const end = async (name: string): Promise<void> => {
      ends.get(name)?.();
      await new Promise(setImmediate);
    };
    for (let i = 0; i < 100; i++) add(`a${i}`, 1);
    for (let i = 0; i < 3; i++) add(`b${i}`, 2);
    assert.deepEqual(log, ['a0', 'a1']);
    await end('a0');
    assert.deepEqual(log.slice(2), ['b0']);
    await end('b0');
    assert.deepEqual(log.slice(3), ['b1']);
    await end('a1');
    assert.deepEqual(log.slice(4), ['a2']);
  });

  it('forgets what has not started', async () => {
    const queue = new DiskQueue(1, 1);
    const ends: (() => void)[] = [];
    let ran = false;
    const later = async (): Promise<void> => {
      ran = true;
    };
    queue.add([1], () => new Promise((resolve) => ends.push(resolve)));
    queue.add([1], later);
    queue.drop(new Set([later]));
    ends[0]?.();
    await new Promise(setImmediate);
    assert.equal(ran, false);
  });
});
