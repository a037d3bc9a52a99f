import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { nameOf } from '../../../../src/bytes/name-text.ts';
import { RequestError, readRequest } from '../../../../src/fuse/kernel/protocol/requests.ts';
import { examples, type Numbers, USUAL } from './examples.ts';
import { pack, packRequest, text } from './pack.ts';

const safe = fc.maxSafeNat();
const u32 = fc.oneof(fc.nat({ max: 0xffff_ffff }), fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff));
const signed = fc.maxSafeInteger();
const nanoseconds = fc.nat({ max: 999_999_999 });
const name = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 40 })
  .filter((each) => !each.includes('\0') && Buffer.from(each).toString() === each);
const numbers: fc.Arbitrary<Numbers> = fc.record({
  a: safe,
  b: safe,
  c: safe,
  x: u32,
  y: u32,
  z: u32,
  s: signed,
  t: signed,
  ns: nanoseconds,
  ns2: nanoseconds,
  flag: fc.boolean(),
  name,
  other: name,
  data: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
});
const header = fc.record({
  unique: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  node: safe,
  uid: u32,
  gid: u32,
  pid: u32,
});

/** The error that reading `message` throws; any but a RequestError is a fault. */
function refusal(message: Buffer): RequestError {
  try {
    readRequest(message);
  } catch (error) {
    if (error instanceof RequestError) return error;
    throw error;
  }
  throw new Error('it was read');
}

/** Compares the fields that `expected` names. */
function includes(actual: object, expected: object): void {
  const fields = actual as Readonly<Record<string, unknown>>;
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((key) => [key, fields[key]])), expected);
}

