import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type Fuse from 'fuse-native';
import { ThreadTimes } from '../../src/fuse/native/thread-times.ts';

/** `static const uint32_t op_utimens`, and where `size_t atime, mtime` lie in the memory of a thread. */
const [OP_UTIMENS, ATIME, MTIME] = [12, 104, 112];

describe('the times of a thread', () => {
  const thread = (atime: number, mtime: number, length = 400): Buffer => {
    const memory = Buffer.alloc(length, 0xaa);
    for (const [offset, time] of [
      [ATIME, atime],
      [MTIME, mtime],
    ] as const) {
      if (offset + 8 > length) continue;
      memory.writeBigInt64LE(BigInt(time), offset);
    }
    return memory;
  };

  /** Gives the times that a handler sees if it gets `atime` twice, with this memory. */
  const seen = (memory: Buffer, atime: number): number[] => {
    const times = new ThreadTimes();
    let found: number[] = [];
    const handlers: ((thread: Buffer, operation: number, ...args: unknown[]) => void)[] = [];
    handlers[OP_UTIMENS] = () => {
      const { atime: first, mtime } = times.of(atime);
      found = [first, mtime];
    };
    times.watch({ _handlers: handlers } as unknown as Fuse);
    handlers[OP_UTIMENS](memory, OP_UTIMENS, '/path', atime, atime);
    return found;
  };

  it('have the mtime behind the atime, of 64 bits', () => {
    assert.deepEqual(
      seen(thread(1_600_000_000_123, 1_700_000_000_456), 1_600_000_000_123),
      [1_600_000_000_123, 1_700_000_000_456],
    );
    assert.deepEqual(seen(thread(0, 1), 0), [0, 1]);
  });

  it('are negative before 1970, though the handler is told a large number', () => {
    const told = Number(BigInt.asUintN(64, -10_000n));
    assert.deepEqual(seen(thread(-10_000, -12_345), told), [-10_000, -12_345]);
    const [atime = 0, mtime] = seen(Buffer.alloc(0), told);
    assert.equal(atime, mtime);
    // As a double it has lost its last digits.
    assert.ok(Math.abs(atime + 10_000) <= 2048, `${atime}`);
  });

  it('are not believed where the atime is not the one that was handed on', () => {
    assert.deepEqual(
      seen(thread(1_600_000_000_123, 1_700_000_000_456), 1_600_000_000_124),
      [1_600_000_000_124, 1_600_000_000_124],
    );
    assert.deepEqual(seen(thread(1000, 2000, 119), 1000), [1000, 1000], 'too short');
    assert.deepEqual(seen(Buffer.alloc(0), 0), [0, 0]);
  });

  it('are those of one call only', () => {
    const times = new ThreadTimes();
    const handlers: ((thread: Buffer, operation: number, ...args: unknown[]) => void)[] = [];
    handlers[OP_UTIMENS] = () => {};
    times.watch({ _handlers: handlers } as unknown as Fuse);
    handlers[OP_UTIMENS](thread(5, 6), OP_UTIMENS);
    assert.equal(times.of(5).mtime, 6);
    assert.equal(times.of(5).mtime, 5);
    assert.equal(new ThreadTimes().of(5).mtime, 5, 'nobody called');
  });

  it('are left alone where fuse-native has no such handler', () => {
    new ThreadTimes().watch({ _handlers: [] } as unknown as Fuse);
  });
});
