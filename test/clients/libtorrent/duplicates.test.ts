/** The numbers that libtorrent gives names; `test/clients/deluge` compares them with those of the real one. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { namesAgainstDuplicates } from '../../../src/clients/libtorrent/duplicates.ts';
import { DUPLICATES } from './duplicates.ts';

const numbered = (paths: readonly string[], pads: readonly number[] = [], multi = true): readonly string[] => {
  const files = paths.map((path, index) => ({ path: path.split('/'), length: 1, pad: pads.includes(index) }));
  const own = files.map((file, index) => ({ ...file, rawPath: [], index, offset: index, executable: false }));
  const renamed = namesAgainstDuplicates({ multi, files: own }, files);
  return paths.map((path, i) => renamed?.[i]?.join('/') ?? path);
};

describe('names that are one to libtorrent', () => {
  for (const [paths, wanted] of DUPLICATES) {
    it(`${paths.join(', ')} become ${wanted.join(', ')}`, () => {
      const below = (list: readonly string[]): string[] => list.map((path) => `T/${path}`);
      assert.deepEqual(numbered(below(paths)), below(wanted));
    });
  }

  it('are none where all differ, nor in a torrent of one file', () => {
    assert.deepEqual(numbered(['T/a', 'T/b', 'T/c/a']), ['T/a', 'T/b', 'T/c/a']);
    assert.deepEqual(numbered(['a'], [], false), ['a']);
  });

  it('are pads as often as they like', () => {
    assert.deepEqual(numbered(['T/a', 'T/.pad/7', 'T/b', 'T/.pad/7'], [1, 3]), ['T/a', 'T/.pad/7', 'T/b', 'T/.pad/7']);
  });

  it('may be one in 100,000 spellings, which would take minutes if each began to count anew', () => {
    const spelling = (i: number): string =>
      Array.from({ length: 17 }, (_, bit) => (((i >> bit) & 1) === 0 ? 'a' : 'A')).join('');
    const many = Array.from({ length: 100_000 }, (_, i) => `T/${spelling(i)}.txt`);
    const used = numbered(many);
    assert.equal(new Set(used.map((path) => path.toLowerCase())).size, many.length);
    assert.equal(used.at(-1), many.at(-1)?.replace('.txt', '.99999.txt'));
  });
});
