/** The resume data that a client gets for a plan, and the bytes that are left to download. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bytesToDownload, piecesWithGaps } from '../../src/app/gaps.ts';
import { resumeOf } from '../../src/app/resume.ts';
import { setBit } from '../../src/extent/bitfield.ts';
import { type Extent, GAP } from '../../src/extent/extent.ts';
import type { Metainfo } from '../../src/metainfo/metainfo.ts';
import type { FileStatus, Plan } from '../../src/plan/plan.ts';
import { torrentFor } from '../clients/torrent-for.ts';

const PIECE = 16_384;

/** Lengths in pieces; `gaps`: half-open ranges of bytes of the file. */
type Layout = readonly { readonly pieces: number; readonly gaps?: readonly (readonly [number, number])[] }[];

function planOf(layout: Layout, verified: readonly number[]): [Metainfo, Plan] {
  const content = layout.map(({ pieces }, i) => ({ path: [`${i}`], data: Buffer.alloc(pieces * PIECE, i) }));
  const metainfo = torrentFor({ name: 'T', content });
  const bits = Buffer.alloc(Math.ceil(metainfo.pieceCount / 8));
  for (const piece of verified) setBit(bits, piece);
  const files = layout.map(({ pieces, gaps = [] }, i) => {
    const length = pieces * PIECE;
    const extents: Extent[] = [];
    let at = 0;
    const until = (end: number, source: number): void => {
      if (end > at) extents.push({ offset: at, length: end - at, source, sourceOffset: source === GAP ? 0 : at });
      at = end;
    };
    for (const [from, to] of gaps) {
      until(from, 0);
      until(to, GAP);
    }
    until(length, 0);
    const whole = gaps[0]?.[0] === 0 && gaps[0][1] === length;
    const status: FileStatus = whole ? 'missing' : gaps.length > 0 ? 'partial' : 'mapped';
    const rest = { mtimeMs: 1e12 + i, executable: false, extents };
    return { path: ['T', `${i}`], length, status, mode: 'normal', code: 'verified' as const, ...rest };
  });
  const missingBytes = layout.reduce((sum, { gaps = [] }) => sum + gaps.reduce((all, [a, b]) => all + b - a, 0), 0);
  const plan: Plan = {
    name: 'T',
    infoHash: metainfo.infoHash,
    metainfo: metainfo.raw,
    pieceCount: metainfo.pieceCount,
    pieceLength: PIECE,
    verified: bits,
    verify: 'full',
    totalLength: metainfo.totalLength,
    missingBytes,
    sources: [],
    files,
  };
  return [metainfo, plan];
}

const states = (
  layout: Layout,
  verified: readonly number[],
  fastResume: 'verified' | 'trust' = 'verified',
): string[] => {
  const [metainfo, plan] = planOf(layout, verified);
  return resumeOf(metainfo, plan, fastResume)?.files.map(({ state }) => state) ?? [];
};

describe('what a client is told', () => {
  it('a file of which every piece is verified or a gap is known', () => {
    assert.deepEqual(states([{ pieces: 4 }, { pieces: 4, gaps: [[PIECE, PIECE + 10]] }], [0, 1, 2, 3, 4, 6, 7]), [
      'known',
      'known',
    ]);
  });

  it('a file with a piece that was not hashed is to be checked, also where another piece of it is a gap', () => {
    assert.deepEqual(states([{ pieces: 4 }, { pieces: 4, gaps: [[PIECE, PIECE + 10]] }], [0, 1, 3, 4, 6]), [
      'unchecked',
      'unchecked',
    ]);
  });

  it('a gap as a whole is missing', () => {
    assert.deepEqual(states([{ pieces: 2 }, { pieces: 1.5, gaps: [[0, 1.5 * PIECE]] }], [0, 1]), ['known', 'missing']);
  });

  it('a file that shares its last piece with a gap is known: that piece is one to download', () => {
    const layout = [{ pieces: 1.5 }, { pieces: 1, gaps: [[0, PIECE]] }] as const;
    assert.deepEqual(states(layout, [0]), ['known', 'missing']);
    const [metainfo, plan] = planOf(layout, [0]);
    assert.deepEqual([...piecesWithGaps(metainfo, plan)], [0b0110_0000]);
    assert.equal(bytesToDownload(metainfo, plan), 1.5 * PIECE, 'the last piece of a torrent is shorter');
  });

  it('trust believes what is mapped, and never a gap', () => {
    const layout = [{ pieces: 2 }, { pieces: 2, gaps: [[0, 10]] }] as const;
    const [metainfo, plan] = planOf(layout, []);
    const resume = resumeOf(metainfo, plan, 'trust');
    assert.deepEqual(states(layout, [], 'trust'), ['known', 'known']);
    assert.deepEqual([...(resume?.verified ?? [])], [0b1101_0000]);
    assert.deepEqual([...(resume?.gaps ?? [])], [0b0010_0000]);
  });

  it('trust believes nothing of what was mapped without a hash, by name and size', () => {
    const [metainfo, plan] = planOf([{ pieces: 2 }], []);
    const resume = resumeOf(metainfo, { ...plan, verify: 'none' }, 'trust');
    assert.deepEqual([...(resume?.verified ?? [])], [0]);
    assert.equal(resume?.files[0]?.state, 'unchecked');
  });

  it('nothing with fast_resume = never', () => {
    const [metainfo, plan] = planOf([{ pieces: 2 }], [0, 1]);
    assert.equal(resumeOf(metainfo, plan, 'never'), undefined);
  });
});
