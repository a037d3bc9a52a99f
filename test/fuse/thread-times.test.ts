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
      memory.writeUInt32LE(time % 2 ** 32, offset);
      memory.writeUInt32LE(Math.floor(time / 2 ** 32), offset + 4);
    }
    return memory;
  };

  /** What is known of the mtime in a handler that is told `atime` twice, with that memory. */
  const seen = (memory: Buffer, atime: number): number | undefined => {
    const times = new ThreadTimes();
    let found: number | undefined;
    const handlers: ((thread: Buffer, operation: number, ...args: unknown[]) => void)[] = [];
    handlers[OP_UTIMENS] = () => {
      found = times.mtime(atime);
    };
    times.watch({ _handlers: handlers } as unknown as Fuse);
    handlers[OP_UTIMENS](memory, OP_UTIMENS, '/path', atime, atime);
    return found;
  };

  it('have the mtime behind the atime, of 64 bits', () => {
    assert.equal(seen(thread(1_600_000_000_123, 1_700_000_000_456), 1_600_000_000_123), 1_700_000_000_456);
    assert.equal(seen(thread(0, 1), 0), 1);
  });

  it('are not believed where the atime is not the one that was handed on', () => {
    assert.equal(seen(thread(1_600_000_000_123, 1_700_000_000_456), 1_600_000_000_124), undefined);
    assert.equal(seen(thread(1000, 2000, 119), 1000), undefined, 'too short');
    assert.equal(seen(Buffer.alloc(0), 0), undefined);
  });

  it('are those of one call only', () => {
    const times = new ThreadTimes();
    const handlers: ((thread: Buffer, operation: number, ...args: unknown[]) => void)[] = [];
    handlers[OP_UTIMENS] = () => {};
    times.watch({ _handlers: handlers } as unknown as Fuse);
    handlers[OP_UTIMENS](thread(5, 6), OP_UTIMENS);
    assert.equal(times.mtime(5), 6);
    assert.equal(times.mtime(5), undefined);
    assert.equal(new ThreadTimes().mtime(5), undefined, 'nobody called');
  });

  it('are left alone where fuse-native has no such handler', () => {
    new ThreadTimes().watch({ _handlers: [] } as unknown as Fuse);
  });
});
