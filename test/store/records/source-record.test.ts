import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { AutotorrentError } from '../../../src/errors.ts';
import { millisecondsOf, nanosecondsOf } from '../../../src/native/timestamp.ts';
import { decodeSource, encodeSource, type SourceRecord, Writer } from '../../../src/store/records/record.ts';

const time = fc.bigInt({ min: -(2n ** 62n), max: 2n ** 66n });
const bytes = (minLength: number, maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength, maxLength }).map((found) => Buffer.from(found));
const source: fc.Arbitrary<SourceRecord> = fc.record(
  {
    path: bytes(1, 300),
    dev: fc.nat(),
    ino: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    size: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    mtimeNs: time,
    ctimeNs: fc.option(time, { nil: undefined }),
    spares: fc.array(fc.nat(), { maxLength: 3 }),
    handle: fc.record({ type: fc.nat({ max: 255 }), bytes: bytes(0, 128) }, { noNullPrototype: true }),
    disk: fc.string({ unit: 'grapheme', maxLength: 60 }),
  },
  { noNullPrototype: true, requiredKeys: ['path', 'dev', 'ino', 'size', 'mtimeNs', 'ctimeNs', 'spares'] },
);

describe('the record of a source', () => {
  it('gives back what was recorded', () => {
    fc.assert(fc.property(source, (found) => assert.deepEqual(decodeSource(encodeSource(found)), found)));
  });

  it('is read as it was written by format 3, in doubles', () => {
    const mtimeMs = 1_600_000_000_123.456;
    const ino = 3_873_769_401_814_451_679n;
    const old = new Writer().bytes(Buffer.from('/a\xff', 'latin1')).double(64_769).double(Number(ino));
    old
      .integer(2 ** 40)
      .double(mtimeMs)
      .integer(7)
      .integer(300);
    const found = decodeSource(old.finish());
    assert.deepEqual(found, {
      path: Buffer.from('/a\xff', 'latin1'),
      dev: 64_769,
      ino: BigInt(Number(ino)),
      size: 2 ** 40,
      mtimeNs: nanosecondsOf(mtimeMs),
      ctimeNs: undefined,
      spares: [7, 300],
    });
    assert.equal(millisecondsOf(found.mtimeNs), mtimeMs);
    assert.deepEqual(decodeSource(encodeSource(found)), found);
  });

  it('is sound, or damaged', () => {
    fc.assert(
      fc.property(source, fc.nat(), fc.nat({ max: 255 }), (found, at, byte) => {
        const changed = encodeSource(found);
        changed[at % changed.length] = byte;
        try {
          decodeSource(changed);
        } catch (error) {
          assert.ok(error instanceof AutotorrentError && error.code === 'STORE', String(error));
        }
      }),
    );
  });
});
