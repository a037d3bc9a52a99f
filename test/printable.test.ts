/** Text from elsewhere, made fit to be shown. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { jsonText, LINE_LIMIT, printable } from '../src/printable.ts';

/** Written out, not taken from the code: what must never reach a terminal or a log. */
const ACTIVE =
  // oxlint-disable-next-line no-control-regex no-misleading-character-class
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e0fff}]|\p{Cs}/u;

/** Strings that are rich in what matters here. */
const texts = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('\\', '\\\\', 'x1b', 'u{202e}', 'u{', '}', '\x1b', '\u202e', '\u{e0041}', '\ud800', '\udc00'),
      fc.constantFrom('\n', '\ufe0f', '❤', '\u200d', 'e\u0301', '"', '\u2028', '\u009b'),
    ),
    { maxLength: 20 },
  )
  .map((parts) => parts.join(''));

/** Reads what `printable` wrote: an odd run of backslashes ends in an escape. */
function read(text: string): string {
  return text.replaceAll(
    /(\\+)(?:x([0-9a-f]{2})|u\{([0-9a-f]{1,6})\})/g,
    (whole, run: string, x?: string, u?: string) => {
      const half = '\\'.repeat(Math.floor(run.length / 2));
      if (run.length % 2 === 0) return half + whole.slice(run.length);
      return half + String.fromCodePoint(Number.parseInt(x ?? u ?? '', 16));
    },
  );
}

describe('printable text', () => {
  it('shows what would act instead of standing in its place', () => {
    const cases: readonly [string, string][] = [
      ['a\x1b[31mb', 'a\\x1b[31mb'],
      ['\r\n\t\x7f\u009b', '\\x0d\\x0a\\x09\\x7f\\x9b'],
      ['gnp.\u202etxt', 'gnp.\\u{202e}txt'],
      ['a\u200bb\u2028c\ufeff', 'a\\u{200b}b\\u{2028}c\\u{feff}'],
      ['\u{e0041}', '\\u{e0041}'],
      ['\ud800', '\\u{d800}'],
      ['👩\u200d💻', '👩\\u{200d}💻'],
    ];
    for (const [text, shown] of cases) assert.equal(printable(text), shown);
  });

  it('leaves names of all scripts as they are', () => {
    for (const name of [
      '東京',
      'e\u0301',
      'naïve',
      'C:\\temp\\new',
      '❤\ufe0f',
      'שלום',
      'مرحبا',
      '👍🏽',
      '\u0915\u094d\u0937',
    ]) {
      assert.equal(printable(name), name);
    }
  });

  it('never holds an active character, and never shows two texts alike', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const shown = printable(text);
        assert.doesNotMatch(shown, ACTIVE);
        assert.equal(read(shown), text);
      }),
      { numRuns: 2000 },
    );
  });

  it('cuts a long line off, and counts the rest', () => {
    const shown = printable('😀'.repeat(LINE_LIMIT), 11);
    assert.equal(shown, `${'😀'.repeat(5)}… (${2 * LINE_LIMIT - 10} more characters)`);
    assert.ok(printable('\u202e'.repeat(10 * LINE_LIMIT)).length < 9 * LINE_LIMIT);
  });

  it('takes no longer for a hostile text', () => {
    for (const unit of ['\\', '\\u{', '\\x', '❤', '\u200d\\']) {
      const start = performance.now();
      printable(unit.repeat(LINE_LIMIT));
      assert.ok(performance.now() - start < 500, unit);
    }
  });
});

describe('JSON text', () => {
  it('reads back as the same value, and holds no active character', () => {
    fc.assert(
      fc.property(fc.dictionary(texts, fc.array(texts)), fc.constantFrom(undefined, 2), (value, indent) => {
        const text = jsonText(value, indent);
        assert.doesNotMatch(text.replaceAll('\n', ''), ACTIVE);
        if (indent === undefined) assert.doesNotMatch(text, /\n/);
        assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)));
      }),
      { numRuns: 1000 },
    );
  });
});
