import assert from 'node:assert/strict';
import { it } from 'node:test';
import { identityOfFile, pathOf, tableOf } from '../../src/hash/hash-task.ts';
import type { FileIdentity } from '../../src/source/identity.ts';

it('a table of files gives their paths and identities back, usual or not', () => {
  const usual: FileIdentity = { dev: 2049, ino: 12n, size: 2 ** 40, mtimeNs: 1_700_000_000_123_456_789n, ctimeNs: -5n };
  const files = [
    usual,
    { ...usual, ino: -(2n ** 63n) },
    { ...usual, ino: 2n ** 64n - 1n },
    { ...usual, ctimeNs: undefined },
    { ...usual, mtimeNs: 2n ** 63n },
    { ...usual, ctimeNs: -(2n ** 70n) },
    { ...usual, size: 0, mtimeNs: 0n },
  ].map((identity, i) => ({ path: Buffer.from(`/\xff/${'a'.repeat(i)}`, 'latin1'), identity, offset: 0, length: 1 }));
  const table = structuredClone(tableOf(files));
  for (const [i, { path, identity }] of files.entries()) {
    assert.deepEqual(pathOf(table, i), path);
    assert.deepEqual(identityOfFile(table, i), identity);
  }
  assert.throws(() => pathOf(table, files.length), RangeError);
});
