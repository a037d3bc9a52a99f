/**
 * Copies of one name and size of which one is damaged in place: the whole one is taken, or the right bytes of each. Damage at
 * the head, at the tail and in the middle, of the first, a middle and the last file, in pieces that the file has for itself
 * and in those that it shares.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { array, asyncProperty, boolean, assert as holds, integer, nat, record } from 'fast-check';
import { hasBit } from '../../src/extent/bitfield.ts';
import { GAP } from '../../src/extent/extent.ts';
import type { MatchMode } from '../../src/match/match.ts';
import { pieceSpans } from '../../src/metainfo/piece-layout.ts';
import { Random } from '../stress/random.ts';
import { edited } from './edits.ts';
import { content, type Files, PIECE, torrent, writeFiles } from './fixtures.ts';
import { codes, type Found, matchBench, readMatched, statuses } from './matching.ts';

const KIB = 1024;
const LEVELS = ['probe', 'full', 'full-if-whole'] as const;
const NAMES = ['a.bin', 'b.bin', 'c.bin'];

/** Checks that all bytes are mapped, and right. */
function assertWhole(found: Found, files: readonly Buffer[]): void {
  assert.equal(found.missingBytes, 0, found.reason);
  for (const [i, bytes] of files.entries()) assert.ok(readMatched(found, i).equals(bytes), `file ${i}`);
}

/** Overwrites 100 bytes at `at`. */
const damaged = (bytes: Buffer, at: number): Buffer => edited(bytes, [['flip', at, 100]]);

