import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isHiddenForOpen } from '../../src/source/hidden-files.ts';

describe('names of files that are deleted and open', () => {
  const cases: readonly [string, boolean][] = [
    ['/films/.fuse_hidden0000004a00000008', true],
    ['.nfs00000000012a4f3200000001', true],
    ['/films/.fuse_hidden notes.mkv', false],
    ['/films/.nfs', false],
    ['/.fuse_hidden0000004a00000008/film.mkv', false],
    ['/films/fuse_hidden0000004a00000008', false],
  ];
  for (const [path, hidden] of cases) {
    it(`${path}: ${hidden ? 'one' : 'none'}`, () => assert.equal(isHiddenForOpen(Buffer.from(path)), hidden));
  }
});