describe('requests of the kernel', () => {
  it('are read as they were packed, whatever their numbers', () => {
    fc.assert(
      fc.property(numbers, header, fc.nat({ max: 3 }), (some, head, units) => {
        for (const { opcode, body, expected } of examples(some)) {
          const message = packRequest(opcode, body, { ...head, extensions: Buffer.alloc(units * 8, 0xff) });
          assert.deepEqual(readRequest(message), { ...head, ...expected }, `opcode ${opcode}`);
        }
      }),
    );
  });

  it('are refused when any part of them is missing', () => {
    for (const { opcode, body } of examples(USUAL)) {
      const whole = packRequest(opcode, body);
      for (let length = 0; length < whole.length; length++) {
        assert.ok(refusal(whole.subarray(0, length)).message.includes('bytes'), `opcode ${opcode}, ${length} bytes`);
      }
      // The same with a header that says so. What a structure ends with may be unused.
      for (let length = 0; length < body.length; length++) {
        const cut = packRequest(opcode, body.subarray(0, length));
        // The body of the one is padding, of the other we know nothing.
        if (opcode === 50 || opcode === 51) continue;
        const enough = opcode === 26 && (length === 16 || length >= 20);
        if (enough) readRequest(cut);
        else assert.equal(refusal(cut).code, 'EIO', `opcode ${opcode}, body of ${length} bytes`);
      }
    }
  });

  it('throw nothing but RequestError, whatever their bytes', () => {
    const opcodes = fc.constantFrom(...new Set(examples(USUAL).map(({ opcode }) => opcode)), 0, 7, 4096, 0xffff_ffff);
    fc.assert(
      fc.property(opcodes, fc.uint8Array({ maxLength: 200 }), fc.nat({ max: 40 }), (opcode, body, extensions) => {
        const message = packRequest(opcode, Buffer.from(body));
        message.writeUInt16LE(extensions, 36);
        try {
          readRequest(message);
        } catch (error) {
          assert.ok(error instanceof RequestError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        assert.ok(refusal(Buffer.from(bytes)) instanceof RequestError);
      }),
    );
  });

  it('that cannot be read name the request that gets the answer, but for those that get none', () => {
    const unique = 0xffff_ffff_ffff_fffen;
    for (const [opcode, answered] of [
      [1, unique],
      [15, unique],
      [2, undefined],
      [42, undefined],
      [36, undefined],
    ] as const) {
      const error = refusal(packRequest(opcode, Buffer.alloc(0), { unique }));
      assert.equal(error.unique, answered, `opcode ${opcode}`);
      assert.equal(error.opcode, opcode);
      assert.match(error.message, new RegExp(`^request ${opcode}: `));
    }
    assert.equal(refusal(Buffer.alloc(39)).unique, undefined);
  });

  it('with names keep their bytes', () => {
    const bytes = Buffer.from([0x66, 0xff, 0xc3, 0x28, 0x80]);
    const read = readRequest(packRequest(1, Buffer.concat([bytes, Buffer.alloc(1)])));
    assert.deepEqual(read, { unique: 2n, node: 1, uid: 0, gid: 0, pid: 0, kind: 'lookup', name: nameOf(bytes) });
  });

  it('with an empty name, or one without an end, are refused', () => {
    for (const body of [text(''), Buffer.from('name'), Buffer.alloc(0)]) {
      for (const opcode of [1, 6, 10, 11, 24]) assert.equal(refusal(packRequest(opcode, body)).code, 'EIO');
    }
    assert.equal(refusal(packRequest(6, text('name', ''))).code, 'EIO');
    assert.equal(refusal(packRequest(12, Buffer.concat([pack('Q', 3), text('name')]))).code, 'EIO');
    // The end of the name is that of the extensions.
    const name = packRequest(1, Buffer.from('name'), { extensions: Buffer.alloc(8) });
    assert.equal(refusal(name).code, 'EIO');
  });

  it('with numbers beyond the safe integers get the error that fits', () => {
    const large = 2n ** 53n;
    const setattr = (valid: number, size: bigint, ns = 0): Buffer =>
      pack('IIQQQqqqIIIIIIII', valid, 0, 0, size, 0, 0, 0, 0, ns, ns, ns, 0, 0, 0, 0, 0);
    for (const [code, opcode, body] of [
      ['EFBIG', 4, setattr(8, large)],
      ['EINVAL', 4, setattr(16, 0n, 1_000_000_000)],
      ['EINVAL', 4, setattr(32, 0n, 0xffff_ffff)],
      ['EBADF', 15, pack('QQIIQII', large, 0, 1, 0, 0, 0, 0)],
      ['EINVAL', 15, pack('QQIIQII', 1, 0, 2 ** 31, 0, 0, 0, 0)],
      ['EFBIG', 16, pack('QQIIQII', 1, large, 0, 0, 0, 0, 0)],
      ['EIO', 16, Buffer.concat([pack('QQIIQII', 1, 0, 3, 0, 0, 0, 0), Buffer.alloc(4)])],
      ['EINVAL', 28, pack('QQIIQII', 1, large, 1, 0, 0, 0, 0)],
      ['EFBIG', 43, pack('QQQII', 1, large, 1, 0, 0)],
      ['EFBIG', 43, pack('QQQII', 1, 1, large, 0, 0)],
      ['EFBIG', 43, pack('QQQII', 1, large - 1n, 1, 0, 0)],
      ['EFBIG', 47, pack('QQQQQQQ', 1, 0, 1, 1, large, 1, 0)],
      ['EINVAL', 47, pack('QQQQQQQ', 1, 0, 1, 1, 0, 1, 4)],
      ['ESTALE', 12, Buffer.concat([pack('Q', large), text('a', 'b')])],
      ['ESTALE', 13, Buffer.concat([pack('Q', large), text('a')])],
      ['EINVAL', 8, Buffer.concat([pack('IIII', 0o130000, 0, 0, 0), text('a')])],
      ['EIO', 42, pack('II', 0xffff_ffff, 0)],
      ['EIO', 21, Buffer.concat([pack('II', 10, 0), text('a'), Buffer.alloc(9)])],
    ] as const) {
      assert.equal(refusal(packRequest(opcode, body)).code, code, `opcode ${opcode}`);
    }
    assert.equal(refusal(packRequest(3, pack('IIQ', 0, 0, 0), { node: large })).code, 'ESTALE');
    assert.equal(refusal(packRequest(2, pack('Q', 1), { node: large })).code, 'EIO');
  });

  it('with numbers that only ask for what is not there are read with the largest safe integer', () => {
    const largest = 2n ** 63n - 1n;
    const of = (opcode: number, body: Buffer): object => readRequest(packRequest(opcode, body));
    const { MAX_SAFE_INTEGER: max, MIN_SAFE_INTEGER: min } = Number;
    includes(of(15, pack('QQIIQII', 1, largest, 9, 0, 0, 0, 0)), { offset: max });
    includes(of(46, pack('QqII', 1, largest, 3, 0)), { offset: max });
    includes(of(46, pack('QqII', 1, -largest, 3, 0)), { offset: min });
    includes(of(2, pack('Q', 2n ** 64n - 1n)), { lookups: max });
    includes(of(47, pack('QQQQQQQ', 1, largest, 1, 1, 0, largest, 0)), { offset: max, length: max });
    includes(of(22, Buffer.concat([pack('II', 0xffff_ffff, 0), text('a')])), { size: 65_536 });
    const past = pack('IIQQQqqqIIIIIIII', 16, 0, 0, 0, 0, -largest, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    includes(of(4, past), { changes: { atime: { seconds: min, nanoseconds: 0 } } });
  });

  it('of kernels that know no second half of the flags have none', () => {
    const offered = (flags: number): object => {
      const body = pack('IIIII11I', 7, 45, 0, flags, 0xff, ...Array<number>(11).fill(0));
      return readRequest(packRequest(26, body));
    };
    includes(offered(1), { offered: 1n });
    includes(offered(0x4000_0001), { offered: 0xff_4000_0001n });
  });
});
