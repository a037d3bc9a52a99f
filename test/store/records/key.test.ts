/** Keys of names: the names' own bytes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { nameOf } from '../../../src/bytes/name-text.ts';
import { direntKey, nameOfDirentKey } from '../../../src/store/records/key.ts';

describe('keys of names', () => {
  it('are for UTF-8 what they were in versions that knew no other names, so that stores stay as they are', () => {
    fc.assert(
      fc.property(fc.nat(), fc.string({ unit: 'binary', minLength: 1 }), (parent, name) => {
        const number = Buffer.alloc(6);
        number.writeUIntBE(parent, 0, 6);
        const key = Buffer.concat([Buffer.from('D'), number, Buffer.from(name)]);
        assert.deepEqual(direntKey(parent, name), key);
        assert.equal(nameOfDirentKey(key), key.toString('utf8', 7));
      }),
    );
  });

  it('give back every name, and sort by bytes', () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 300 }).map((each) => Buffer.from(each));
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        const [one, other] = [direntKey(9, nameOf(a)), direntKey(9, nameOf(b))];
        assert.equal(nameOfDirentKey(one), nameOf(a));
        assert.equal(Math.sign(one.compare(other)), Math.sign(a.compare(b)));
      }),
    );
  });
});
