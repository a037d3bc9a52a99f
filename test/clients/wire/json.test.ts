import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { jsonSteps } from '../../../src/clients/wire/json-steps.ts';
import { atOnce, Excess } from '../../../src/clients/wire/slices.ts';

const parse = (text: string | Buffer, values = 1e6, lists = 1e6): unknown =>
  atOnce(jsonSteps(Buffer.from(text), { bytes: 1e9, values, lists }));

test('any JSON is parsed as JSON.parse does', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 6, stringUnit: 'binary' }), fc.nat(4), (text, indent) => {
      fc.pre(!text.includes('__proto__'));
      const shown = JSON.stringify(JSON.parse(text), null, indent);
      assert.deepEqual(parse(shown), JSON.parse(shown));
    }),
  );
});

test('what JSON.parse refuses is refused, and what it takes is taken', () => {
  const unit = fc.constantFrom(
    ...'[]{}:,"\\ \n\tu0019.eE+-abtruefalsn\u0001é'.split(''),
    'true',
    'null',
    '"a":',
    '[]',
    '-1',
  );
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 30 }), (text) => {
      let wanted: unknown;
      try {
        wanted = JSON.parse(text);
      } catch {
        assert.throws(() => parse(text), SyntaxError, JSON.stringify(text));
        return;
      }
      assert.deepEqual(parse(text), wanted);
    }),
    { numRuns: 20_000 },
  );
});

test('more than is allowed is refused', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['['.repeat(33), /nested deeper than 32/],
    ['{"a":'.repeat(33), /nested deeper than 32/],
    [`[${'0,'.repeat(1e6)}0]`, /more than 1000000 values/],
    [`"${'a'.repeat(1_100_000)}"`, /a text of more than/],
    [`"${'\\n'.repeat(600_000)}"`, /a text of more than/],
    ['1'.repeat(65), /a number of more than 64 digits/],
    [`[${' '.repeat(70_000)}]`, /blanks at once/],
  ];
  for (const [text, message] of cases) {
    assert.throws(
      () => parse(text),
      (error: Error) => error instanceof Excess && message.test(error.message),
    );
  }
  assert.throws(() => parse('[[],[],[]]', 100, 3), /more than 3 lists/);
  assert.throws(() => parse('{"a":1,"__proto__":{"b":2}}'), /a key that no client has/);
  assert.throws(() => parse('{"\\u005f_proto__":{"b":2}}'), /a key that no client has/);
});
