import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { keepsNames, maySkipCheck } from '../../../src/clients/libtorrent/skip-check.ts';
import { bytes, sample } from '../steps.ts';

describe("libtorrent's check", () => {
  for (const [what, name, path, verified, skips] of [
    ['all verified', 'plain', ['sub', 'é 日本 😀: "a"? .bin'], 0xff, true],
    ['a piece that is not', 'plain', ['a.bin'], 0xfe, false],
    ['names in Latin-1', 'plain', ['sub', Buffer.from('caf\xe9.bin', 'latin1')], 0xff, false],
    ['a control character', 'a\u0001b', ['a.bin'], 0xff, false],
    ['a mark of direction', 'plain', ['a\u202eb.bin'], 0xff, false],
    ['a backslash', 'plain', ['a\\b'], 0xff, false],
    ['a name of 241 bytes', 'plain', [`${'é'.repeat(120)}a`], 0xff, false],
    ['a name of 240 bytes', 'plain', ['é'.repeat(120)], 0xff, true],
  ] as const) {
    it(`${skips ? 'may be' : 'is not'} skipped: ${what}`, () => {
      const metainfo = sample({ name, pieceLength: 16_384, content: [{ path, data: bytes(8 * 16_384, 1) }] });
      const resume = {
        files: [{ state: 'known' as const, mtimeMs: 0 }],
        verified: Buffer.of(verified),
        gaps: Buffer.of(0),
      };
      assert.equal(maySkipCheck({ metainfo, directory: '/nowhere', resume }), skips);
      assert.equal(maySkipCheck({ metainfo, directory: '/nowhere' }), false);
      if (verified === 0xff) assert.equal(keepsNames(metainfo), skips);
    });
  }

  for (const [what, paths, skips] of [
    [
      'names that are alike',
      [
        ['a', 'x.bin'],
        ['b', 'x.bin'],
      ],
      true,
    ],
    ['names beyond a to z that differ in case', [['Ä.bin'], ['ä.bin']], true],
    [
      'names that differ in case',
      [
        ['CD1', 'A.bin'],
        ['cd1', 'a.bin'],
      ],
      false,
    ],
    ['a file by the name of a folder', [['Covers', 'a.bin'], ['covers']], false],
    ['a folder by the name of a file', [['covers'], ['Covers', 'a.bin']], false],
  ] as const) {
    it(`${skips ? 'may be' : 'is not'} skipped: ${what}`, () => {
      const metainfo = sample({
        name: 'plain',
        pieceLength: 16_384,
        content: paths.map((path, i) => ({ path, data: bytes(16_384, i) })),
      });
      const resume = {
        files: paths.map(() => ({ state: 'known' as const, mtimeMs: 0 })),
        verified: Buffer.of(0xc0),
        gaps: Buffer.of(0),
      };
      assert.equal(maySkipCheck({ metainfo, directory: '/nowhere', resume }), skips);
    });
  }
});
