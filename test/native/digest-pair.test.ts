import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { BLOCK_BYTES, loadDigestPair } from '../../src/native/digest-pair.ts';

/** A message with the padding of SHA-1 and SHA-256. */
function padded(message: Buffer): Buffer {
  const end = Buffer.alloc(BLOCK_BYTES - ((message.length + 8) % BLOCK_BYTES) + 8);
  end[0] = 0x80;
  end.writeUInt32BE(message.length * 8, end.length - 4);
  return Buffer.concat([message, end]);
}

for (const algorithm of ['sha1', 'sha256'] as const) {
  describe(`two ${algorithm} at once`, () => {
    const pair = loadDigestPair(algorithm);

    it('is there, with the Node that the tests run on', (t) => {
      if (process.arch !== 'x64') return t.skip('another processor');
      assert.ok(pair !== undefined);
    });

    it('agrees with crypto, whatever is hashed beside it and in whatever steps', (t) => {
      if (pair === undefined) return t.skip('not in this Node');
      for (const [one, other] of [
        [0, 0],
        [55, 56],
        [63, 64],
        [1000, 1],
        [5, 70_000],
        [300_000, 299_999],
      ] as const) {
        const messages = [randomBytes(one), randomBytes(other)] as const;
        // Not at the beginning of their memory.
        const blocks = messages.map((message) => Buffer.concat([Buffer.of(1, 2, 3), padded(message)]).subarray(3));
        pair.begin(0);
        pair.begin(1);
        const at = [0, 0];
        for (let step = 1; ; step = (step * 3) % 97) {
          const left = blocks.map((block, i) => block.subarray(at[i]));
          const rest = left.map((block) => (block.length === 0 ? undefined : block));
          if (rest.every((block) => block === undefined)) break;
          const count = Math.min(step, ...rest.map((block) => (block?.length ?? Infinity) / BLOCK_BYTES));
          pair.update(count, rest[0], rest[1]);
          for (const i of [0, 1]) if (rest[i] !== undefined) at[i] = (at[i] ?? 0) + count * BLOCK_BYTES;
        }
        const found: readonly string[] = [pair.digest(0), pair.digest(1)];
        const wanted = messages.map((message) => createHash(algorithm).update(message).digest('binary'));
        assert.deepEqual(found, wanted);
      }
    });

    it('does not read beyond a buffer', (t) => {
      if (pair === undefined) return t.skip('not in this Node');
      assert.throws(() => pair.update(2, Buffer.alloc(2 * BLOCK_BYTES - 1), undefined), RangeError);
      assert.throws(() => pair.update(1, undefined, Buffer.alloc(0)), RangeError);
    });
  });
}
