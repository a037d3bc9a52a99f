/**
 * v2 and hybrid torrents (made by libtorrent). Their files are found by their merkle trees under any name, in parts if they
 * are damaged; a hybrid's pieces must agree with both hashes, or are not believed. `matching.ts` recomputes the trees.
 */
import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { countBits, hasBit } from '../../src/extent/bitfield.ts';
import type { Metainfo } from '../../src/metainfo/metainfo.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { libtorrentOf } from '../harness/libtorrent.ts';
import { type Edit, edited, recoverable } from './edits.ts';
import { content, type Files, PIECE, writeFiles } from './fixtures.ts';
import { codes, matchBench, modes, statuses } from './matching.ts';

const HASHED = ['unsplitable', 'normal', 'hash_name', 'hash_size', 'hash_slow'] as const;
const ALL = { scanModes: HASHED, verify: 'full', sizeVarying: 60 } as const;
const LARGE = 65_536;

const A = content('v2 a', 10 * PIECE + 99);
const B = content('v2 b', 700);
const C = content('v2 c', 3 * PIECE);

describe('v2 and hybrid torrents', () => {
  const bench = matchBench();
  const base = temporaryFolder('match');

  const made = (version: 'v2' | 'hybrid', name: string, files: Files | Buffer, piece: number): Metainfo => {
    const folder = mkdtempSync(join(base, 'original-'));
    if (Buffer.isBuffer(files)) writeFiles(folder, { [name]: files });
    else writeFiles(join(folder, name), files);
    return parseMetainfo(libtorrentOf(join(folder, name), version, piece));
  };

  for (const version of ['v2', 'hybrid'] as const) {
    for (const verify of ['none', 'probe', 'full'] as const) {
      it(`${version}: finds a file of any name by its content, verify = ${verify}`, async () => {
        for (const [original, piece] of [
          [A, PIECE],
          [A, LARGE],
          [B, LARGE],
          [C, PIECE],
        ] as const) {
          const files = {
            'x/renamed.bin': original,
            'x/aaa.bin': content('wrong', original.length),
            'x/film.mkv': content('wrong, too', original.length),
          };
          const torrent = made(version, 'film.mkv', original, piece);
          const found = await bench.match(files, torrent, { ...ALL, verify: verify === 'none' ? 'probe' : verify });
          assert.deepEqual(found.from, ['x/renamed.bin']);
          assert.equal(found.verifiedPieces, torrent.pieceCount);
          const { 'x/film.mkv': _, ...unnamed } = files;
          const modes = { ...ALL, verify, scanModes: ['hash_size'] as const };
          assert.deepEqual((await bench.match(unnamed, torrent, modes)).from, ['x/renamed.bin']);
        }
      });
    }

    it(`${version}: verifies what has name and size, as far as it is told to`, async () => {
      const files = { 'a.bin': A, 'sub/b.bin': B, 'c.bin': C };
      const torrent = made(version, 'album', files, PIECE);
      const placed = Object.fromEntries(Object.entries(files).map(([path, data]) => [`d/${path}`, data]));
      const full = await bench.match(placed, torrent, { verify: 'full' });
      assert.deepEqual([full.missingBytes, full.verifiedPieces], [0, 15]);
      const probed = await bench.match(placed, torrent, { verify: 'probe' });
      assert.ok(probed.verifiedPieces > 3 && probed.verifiedPieces < 15);
      const none = await bench.match(placed, torrent, { verify: 'none' });
      assert.deepEqual([none.missingBytes, none.verifiedPieces], [0, 0]);
      const wrong = await bench.match({ ...placed, 'd/sub/b.bin': content('x', B.length) }, torrent, {
        verify: 'probe',
      });
      assert.deepEqual([wrong.missingBytes, codes(wrong).includes('hash-mismatch')], [B.length, true]);
    });

    it(`${version}: aligns, one piece layer a file`, async () => {
      const length = 20 * PIECE + 777;
      const original = content(`layers ${version}`, length);
      const cases: readonly (readonly Edit[])[] = [
        [['insert', 0, 37]],
        [['delete', 0, 1]],
        [['insert', length, PIECE + 1]],
        [['delete', length - PIECE - 1, PIECE + 1]],
        [['insert', (length >> 1) + 77, 300]],
        [['delete', (length >> 1) + 77, 300]],
        [['zero', 5 * PIECE + 7, 3 * PIECE]],
        [['flip', length - 3, 2]],
      ];
      for (const piece of [PIECE, LARGE]) {
        const torrent = made(version, 'film.mkv', original, piece);
        for (const edits of cases) {
          const found = await bench.match({ 'other.bin': edited(original, edits) }, torrent, ALL);
          const wanted = recoverable(length, edits, piece, piece <= 32_768);
          assert.equal(countBits(found.verified), wanted, `${JSON.stringify(edits)}: ${found.reason}`);
        }
      }
    });

    it(`${version}: makes one file of two damaged copies, and of a spare`, async () => {
      const original = content('two', 10 * PIECE);
      const torrent = made(version, 'film.mkv', original, PIECE);
      const left = edited(original, [['zero', 6 * PIECE, 4 * PIECE]]);
      const right = edited(original, [['zero', 0, 5 * PIECE]]);
      const found = await bench.match({ 'a/film.mkv': left, 'b/film.mkv': right }, torrent, ALL);
      assert.deepEqual([found.missingBytes, found.verifiedPieces, found.sources.length], [0, 10, 2]);
      const twice = await bench.match({ 'a/film.mkv': original, 'b/film.mkv': original }, torrent, { verify: 'full' });
      assert.equal(twice.sources.flatMap(({ spares }) => spares).length, 1);
    });
  }

  it('v2: two files with one pieces root share a source where there is one alone', async () => {
    const torrent = made('v2', 'twins', { 'one.bin': A, 'two.bin': A, 'three.bin': C }, PIECE);
    const found = await bench.match({ 'x.bin': A, 'y.bin': C }, torrent, ALL);
    assert.deepEqual([found.missingBytes, found.sources.length], [0, 2]);
  });

  it('hybrid: a piece whose two hashes disagree is not believed, whatever the bytes', async () => {
    const torrent = made('hybrid', 'film.mkv', A, PIECE);
    const pieces = Buffer.from(torrent.pieces);
    pieces[3 * 20] = (pieces[3 * 20] ?? 0) ^ 1;
    for (const scanModes of [HASHED, ['normal'] as const]) {
      const found = await bench.match({ 'film.mkv': A }, { ...torrent, pieces }, { ...ALL, scanModes });
      assert.equal(hasBit(found.verified, 3), false);
      assert.equal(found.verifiedPieces, torrent.pieceCount - 1);
      assert.deepEqual([statuses(found), found.missingBytes], [['partial'], PIECE]);
    }
    assert.deepEqual(modes(await bench.match({ 'film.mkv': A }, torrent, ALL)), ['normal']);
  });
});
