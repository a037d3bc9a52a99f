import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import {
  clearBit,
  clearSpareBits,
  countBits,
  emptyBitfield,
  fullBitfield,
  hasBit,
  setBit,
} from '../../src/extent/bitfield.ts';

describe('bitfields', () => {
  it('put the first piece in the most significant bit', () => {
    const field = emptyBitfield(10);
    setBit(field, 0);
    setBit(field, 9);
    assert.equal(field.toString('hex'), '8040');
    clearBit(field, 0);
    assert.equal(field.toString('hex'), '0040');
  });

  it('leave the spare bits zero', () => {
    assert.equal(fullBitfield(0).toString('hex'), '');
    assert.equal(fullBitfield(8).toString('hex'), 'ff');
    assert.equal(fullBitfield(11).toString('hex'), 'ffe0');
    const foreign = Buffer.from('ffffff', 'hex');
    clearSpareBits(foreign, 9);
    assert.equal(foreign.toString('hex'), 'ff8000');
  });

  it('refuse to set what is not there', () => {
    for (const bit of [-1, 8, 1.5, Number.NaN, 2 ** 32]) assert.throws(() => setBit(emptyBitfield(8), bit), RangeError);
    assert.equal(hasBit(emptyBitfield(8), 99), false);
  });

  it('behave like a set of numbers', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.array(fc.tuple(fc.nat(), fc.boolean())), (bits, changes) => {
        const field = emptyBitfield(bits);
        const model = new Set<number>();
        for (const [n, on] of changes) {
          const bit = n % bits;
          if (on) setBit(field, bit);
          else clearBit(field, bit);
          if (on) model.add(bit);
          else model.delete(bit);
        }
        assert.equal(countBits(field), model.size);
        for (let bit = 0; bit < bits; bit++) assert.equal(hasBit(field, bit), model.has(bit));
      }),
    );
    assert.equal(countBits(fullBitfield(1003)), 1003);
  });
});
