import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { FILE_CODES } from '../../src/plan/file-code.ts';

describe('the codes of files', () => {
  it('are all in the README, in its table', () => {
    const rows = readFileSync('README.md', 'utf8').split('\n');
    const cells = rows.flatMap((row) => (row.startsWith('| `') ? [row.split('|')[1] ?? ''] : []));
    const listed = new Set(cells.flatMap((cell) => [...cell.matchAll(/`([a-z-]+)`/g)].map((match) => match[1])));
    assert.deepEqual(
      FILE_CODES.filter((code) => !listed.has(code)),
      [],
    );
  });

  it('keep their places, which records hold', () => {
    assert.deepEqual(FILE_CODES.slice(0, 14), [
      'verified',
      'probed',
      'believed',
      'empty',
      'symlink',
      'pad',
      'realigned',
      'pieces-failed',
      'no-candidate',
      'not-in-release',
      'limit',
      'changed',
      'hash-mismatch',
      'unproven',
    ]);
  });
});
