import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { outcomeIn, outcomeMessage, suspectIn } from '../../src/control/case-codec.ts';
import type { Outcome } from '../../src/heal/case.ts';

const identity = { dev: 2049, ino: 2n ** 63n + 1n, size: 10, mtimeNs: -5n, ctimeNs: undefined };
const path = Buffer.from([0x2f, 0x61, 0xff]);
const handle = { type: 1, bytes: Buffer.from('12345678'), folder: { type: 1, bytes: Buffer.from('87654321') } };

describe('messages about cases', () => {
  const same: Outcome = {
    kind: 'same',
    id: 7,
    was: { path, size: 10, mtimeNs: 1n, ctimeNs: 2n },
    now: { path, ...identity, handle, disk: 'uuid:1' },
    trusted: false,
    how: 'was moved',
  };
  const remap: Outcome = {
    kind: 'remap',
    id: 7,
    infoHash: 'ab',
    index: 0,
    version: 3,
    since: 4,
    epoch: 9,
    ranges: [{ offset: 0, length: 10, source: 0, sourceOffset: 233 }],
    sources: [{ path, ...identity }],
    proven: [0, 1],
    how: 'changed',
  };

  it('arrive as they were sent, with names that are not UTF-8 and numbers of 64 bits', () => {
    const others: Outcome[] = [
      { kind: 'waiting', id: 1, reason: 'x', disk: 'uuid:2' },
      { kind: 'lost', id: 1, reason: 'x' },
      { kind: 'later', id: 1, reason: 'x' },
    ];
    for (const outcome of [same, remap, ...others]) {
      assert.deepEqual(outcomeIn(JSON.parse(JSON.stringify(outcomeMessage(outcome)))), outcome);
    }
  });

  it('are refused if they are not valid', () => {
    const good = JSON.parse(JSON.stringify(outcomeMessage(remap))) as Record<string, unknown>;
    const bad: unknown[] = [
      null,
      [],
      'x',
      {},
      { ...good, kind: 'other' },
      { ...good, id: -1 },
      { ...good, id: 1.5 },
      { ...good, ranges: [[0, 1, 2]] },
      { ...good, ranges: [[0, 1, 2, 3, 4]] },
      { ...good, ranges: [[0, 1, 2, -3]] },
      { ...good, sources: [{}] },
      { ...good, sources: [{ ...(good['sources'] as object[])[0], path_bytes: '', path: 'relative' }] },
      {
        ...good,
        sources: [{ ...(good['sources'] as object[])[0], path_bytes: Buffer.from('/a/../b').toString('base64') }],
      },
      { ...good, sources: [{ ...(good['sources'] as object[])[0], ino: '1e5' }] },
      { ...good, how: 'x'.repeat(5000) },
      { ...good, proven: ['0'] },
    ];
    for (const value of bad) assert.throws(() => outcomeIn(value), { code: 'USAGE' }, JSON.stringify(value));
    assert.throws(() => suspectIn({ id: 1 }), { code: 'USAGE' });
  });
});
