/** Bodies of requests to the control socket: JSON, lines of JSON, and what each of them must hold. */
import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { BODY_TIMES, jsonOf, linesOf } from '../../../src/control/body.ts';
import { discardedIn, infoHashesIn, nameLine, verifiedIn } from '../../../src/control/requests.ts';
import { AutotorrentError } from '../../../src/errors.ts';
import type { FuzzTarget } from '../target.ts';

const LIMIT = 32_768;
const isText = (value: unknown): boolean => typeof value === 'string';

/** A request with this body, which comes in chunks. */
function requestOf(body: Buffer): IncomingMessage {
  const chunks: Buffer[] = [];
  for (let at = 0; at < body.length; at += 1000) chunks.push(body.subarray(at, at + 1000));
  return Object.assign(Readable.from(chunks, { objectMode: false }), {
    headers: { 'content-length': String(body.length) },
  }) as unknown as IncomingMessage;
}

async function checked<T>(reading: () => Promise<T> | T, check: (value: T) => void): Promise<void> {
  let value: T;
  try {
    value = await reading();
  } catch (error) {
    if (error instanceof AutotorrentError && error.code === 'USAGE') return;
    throw error;
  }
  check(value);
}

export const target: FuzzTarget = {
  seeds: () => [
    Buffer.from(JSON.stringify({ info_hashes: ['ab'.repeat(20)], files: ['a/b'], since: 5, good: 'AA==', bad: '' })),
    Buffer.from('["a","b"]\nnull\n["c"]\n'),
    Buffer.from('{}'),
    Buffer.from('{"files":[]}'),
  ],
  tokens: [
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '\n',
    'null',
    'true',
    '-1',
    '1e999',
    '9007199254740993',
    '"files"',
    '"info_hashes"',
    '"since"',
    '"good"',
    '"bad"',
    '"__proto__"',
    '"toString"',
    '\\u0000',
    '\\ud800',
    '\0',
    '\xff',
    '[[[[[[[[[[[[[[[[',
    '[],',
  ],
  async run(input) {
    await checked(
      () => linesOf(requestOf(input), { limit: 1000, lineLimit: 4096 }, BODY_TIMES, nameLine),
      (lines) => {
        assert.ok(lines.length <= 1000);
        assert.ok(lines.every((line) => line === undefined || (line.length > 0 && line.every(isText))));
      },
    );
    let value: unknown;
    try {
      value = await jsonOf(requestOf(input), LIMIT, BODY_TIMES);
    } catch (error) {
      if (error instanceof AutotorrentError && error.code === 'USAGE') return;
      throw error;
    }
    assert.ok(input.length <= LIMIT);
    await checked(
      () => infoHashesIn(value),
      (hashes) => assert.ok(hashes.every(isText)),
    );
    await checked(
      () => discardedIn(value),
      (what) => assert.ok(what === undefined || what === 'deleted' || what.every(isText)),
    );
    await checked(
      () => verifiedIn(value),
      ({ since, good, bad }) => {
        assert.ok(Number.isSafeInteger(since) && good.length + bad.length <= input.length);
      },
    );
  },
};
