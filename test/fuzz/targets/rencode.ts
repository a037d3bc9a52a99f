import assert from 'node:assert/strict';
import { derencodeSteps } from '../../../src/clients/wire/derencode.ts';
import { type Rencodable, rencode } from '../../../src/clients/wire/rencode.ts';
import { atOnce, Excess } from '../../../src/clients/wire/slices.ts';
import type { FuzzTarget } from '../target.ts';

const derencode = (bytes: Buffer): Rencodable =>
  atOnce(derencodeSteps(bytes, { bytes: bytes.length, values: 50_000, lists: 20_000 }));

const VALUES: readonly Rencodable[] = [
  [1, 7, [['a', 'b'], { name: 'x', progress: 0.5, files: [{ path: 'a/b', size: 2 ** 40 }] }]],
  [3, 7, 'WrongArguments', ['text', -1, -200, 70_000, 2n ** 70n, null, true, false], {}],
  Array.from({ length: 70 }, (_, i) => i),
  Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`key ${i}`, 'v'.repeat(i * 3)])),
];

export const target: FuzzTarget = {
  seeds: () => VALUES.map(rencode),
  tokens: [
    '\x3b',
    '\x3c',
    '\x3d',
    '\x3e',
    '\x3f',
    '\x40',
    '\x41',
    '\x2c',
    '\x42',
    '\x7f',
    '9999999999:',
    '0:',
    '\x3d-0\x7f',
    ...['c0', 'ff', 'c1', '66', '7e', 'bf', '80'].map((hex) => Buffer.from(hex, 'hex')),
  ],
  run(input) {
    let value: Rencodable;
    try {
      value = derencode(input);
    } catch (error) {
      if (error instanceof SyntaxError || error instanceof Excess) return;
      throw error;
    }
    // What was read once is written in the shortest form, and reads as the same again.
    const bytes = rencode(value);
    assert.deepEqual(rencode(derencode(bytes)), bytes);
  },
};
