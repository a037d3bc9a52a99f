import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { derencodeSteps } from '../../../src/clients/wire/derencode.ts';
import { type Rencodable, rencode } from '../../../src/clients/wire/rencode.ts';
import { atOnce, Excess } from '../../../src/clients/wire/slices.ts';

const derencode = (bytes: Buffer): Rencodable =>
  atOnce(derencodeSteps(bytes, { bytes: bytes.length, values: 1e6, lists: 1e6 }));

const text = fc.string({ unit: 'binary', maxLength: 200 });
const key = text.filter((name) => name !== '__proto__');
const leaf = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.maxSafeInteger(),
  fc.integer({ min: -200, max: 200 }),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 80n }),
  fc.double({ noNaN: true, noInteger: true }),
  text,
);
const { tree } = fc.letrec<{ tree: Rencodable }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5 },
    leaf,
    fc.array(tie('tree'), { maxLength: 80 }),
    fc.dictionary(key, tie('tree'), { maxKeys: 40, noNullPrototype: false }),
  ),
}));

/** Gives objects no prototype, as `derencode` does, to compare with. Python's rencode gives the same bytes for the values. */
function plain(value: Rencodable): Rencodable {
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value;
  return Object.assign(
    Object.create(null),
    Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)])),
  );
}

test('what is encoded is decoded', () => {
  fc.assert(fc.property(tree, (value) => assert.deepEqual(derencode(rencode(value)), plain(value))));
});

test("Python's rencode reads our bytes and writes the same ones", () => {
  const ours = fc.sample(tree, 300).map((value) => rencode(value).toString('hex'));
  const script = `import sys, rencode
for line in sys.stdin: print(rencode.dumps(rencode.loads(bytes.fromhex(line.strip())), 64).hex())`;
  const theirs = execFileSync('/usr/bin/python3', ['-c', script], {
    input: ours.join('\n'),
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    env: { PYTHONPATH: '/usr/lib/python3/dist-packages' },
  });
  assert.deepEqual(theirs.trim().split('\n'), ours);
});

test('any bytes are decoded or refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      try {
        derencode(Buffer.from(bytes));
      } catch (error) {
        assert.ok(error instanceof SyntaxError || error instanceof Excess, String(error));
      }
    }),
  );
});

test('cut off, too deep, trailing, and lengths that lie are refused', () => {
  assert.throws(() => derencode(rencode(['a', 1]).subarray(0, 3)), /cut off/);
  assert.throws(() => derencode(Buffer.alloc(100_000, 193)), /nested deeper than 32/);
  assert.throws(() => derencode(Buffer.of(1, 2)), /follows/);
  assert.throws(() => derencode(Buffer.from('9999999999:a')), /cut off/);
  assert.throws(() => derencode(Buffer.from(`=${'9'.repeat(1000)}`)), /no number/);
});
