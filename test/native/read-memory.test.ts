import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadKoffi } from '../../src/native/c-library.ts';
import { readBytes, readMemory, roomIn, sharedReadMemory } from '../../src/native/read-memory.ts';

/** malloc(3) maps a block of this size on its own, whatever was allocated before. */
const LARGE = 48 * 2 ** 20;
const PAGE_BYTES = 4096;

function placeInPage(bytes: Buffer): number {
  return Number(loadKoffi().address(bytes) % BigInt(PAGE_BYTES));
}

describe('memory for files', () => {
  it('does not begin where copies are slow: 1 to 31 bytes into a page', () => {
    for (const bytes of [readMemory(LARGE), readBytes(sharedReadMemory(LARGE), LARGE)]) {
      assert.equal(bytes.length, LARGE);
      const place = placeInPage(bytes);
      assert.ok(place === 0 || place >= 32, `it begins ${place} bytes into a page`);
    }
  });

  it('is the same for all who share it', () => {
    const memory = sharedReadMemory(1000);
    assert.equal(roomIn(memory), 1000);
    readBytes(memory, 1000).write('hashed', 990);
    assert.equal(readBytes(memory, 996).toString('latin1', 990), 'hashed');
    assert.throws(() => readBytes(memory, 1001), RangeError);
  });
});
