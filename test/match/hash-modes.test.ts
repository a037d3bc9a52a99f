/**
 * The results of the hash modes: for each kind of changed file, how many pieces a perfect matcher recovers, and that all of
 * them are recovered (`matching.ts` also checks that no piece called verified is wrong).
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { array, asyncProperty, constantFrom, assert as holds, integer, nat, tuple } from 'fast-check';
import { countBits } from '../../src/extent/bitfield.ts';
import type { MatchMode } from '../../src/match/match.ts';
import { type Edit, edited, recoverable } from './edits.ts';
import { content, PIECE, torrent } from './fixtures.ts';
import { codes, matchBench, modes, readMatched, statuses } from './matching.ts';

const HASHED: readonly MatchMode[] = ['unsplitable', 'normal', 'hash_name', 'hash_size', 'hash_slow'];
const LARGE = 131_072;

describe('hash modes', () => {
  const bench = matchBench();
  const size = 40 * PIECE + 1234;
  const large = 12 * LARGE + 4321;

  const cases: readonly [string, (length: number, piece: number) => readonly Edit[]][] = [
    ['nothing', () => []],
    ...[1, 37].flatMap((n): (typeof cases)[number][] => [
      [`${n} more at the head`, () => [['insert', 0, n]]],
      [`${n} fewer at the head`, () => [['delete', 0, n]]],
      [`${n} more at the tail`, (l) => [['insert', l, n]]],
      [`${n} fewer at the tail`, (l) => [['delete', l - n, n]]],
      [
        `${n} more at both`,
        (l) => [
          ['insert', 0, n],
          ['insert', l, n],
        ],
      ],
      [
        `${n} fewer at both`,
        (l) => [
          ['delete', 0, n],
          ['delete', l - n, n],
        ],
      ],
    ]),
    ...[-1, 1].flatMap((d): (typeof cases)[number][] => [
      [`a piece and ${d} more at the head`, (_, p) => [['insert', 0, p + d]]],
      [`a piece and ${d} fewer at the head`, (_, p) => [['delete', 0, p + d]]],
      [`a piece and ${d} more at the tail`, (l, p) => [['insert', l, p + d]]],
      [`a piece and ${d} fewer at the tail`, (l, p) => [['delete', l - p - d, p + d]]],
    ]),
    [
      'a tag before and none behind',
      (l) => [
        ['insert', 0, 4096],
        ['delete', l - 128, 128],
      ],
    ],
    ['one more in the middle', (l) => [['insert', (l >> 1) + 77, 1]]],
    ['300 more in the middle', (l) => [['insert', (l >> 1) + 77, 300]]],
    ['300 fewer in the middle', (l) => [['delete', (l >> 1) + 77, 300]]],
    [
      'more in two places',
      (l) => [
        ['insert', Math.floor(l / 3), 101],
        ['insert', Math.floor((2 * l) / 3), 77],
      ],
    ],
    [
      'more here and fewer there',
      (l) => [
        ['insert', Math.floor(l / 3), 512],
        ['delete', Math.floor((2 * l) / 3), 512],
      ],
    ],
    ['fewer in three places', (l) => [3, 5, 7].map((n): Edit => ['delete', Math.floor((l * n) / 9), n * 11])],
    ['early', (l) => [['insert', Math.floor(l / 20), 4113]]],
    ['late', (l) => [['insert', Math.floor((l * 19) / 20), 4113]]],
    ['a zeroed middle', (_, p) => [['zero', 5 * p + 7, 3 * p]]],
    ['a zeroed quarter at the end', (l) => [['zero', l - (l >> 2), l >> 2]]],
    ['rot in the middle', (l) => [['flip', l >> 1, 3]]],
    ['rot at the beginning', () => [['flip', 10, 3]]],
    [
      'rot and more',
      (_, p) => [
        ['flip', 3 * p + 5, 9],
        ['insert', 7 * p + 1, 64],
      ],
    ],
  ];

  for (const [name, edits] of cases) {
    for (const [pieces, length, piece] of [
      ['16 KiB', size, PIECE],
      ['128 KiB', large, LARGE],
    ] as const) {
      it(`${name}, pieces of ${pieces}, under its own and under another name`, async () => {
        const original = content(`original ${name}`, length);
        const changes = edits(length, piece);
        const copy = edited(original, changes);
        const wanted = recoverable(length, changes, piece, piece <= 32_768);
        for (const path of ['deep/film.mkv', 'deep/other.bin']) {
          const match = await bench.match(
            { [path]: copy, 'decoy.bin': content('decoy', length) },
            torrent('film.mkv', original, piece),
            {
              scanModes: HASHED,
              verify: 'full',
              sizeVarying: 60,
            },
          );
          assert.equal(countBits(match.verified), wanted, `${path}: ${match.reason}`);
        }
      });
    }
  }

  it('makes one file of two damaged copies', async () => {
    const original = content('two', size);
    const [a, b] = [
      edited(original, [['zero', 0, size >> 1]]),
      edited(original, [
        ['zero', size >> 1, size - (size >> 1)],
        ['insert', 0, 5],
      ]),
    ];
    const match = await bench.match({ 'a/film.mkv': a, 'b/film.mkv': b }, torrent('film.mkv', original), {
      scanModes: HASHED,
      verify: 'probe',
    });
    // The piece in the middle is half in each.
    assert.equal(countBits(match.verified), 40);
    assert.equal(match.missingBytes, PIECE);
    assert.equal(match.sources.length, 2);
  });

  it('takes the good one of two with one name and size, and a renamed one among decoys', async () => {
    const original = content('dup', size);
    const files = { 'a/film.mkv': content('bad', size), 'b/film.mkv': original };
    const match = await bench.match(files, torrent('film.mkv', original), { scanModes: HASHED, verify: 'full' });
    assert.deepEqual(match.from, ['b/film.mkv']);
    const decoys = { 'aa.bin': content('decoy 1', size), 'zz.bin': original, 'mm.bin': content('decoy 2', size + 9) };
    const found = await bench.match(decoys, torrent('film.mkv', original), { scanModes: HASHED, verify: 'none' });
    assert.deepEqual([found.from, modes(found), codes(found)], [['zz.bin'], ['hash_size'], ['verified']]);
  });

  it('decides files smaller than a piece by the pieces that they share', async () => {
    const [a, b, c] = [content('a', 5000), content('b', 3 * PIECE), content('c', 700)];
    const files = { 'x.1': a, 'x.2': edited(b, [['insert', 0, 9]]), 'x.3': c, 'y.3': content('not c', 700) };
    const match = await bench.match(files, torrent('T', { 'a.nfo': a, 'b.mkv': b, 'c.srt': c }), {
      scanModes: HASHED,
      verify: 'probe',
    });
    assert.deepEqual(statuses(match), ['mapped', 'resized', 'mapped']);
    assert.equal(match.missingBytes, 0);
    for (const [i, part] of [a, b, c].entries()) assert.ok(readMatched(match, i).equals(part), `file ${i}`);
  });

  it('takes single-piece files, and leaves empty ones alone', async () => {
    const one = content('one', 9000);
    const match = await bench.match({ 'other.bin': one, 'empty.bin': Buffer.alloc(0) }, torrent('one.bin', one), {
      scanModes: HASHED,
    });
    assert.deepEqual([match.from, codes(match)], [['other.bin'], ['verified']]);
    const files = { 'other.bin': one, 'empty.bin': Buffer.alloc(0) };
    const nothing = await bench.match(files, torrent('T', { 'e.bin': Buffer.alloc(0), 'one.bin': one }), {
      scanModes: HASHED,
    });
    assert.deepEqual(codes(nothing), ['empty', 'verified']);
  });

  it('stops at hash_limit, and says so', async () => {
    const original = content('limit', size);
    const decoys = Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`decoy ${i}.bin`, content(`${i}`, size)]));
    const match = await bench.match({ ...decoys, 'zz.bin': original }, torrent('film.mkv', original), {
      scanModes: ['hash_size'],
      hashLimit: { candidates: 3, bytes: 2 ** 30 },
    });
    assert.deepEqual(codes(match), ['limit']);
    assert.match(match.files[0]?.reason ?? '', /hash_limit/);
  });

  it('believes nothing that changes while it is looked at', async () => {
    const original = content('changes', size);
    const match = await bench.match(
      { 'film.mkv': edited(original, [['insert', 0, 3]]) },
      torrent('film.mkv', original),
      {
        scanModes: HASHED,
        later: (disk) => {
          const fs = process.getBuiltinModule('node:fs');
          fs.truncateSync(`${disk}/film.mkv`, 100);
        },
      },
    );
    assert.deepEqual(statuses(match), ['missing']);
    assert.equal(countBits(match.verified), 0);
  });

  it('calls no piece verified that is not, whatever the mangling', async () => {
    const original = content('mangled', 24 * PIECE + 99);
    const anEdit = tuple(
      constantFrom('insert' as const, 'delete' as const, 'zero' as const, 'flip' as const),
      nat(original.length - 1),
      integer({ min: 1, max: 3 * PIECE }),
    );
    await holds(
      asyncProperty(array(anEdit, { maxLength: 4 }), async (random) => {
        const edits: Edit[] = [];
        let from = 0;
        for (const [kind, at, bytes] of random.toSorted((a, b) => a[1] - b[1])) {
          if (at < from) continue;
          const length = kind === 'insert' ? bytes : Math.min(bytes, original.length - at);
          edits.push([kind, at, length]);
          from = at + length;
        }
        // `match` reads back and hashes the pieces that it calls verified.
        await bench.match({ 'film.mkv': edited(original, edits) }, torrent('film.mkv', original), {
          scanModes: HASHED,
          verify: 'probe',
          sizeVarying: 100,
          hashLimit: { candidates: 4, bytes: 32 * 2 ** 20 },
        });
      }),
      { numRuns: 40, seed: 5 },
    );
  });
});