describe('of two copies', () => {
  const { match, run, disk } = matchBench();

  for (const kib of [16, 64, 1024, 16_384]) {
    const piece = kib * KIB;
    const parts = [1.3, 2.4, 1.2].map((pieces, i) => new Random(kib + i).bytes(Math.floor(pieces * piece)));
    const three = torrent('t', Object.fromEntries(NAMES.map((name, i) => [name, parts[i] ?? 0])), piece);
    const places = { head: () => 0, middle: (length: number) => length >> 1, tail: (length: number) => length - 100 };
    for (const [where, at] of Object.entries(places)) {
      for (const [i, name] of NAMES.entries()) {
        // One of each is enough of the large pieces.
        if (kib > KIB && (i + Object.keys(places).indexOf(where)) % 3 !== 0) continue;
        it(`the whole one is taken, pieces of ${kib} KiB: ${where} of file ${i + 1} damaged`, async () => {
          const part = parts[i] ?? Buffer.alloc(0);
          const folder = writeFiles(disk(), Object.fromEntries(NAMES.map((one, k) => [`z/${one}`, parts[k]!])));
          // The torrent's own name speaks for the damaged one.
          writeFiles(folder, { [`t/${name}`]: damaged(part, at(part.length)) });
          for (const verify of kib > KIB ? LEVELS.slice(0, 2) : LEVELS) {
            const { found } = await run(folder, [three], { verify });
            assertWhole(found[0]!, parts);
            if (verify === 'probe') assert.equal(found[0]?.from[i], `z/${name}`);
          }
        });
      }
    }
  }

  it('the whole one is taken under other names, too', async () => {
    const parts = [2.5, 3.5, 1.5].map((pieces, i) => content(`renamed ${i}`, pieces * PIECE));
    const three = torrent('t', Object.fromEntries(NAMES.map((name, i) => [name, parts[i]!])));
    for (const verify of LEVELS) {
      for (const at of [0, parts[1]!.length - 100]) {
        const files: Files = {
          'z/1.dat': parts[0]!,
          'z/2.dat': parts[1]!,
          'z/3.dat': parts[2]!,
          'b.bin': damaged(parts[1]!, at),
          'y/2.dat': damaged(parts[1]!, at),
        };
        assertWhole(await match(files, three, { verify, scanModes: ['unsplitable', 'normal', 'hash_size'] }), parts);
      }
    }
  });

  it('a whole one of another size supplies what a damaged one of the right size lacks', async () => {
    const parts = [2.5, 3.5, 1.5].map((pieces, i) => content(`longer ${i}`, pieces * PIECE));
    const three = torrent('t', Object.fromEntries(NAMES.map((name, i) => [name, parts[i]!])));
    const [, b] = parts;
    const scanModes: readonly MatchMode[] = ['unsplitable', 'normal', 'hash_name'];
    for (const at of [0, b!.length - 100]) {
      const files: Files = {
        'z/a.bin': parts[0]!,
        'z/b.bin': damaged(b!, at),
        'z/c.bin': parts[2]!,
        'y/b.bin': at === 0 ? edited(b!, [['insert', b!.length, 9]]) : edited(b!, [['insert', 0, 9]]),
      };
      for (const verify of LEVELS) {
        const found = await match(files, three, { verify, scanModes });
        assertWhole(found, parts);
        assert.equal(statuses(found)[1], 'resized');
      }
    }
  });

  for (const verify of LEVELS) {
    it(`each supplies the end that it has, where none is whole: ${verify}`, async () => {
      const parts = [1.5, 12.5, 1.5].map((pieces, i) => content(`ends ${i}`, pieces * PIECE));
      const three = torrent('t', Object.fromEntries(NAMES.map((name, i) => [name, parts[i]!])));
      const [a, b, c] = parts;
      const files: Files = {
        't/a.bin': a!,
        't/b.bin': damaged(b!, 0),
        't/c.bin': c!,
        'z/b.bin': damaged(b!, b!.length - 100),
      };
      const found = await match(files, three, { verify });
      assertWhole(found, parts);
      assert.deepEqual([found.files[1]?.extents.length, statuses(found)[1]], [2, 'mapped']);
      assert.match(found.files[1]?.reason ?? '', /agree, some of them with bytes of .*b\.bin/);
    });

    it(`a copy that failed for its middle still supplies an end: ${verify}`, async () => {
      const parts = [1.5, 4.5, 1.5].map((pieces, i) => content(`middle ${i}`, pieces * PIECE));
      const three = torrent('t', Object.fromEntries(NAMES.map((name, i) => [name, parts[i]!])));
      const [a, b, c] = parts;
      const files: Files = {
        't/a.bin': a!,
        't/b.bin': damaged(b!, b!.length >> 1),
        't/c.bin': c!,
        'z/b.bin': damaged(b!, 0),
      };
      assertWhole(await match(files, three, { verify }), parts);
    });

    it(`both neighbours of a piece may have a damaged copy: ${verify}`, async () => {
      const parts = [2.5, 3.5, 1.5].map((pieces, i) => content(`both ${i}`, pieces * PIECE));
      const three = torrent('t', Object.fromEntries(NAMES.map((name, i) => [name, parts[i]!])));
      const [a, b, c] = parts;
      const files: Files = {
        't/a.bin': damaged(a!, a!.length - 100),
        't/b.bin': damaged(b!, 0),
        't/c.bin': c!,
        'y/a.bin': a!,
        'z/b.bin': b!,
      };
      assertWhole(await match(files, three, { verify }), parts);
    });

    it(`what no copy has is a gap in both files of its piece: ${verify}`, async () => {
      const parts = [1.5, 3.5, 1.5].map((pieces, i) => content(`gap ${i}`, pieces * PIECE));
      const three = torrent('t', Object.fromEntries(NAMES.map((name, i) => [name, parts[i]!])));
      const [a, b, c] = parts;
      const files: Files = {
        't/a.bin': a!,
        't/b.bin': damaged(b!, 0),
        't/c.bin': c!,
        'z/b.bin': damaged(b!, 50),
      };
      const found = await match(files, three, { verify });
      assert.deepEqual([found.missingBytes, statuses(found)], [PIECE, ['partial', 'partial', 'mapped']]);
      assert.deepEqual(codes(found).slice(0, 2), ['pieces-failed', 'pieces-failed']);
    });
  }

  it('a probe does not see the middle of a long file; full takes that piece from the other copy', async () => {
    const long = content('long', 12.5 * PIECE);
    const beside = content('beside', 1.5 * PIECE);
    const two = torrent('t', { 'long.bin': long, 'beside.bin': beside });
    const files = { 't/long.bin': damaged(long, PIECE + 5), 't/beside.bin': beside, 'z/long.bin': long };
    const probed = await match(files, two, { verify: 'probe' });
    assert.deepEqual([probed.missingBytes, codes(probed)], [0, ['probed', 'verified']]);
    assert.match(
      probed.files[0]?.reason ?? '',
      /^6 of its 13 pieces were hashed and agree; the others are not proven\.$/,
    );
    assertWhole(await match(files, two, { verify: 'full' }), [long, beside]);
    assertWhole(await match(files, two, { verify: 'full-if-whole' }), [long, beside]);
  });

  it('says what stays unproven where a neighbour is missing', async () => {
    const [a, b] = [content('alone', 2.5 * PIECE), content('missing', 2.5 * PIECE)];
    const files = { 't/a.bin': damaged(a, a.length - 100), 'z/a.bin': a };
    for (const verify of ['probe', 'full'] as const) {
      const found = await match(files, torrent('t', { 'a.bin': a, 'b.bin': b }), { verify });
      assert.deepEqual(codes(found), ['probed', 'no-candidate']);
      assert.match(
        found.files[0]?.reason ?? '',
        /^2 of its 3 pieces were hashed and agree; the others are not proven\.$/,
      );
    }
  });

  it('hashes no combination twice, and no more of them than the limits allow', async () => {
    const count = 12;
    const right = Array.from({ length: count }, (_, i) => content(`small ${i}`, 700 + i));
    const named = Object.fromEntries(right.map((bytes, i) => [`${i}.txt`, bytes]));
    const files: Record<string, Buffer> = {};
    for (const copy of ['p', 'q', 'r']) {
      for (const [i, bytes] of right.entries()) files[`${copy}/${i}.txt`] = content(`${copy} ${i}`, bytes.length);
    }
    let bytes = 0;
    const found = await match(files, torrent('t', named), {
      verify: 'probe',
      onProgress: ({ totalBytes }) => {
        bytes = totalBytes;
      },
    });
    const length = right.reduce((sum, one) => sum + one.length, 0);
    assert.deepEqual(new Set(statuses(found)), new Set(['missing']));
    assert.ok(bytes > 8 * length && bytes <= 66 * length, `${bytes} of ${length}`);
  });
});

