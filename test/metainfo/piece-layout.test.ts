import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { TorrentFile } from '../../src/metainfo/metainfo.ts';
import { type PieceSpace, pieceSpans, touchedPieces, wholePieces } from '../../src/metainfo/piece-layout.ts';

function spaceOf(version: 'v1' | 'v2', lengths: readonly number[], pieceLength: number): PieceSpace {
  let offset = 0;
  const files = lengths.map((length, index): TorrentFile => {
    const file = { index, path: [`${index}`], rawPath: [], length, offset, pad: false, executable: false };
    offset += version === 'v2' ? Math.ceil(length / pieceLength) * pieceLength : length;
    return file;
  });
  const totalLength = lengths.reduce((sum, length) => sum + length, 0);
  return { version, files, totalLength, pieceLength, pieceCount: Math.ceil(offset / pieceLength) };
}

/** Gives the file of each byte, piece by piece. */
function bytesOfPieces(space: PieceSpace): string[][] {
  const found: string[][] = Array.from({ length: space.pieceCount }, () => []);
  for (const { index, offset, length } of space.files) {
    for (let i = 0; i < length; i++) found[Math.floor((offset + i) / space.pieceLength)]?.push(`${index}:${i}`);
  }
  return found;
}

const numbers = ({ first, count }: { first: number; count: number }): number[] =>
  Array.from({ length: count }, (_, i) => first + i);

const arbitrarySpace = fc
  .tuple(
    fc.constantFrom('v1' as const, 'v2' as const),
    fc.array(fc.nat(40), { minLength: 1, maxLength: 12 }),
    fc.integer({ min: 1, max: 17 }),
  )
  .filter(([, lengths]) => lengths.some((length) => length > 0))
  .map(([version, lengths, pieceLength]) => spaceOf(version, lengths, pieceLength));

describe('the piece layout', () => {
  it('gives each piece its bytes, and each file its pieces, as counting byte by byte does', () => {
    fc.assert(
      fc.property(arbitrarySpace, (space) => {
        const expected = bytesOfPieces(space);
        expected.forEach((bytes, piece) => {
          const spans = pieceSpans(space, piece);
          const told = spans.flatMap(({ file, offset, length }) =>
            Array.from({ length }, (_, i) => `${file}:${offset + i}`),
          );
          assert.deepEqual(told, bytes);
          assert.ok(spans.every(({ length }) => length > 0));
        });
        for (const { index } of space.files) {
          const mine = (byte: string): boolean => byte.startsWith(`${index}:`);
          const piecesWith = (test: (bytes: string[]) => boolean): number[] =>
            expected.flatMap((bytes, piece) => (test(bytes) ? [piece] : []));
          assert.deepEqual(
            numbers(touchedPieces(space, index)),
            piecesWith((bytes) => bytes.some(mine)),
          );
          assert.deepEqual(
            numbers(wholePieces(space, index)),
            piecesWith((bytes) => bytes.every(mine)),
          );
        }
      }),
    );
  });

  it('finds the piece among many files', () => {
    const space = spaceOf(
      'v1',
      Array.from({ length: 200_000 }, (_, i) => i % 3),
      4,
    );
    assert.equal(pieceSpans(space, space.pieceCount - 1).at(-1)?.file, 199_999);
  });

  it('refuses pieces and files that are not there', () => {
    const space = spaceOf('v1', [10], 4);
    for (const piece of [-1, 3, 0.5, Number.NaN]) assert.throws(() => pieceSpans(space, piece), RangeError);
    assert.throws(() => wholePieces(space, 1), RangeError);
    assert.throws(() => touchedPieces(space, -1), RangeError);
  });
});
