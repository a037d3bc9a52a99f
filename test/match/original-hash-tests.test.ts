/**
 * The original's own tests of its hash modes (autotorrent 1.7.1), with files of the same sizes and the same changes: where it
 * finds a file and rewrites it, ours finds it and recovers every piece whose bytes are all there.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { countBits } from '../../src/extent/bitfield.ts';
import type { MatchMode } from '../../src/match/match.ts';
import { type Edit, edited, recoverable } from './edits.ts';
import { content, torrent } from './fixtures.ts';
import { matchBench, statuses } from './matching.ts';

const PIECE = 256;
const A = content('original a', 20_480);
const B = content('original b', 22_528);
const NAME_AND_SIZE: readonly MatchMode[] = ['hash_name', 'hash_size'];
const ALL: readonly MatchMode[] = [...NAME_AND_SIZE, 'hash_slow'];
const single = torrent('file_b', B, PIECE);
const multi = torrent('hashalignment', { file_a: A, file_b: B }, PIECE);

describe("the original's tests of its hash modes", () => {
  const { match } = matchBench();

  // The original's hash_name has no limit in size, although its documentation says 10 percent: ours has the configured one.
  const cases: readonly [string, readonly Edit[], number][] = [
    ['23 bytes cut off the start', [['delete', 0, 23]], 10],
    ['37 bytes before the start', [['insert', 0, 37]], 10],
    ['37 bytes cut off the end', [['delete', B.length - 37, 37]], 10],
    ['37 bytes behind the end', [['insert', B.length, 37]], 10],
    ['3001 bytes cut out of the centre', [['delete', 10_028, 3001]], 20],
    ['51 bytes put into the centre', [['insert', 10_028, 51]], 10],
  ];
  for (const [name, edits, sizeVarying] of cases) {
    it(`aligns a file of its name: ${name}`, async () => {
      const found = await match({ file_b: edited(B, edits) }, single, { scanModes: NAME_AND_SIZE, sizeVarying });
      assert.equal(countBits(found.verified), recoverable(B.length, edits, PIECE, true), found.reason);
    });
  }

  it('finds a renamed file of its size', async () => {
    const found = await match({ randomname: A, file_b: B }, multi, { scanModes: NAME_AND_SIZE });
    assert.deepEqual([found.from, found.missingBytes], [['randomname', 'file_b'], 0]);
  });

  it('finds nothing where a file is gone', async () => {
    const found = await match({ file_b: B }, multi, { scanModes: NAME_AND_SIZE });
    assert.deepEqual([statuses(found), found.missingBytes], [['missing', 'mapped'], A.length]);
  });

  it('aligns both files of a torrent under other names', async () => {
    const [a, b]: readonly (readonly Edit[])[] = [[['insert', 10_028, 51]], [['delete', 10_028, 1001]]];
    const files = { randomname: edited(A, a ?? []), othername_WHAT: edited(B, b ?? []) };
    const found = await match(files, multi, { scanModes: ALL });
    const wanted = recoverable(A.length, a ?? [], PIECE, true) + recoverable(B.length, b ?? [], PIECE, true);
    assert.equal(countBits(found.verified), wanted, found.reason);
  });

  it('aligns one file under another name, if its size is near enough', async () => {
    for (const [removed, isFound] of [
      [1001, true],
      [3001, false],
    ] as const) {
      const edits: readonly Edit[] = [['delete', 10_028, removed]];
      const found = await match({ othername_WHAT: edited(B, edits) }, single, { scanModes: ALL });
      assert.equal(countBits(found.verified), isFound ? recoverable(B.length, edits, PIECE, true) : 0, found.reason);
    }
  });

  it('finds of small files in one piece what all of them prove', async () => {
    const [a, b, c] = ['a', 'b', 'c'].map((name) => content(name, 11));
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    const wanted = torrent('test', { 'file_a.txt': a, 'file_b.txt': b, 'file_c.txt': c }, PIECE);
    const files = { 'file_a.txt': a, 'file_b.txt': b, 'file_c.txt': c };
    const found = await match(files, wanted, { scanModes: NAME_AND_SIZE });
    assert.deepEqual([found.missingBytes, countBits(found.verified)], [0, 1]);
  });
});