describe('of several copies, each damaged somewhere', () => {
  const { match } = matchBench();
  const spot = record({ copy: nat(1), file: nat(4), at: nat(9999) });

  it('every piece is found that some copies have', async () => {
    await holds(
      asyncProperty(
        array(integer({ min: 200, max: 3 * PIECE }), { minLength: 2, maxLength: 5 }),
        array(spot, { maxLength: 6 }),
        boolean(),
        async (lengths, spots, renamed) => {
          const right = lengths.map((length, i) => content(`right ${i}`, length));
          const names = lengths.map((_, i) => `${i}.bin`);
          const wanted = torrent('t', Object.fromEntries(names.map((name, i) => [name, right[i]!])));
          const copies = [0, 1].map((copy) =>
            right.map((bytes, i) => {
              const mine = spots.filter((one) => one.copy === copy && one.file === i);
              const places = new Set(mine.map(({ at }) => Math.min(at, bytes.length - 1)));
              return edited(
                bytes,
                [...places].map((at) => ['flip', at, 1]),
              );
            }),
          );
          const files = Object.fromEntries(
            copies.flatMap((list, copy) =>
              list.map((bytes, i) => [`${copy === 0 ? 't' : 'u'}/${renamed && copy === 1 ? `x${i}` : i}.bin`, bytes]),
            ),
          );
          const found = await match(files, wanted, { verify: 'full', scanModes: ['normal', 'hash_size'] });
          const intact = (i: number, from: number, to: number): boolean =>
            copies.some((list) => list[i]!.subarray(from, to).equals(right[i]!.subarray(from, to)));
          const ranges = (piece: number) => pieceSpans(wanted, piece);
          // A file of which no piece of its own is found, is not looked at any further.
          const alive = right.map((_, i) => {
            const own = Array.from({ length: wanted.pieceCount }, (_, piece) => ranges(piece)).filter(
              (spans) => spans.length === 1 && spans[0]?.file === i,
            );
            return own.length === 0 || own.some(([one]) => intact(i, one!.offset, one!.offset + one!.length));
          });
          for (let piece = 0; piece < wanted.pieceCount; piece++) {
            const spans = ranges(piece);
            if (!spans.every(({ file, offset, length }) => alive[file] && intact(file, offset, offset + length))) {
              continue;
            }
            assert.ok(hasBit(found.verified, piece), `piece ${piece}: ${found.reason}`);
          }
          for (const [i, { extents }] of found.files.entries()) {
            const mapped = readMatched(found, i);
            for (const { offset, length, source } of extents) {
              if (source === GAP) continue;
              const piece = Math.floor((wanted.files[i]!.offset + offset) / PIECE);
              if (!hasBit(found.verified, piece)) continue;
              assert.ok(
                mapped.subarray(offset, offset + 1).equals(right[i]!.subarray(offset, offset + 1)),
                `${length}`,
              );
            }
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
