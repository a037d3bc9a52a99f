import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createIgnoreTest } from '../../../src/collection/scan/ignore.ts';

const bytes = (text: string): string => Buffer.from(text).toString('latin1');
const ignores = (pattern: string, path: string): boolean => {
  const slash = path.lastIndexOf('/');
  return createIgnoreTest([pattern])?.(bytes(path.slice(slash + 1)), bytes(path.slice(0, slash) || '/')) === true;
};

describe('ignore_files', () => {
  const cases: [string, string, boolean][] = [
    ['*.nfo', '/d/a/File.NFO', true],
    ['*.nfo', '/d/a.nfo/file.mkv', false],
    ['*.nfo', '/d/.nfo', true],
    ['.DS_Store', '/d/.ds_store', true],
    ['{thumbs.db,*.tmp}', '/d/Thumbs.db', true],
    ['Sample/*', '/d/x/sample/a.mkv', true],
    ['Sample/*', '/d/x/sample/y/a.mkv', false],
    ['/d/x/**', '/d/x/y/z', true],
    ['/x/**', '/d/x/y/z', false],
    ['caf?.txt', '/d/café.txt', true],
    ['*.txt', '/a.txt', true],
  ];
  for (const [pattern, path, expected] of cases) {
    it(`${pattern} ${expected ? 'matches' : 'does not match'} ${path}`, () => {
      assert.equal(ignores(pattern, path), expected);
    });
  }

  it('is no test at all without patterns', () => assert.equal(createIgnoreTest(['']), undefined));

  it('reads names that are not UTF-8 as Latin-1', () => {
    assert.equal(createIgnoreTest(['caf\u00e9*'])?.('caf\u00e9.bin', '/d'), true);
  });
});
