/** JSON of clients: whatever our parser reads, JSON.parse reads as the same, and it refuses nothing but what is too much. */
import assert from 'node:assert/strict';
import { jsonSteps } from '../../../src/clients/wire/json-steps.ts';
import { atOnce, Excess } from '../../../src/clients/wire/slices.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  seeds: () =>
    [
      {
        result: 'success',
        arguments: { torrents: [{ name: 'a\u001b\ud83d\ude00', percentDone: 0.5, id: -1, labels: [] }] },
      },
      [null, true, false, 0, -0, 1.5e300, 2 ** 53, '', 'x'.repeat(300), [[[[]]]], {}],
    ].map((value) => Buffer.from(JSON.stringify(value, null, 1))),
  tokens: [
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    'null',
    'true',
    'false',
    '-0',
    '01',
    '1.',
    '1e999',
    '-',
    '.5',
    '1E+2',
    '"a":',
    '"__proto__":',
    '\\ud800',
    '\\u12',
    '\\x',
    '\n',
    '\t',
    '\0',
    '\ufeff',
    Buffer.of(0xff),
    Buffer.of(0xc3),
  ],
  run(input) {
    let value: unknown;
    try {
      value = atOnce(jsonSteps(input, { bytes: input.length, values: 20_000, lists: 5000 }));
    } catch (error) {
      if (error instanceof Excess) return;
      if (!(error instanceof SyntaxError)) throw error;
      // Bytes that are not UTF-8 may be refused, and one key is.
      const text = input.toString('utf8');
      if (text.includes('\ufffd') || error.message.includes('__proto__')) return;
      assert.throws(() => JSON.parse(text), SyntaxError, error.message);
      return;
    }
    assert.equal(JSON.stringify(value), JSON.stringify(JSON.parse(input.toString('utf8'))));
  },
};
