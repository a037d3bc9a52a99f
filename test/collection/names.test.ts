import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { decodeName, hashName, hashText, normaliseName } from '../../src/collection/names.ts';

describe('normaliseName', () => {
  const equal: [string | Buffer, string | Buffer][] = [
    ['The_Show.S01-E02.mkv', 'the show s01 e02 MKV'],
    ['a . - _ b', 'a b'],
    ['Café', 'cafe\u0301'],
    ['STRASSE', 'straße'],
    ['ΟΔΟΣ', 'οδος'],
    ['ΟΔΟΣ', 'οδοσ'],
    [Buffer.from('caf\u00e9', 'latin1'), 'CAFÉ'],
    [Buffer.from('МОСКВА'), 'москва'],
  ];
  for (const [a, b] of equal) {
    it(`reads ${a.toString()} as ${b.toString()}`, () => assert.equal(normaliseName(a), normaliseName(b)));
  }

  it('tells apart what differs in more', () => {
    assert.notEqual(normaliseName('ab'), normaliseName('a b'));
    assert.notEqual(normaliseName('a'), normaliseName('a '));
    assert.notEqual(normaliseName('ＡＢＣ'), normaliseName('ABC'));
  });

  it('is its own normal form', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        assert.equal(normaliseName(normaliseName(text)), normaliseName(text));
      }),
    );
  });

  it('has the hash that the bytes of the name give', () => {
    const ascii = fc
      .string({ unit: fc.constantFrom('a', 'A', 'b', 'Z', 'z', '0', '9', ' ', '.', '_', '-', '[') })
      .map((text) => Buffer.from(text));
    const bytes = fc.uint8Array({ max: 255 }).map((array) => Buffer.from(array));
    const utf8 = fc.string({ unit: 'grapheme' }).map((text) => Buffer.from(text));
    fc.assert(
      fc.property(fc.oneof(ascii, bytes, utf8), (name) => {
        assert.equal(hashName(name.toString('latin1')), hashText(normaliseName(name)));
        assert.equal(normaliseName(name), normaliseName(decodeName(name)));
      }),
    );
  });
});
