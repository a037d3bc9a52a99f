/** Names as text: no byte string is lost, and no two become one. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { bytesOfName, isNameText, isPlainName, lengthOfName, nameOf, pathOfName } from '../../src/bytes/name-text.ts';

/** Bytes among which beginnings, ends and wrong forms of UTF-8 are frequent. */
const nearUtf8 = fc
  .array(
    fc.constantFrom(
      '41',
      '80',
      'bf',
      'c0',
      'c3a9',
      'e080',
      'e282',
      'e282ac',
      'edb280',
      'eda0',
      'efbfbd',
      'efbbbf',
      'f09f92a9',
      'f09f',
      'f490',
      'ff',
    ),
    { maxLength: 75 },
  )
  .map((parts) => Buffer.from(parts.join(''), 'hex'));
const anyBytes = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));

describe('names as text', () => {
  it('gives back every byte string', () => {
    fc.assert(
      fc.property(fc.oneof(anyBytes, nearUtf8), (bytes) => {
        const name = nameOf(bytes);
        assert.deepEqual(bytesOfName(name), bytes);
        assert.equal(lengthOfName(name), bytes.length);
        assert.ok(isNameText(name));
        assert.deepEqual(Buffer.from(pathOfName(name)), bytes);
        assert.equal(JSON.parse(JSON.stringify(name)), name);
      }),
      { numRuns: 3000 },
    );
  });

  it('leaves valid UTF-8 as it is, also marks that decoders drop', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        assert.equal(nameOf(Buffer.from(text)), text);
        assert.ok(isPlainName(text));
      }),
    );
    assert.equal(nameOf(Buffer.from('\ufeffa')), '\ufeffa');
    assert.equal(nameOf(Buffer.from('a\ufffd')), 'a\ufffd');
  });

  it('escapes each byte that is not UTF-8, also surrogates that are written as if they were', () => {
    assert.equal(nameOf(Buffer.from('caf\xe9', 'latin1')), 'caf\udce9');
    assert.equal(nameOf(Buffer.from([0xed, 0xb2, 0x80])), '\udced\udcb2\udc80');
    assert.equal(nameOf(Buffer.from([0xf0, 0x9f, 0x92, 0xa9, 0x80])), '💩\udc80');
    assert.equal(isPlainName('caf\udce9'), false);
  });

  it('knows text that is of no byte string, so that it cannot stand for the name of another file', () => {
    for (const text of ['\ud800', 'a\udc00', '\udc7f', '\udd00', '\udcc3\udca9', 'x\udcf0\udc9f\udc92\udca9']) {
      assert.equal(isNameText(text), false, JSON.stringify(text));
    }
    fc.assert(
      fc.property(
        fc.string({ unit: fc.integer({ min: 0xd7f0, max: 0xe010 }).map((u) => String.fromCharCode(u)) }),
        (text) => {
          assert.equal(isNameText(text), nameOf(bytesOfName(text)) === text);
        },
      ),
    );
  });
});
