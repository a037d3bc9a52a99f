import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Condition } from '../../../src/source/condition.ts';
import { decodeCondition, encodeCondition } from '../../../src/store/records/condition.ts';
import { Writer, writeIdentity } from '../../../src/store/records/record.ts';

const OBSERVED = { dev: 1, ino: 2n, size: 3, mtimeNs: 4n, ctimeNs: 5n };
const SINCE = 1_796_000_000_000;

describe('the record of a condition', () => {
  it('gives back what was recorded', () => {
    const least: Condition = { state: 'doubted', epoch: 7, sinceMs: SINCE, reason: 'was modified' };
    const most: Condition = {
      state: 'lost',
      epoch: 2 ** 40,
      sinceMs: SINCE,
      reason: 'has wrong bytes',
      disk: 'uuid:1',
      observed: OBSERVED,
      unproven: true,
      failed: true,
    };
    for (const one of [least, most]) assert.deepEqual(decodeCondition(encodeCondition(one)), one);
    const { failed: _, ...believed } = most;
    assert.deepEqual(decodeCondition(encodeCondition(believed)), believed);
  });

  it('is read as it was written before it said by a field that pieces failed', () => {
    const written = (state: number, reason: string): Buffer => {
      const hasObserved = 16;
      const out = new Writer()
        .integer(state | hasObserved)
        .integer(7)
        .integer(SINCE)
        .text(reason);
      writeIdentity(out, OBSERVED);
      return out.finish();
    };
    const [doubted, healing] = [0, 1];
    const wrong = 'does not have the bytes of piece 12';
    const shared = { epoch: 7, sinceMs: SINCE, observed: OBSERVED };
    assert.deepEqual(decodeCondition(written(healing, wrong)), {
      ...shared,
      state: 'healing',
      reason: wrong,
      failed: true,
    });
    assert.deepEqual(decodeCondition(written(healing, 'was deleted')), {
      ...shared,
      state: 'healing',
      reason: 'was deleted',
    });
    assert.deepEqual(decodeCondition(written(doubted, wrong)), { ...shared, state: 'doubted', reason: wrong });
  });
});
