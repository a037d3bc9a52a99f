/** The hash modes with all sizes of pieces, from 16 KiB to 16 MiB: some kinds of changed copies, at each size. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { countBits } from '../../src/extent/bitfield.ts';
import type { MatchMode } from '../../src/match/match.ts';
import { Random } from '../stress/random.ts';
import { type Edit, edited, recoverable } from './edits.ts';
import { type Files, torrent } from './fixtures.ts';
import { matchBench, statuses } from './matching.ts';

const KIB = 1024;
const HASHED: readonly MatchMode[] = ['unsplitable', 'normal', 'hash_name', 'hash_size', 'hash_slow'];
/** Pieces so small that an insertion inside one is found, too. */
const SPLIT = 32 * KIB;

type Case = readonly [name: string, edits: (length: number, piece: number) => readonly Edit[]];
const CASES: readonly Case[] = [
  ['renamed', () => []],
  ['37 more at the head', () => [['insert', 0, 37]]],
  ['a piece and 1 fewer at the head', (_, p) => [['delete', 0, p + 1]]],
  ['a piece less 1 fewer at the tail', (l, p) => [['delete', l - p + 1, p - 1]]],
  ['1 more in the middle', (l) => [['insert', (l >> 1) + 77, 1]]],
  ['a download of full size that stopped in the middle', (l) => [['zero', l >> 1, l - (l >> 1)]]],
  ['a rotten first byte', () => [['flip', 0, 1]]],
];

describe('hash modes', () => {
  const { match } = matchBench();
  const options = { scanModes: HASHED, sizeVarying: 60, verify: 'full' } as const;

  for (const kib of [16, 32, 64, 256, 1024, 4096, 8192, 16_384]) {
    const piece = kib * KIB;
    // Fewer of the large pieces: the test is about their size, not their number.
    const pieces = kib > 1024 ? 2 : 4;
    const original = new Random(kib).bytes(pieces * piece + 777);
    const wanted = torrent('film.mkv', original, piece);
    for (const [name, edits] of CASES) {
      it(`pieces of ${kib} KiB: ${name}`, async () => {
        const changes = edits(original.length, piece);
        const found = await match({ 'other.bin': edited(original, changes) }, wanted, options);
        const most = recoverable(original.length, changes, piece, piece <= SPLIT);
        assert.equal(countBits(found.verified), most, found.reason);
      });
    }

    it(`pieces of ${kib} KiB: two damaged copies, and garbage of their name and size`, async () => {
      const [half, end] = [(pieces >> 1) * piece, original.length];
      const files: Files = {
        'a/film.mkv': new Random(1).bytes(end),
        'b/film.mkv': edited(original, [['zero', 0, half]]),
        'c/film.mkv': edited(original, [['zero', half, end - half]]),
      };
      const found = await match(files, wanted, options);
      assert.deepEqual([statuses(found), countBits(found.verified)], [['mapped'], pieces + 1], found.reason);
    });

    it(`pieces of ${kib} KiB: files of a single piece and smaller ones, beside an empty one`, async () => {
      const parts = [piece, 1000, piece >> 1, 0, piece].map((length, i) => new Random(kib + i).bytes(length));
      const wantedFiles = Object.fromEntries(parts.map((part, i) => [`file ${i}`, part]));
      const files = Object.fromEntries(parts.map((part, i) => [`kept ${i * 7}.bin`, part]));
      const decoys = Object.fromEntries(parts.map(({ length }, i) => [`aaa ${i}.bin`, new Random(99).bytes(length)]));
      const found = await match({ ...files, ...decoys }, torrent('T', wantedFiles, piece), options);
      assert.deepEqual([found.missingBytes, found.verifiedPieces], [0, found.metainfo.pieceCount], found.reason);
    });
  }
});
