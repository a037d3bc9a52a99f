import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { expandPrefixes, hasCommand, settleDryRun } from '../../src/cli/arguments.ts';

const COMMANDS = new Set(['add', 'mount', 'list']);
const FLAGS = ['--addfile', '--delete_torrents', '--dry-run', '--rebuild', '--test-connection', '--test_connection'];

describe('telling commands from the flags of the original', () => {
  const cases: readonly [string, boolean][] = [
    ['add x.torrent', true],
    ['-c my.conf add x.torrent', true],
    ['--config my.conf --verbose mount', true],
    ['-l add list', true],
    ['-cmy.conf list', true],
    ['--json list', true],
    ['', true],
    ['--help', true],
    ['-r', false],
    ['-c my.conf -a add', false],
    ['--rebuild /data', false],
    ['-a add', false],
    ['nonsense', false],
    ['--dry-run json -a x', false],
  ];
  for (const [line, expected] of cases) {
    it(`${line === '' ? '(nothing)' : line} is ${expected ? 'the new form' : "the original's"}`, () => {
      assert.equal(hasCommand(line.split(' ').filter(Boolean), COMMANDS), expected);
    });
  }
});

describe('prefixes of long flags', () => {
  const expand = (line: string): string => expandPrefixes(line.split(' '), FLAGS).join(' ');
  it('are written out where they are unique', () => {
    assert.equal(expand('--add x --reb --del'), '--addfile x --rebuild --delete_torrents');
  });
  it('keep the value after =', () => assert.equal(expand('--dry=json'), '--dry-run=json'));
  it('are left alone where they are ambiguous, unknown or exact', () => {
    assert.equal(expand('--test --nope --test-connection'), '--test --nope --test-connection');
  });
  it('are left alone after --', () => assert.equal(expand('-- --add'), '-- --add'));
});

describe('--dry-run', () => {
  const settle = (line: string): string => settleDryRun(line.split(' ')).join(' ');
  it('takes txt or json and nothing else', () => {
    assert.equal(settle('--dry-run json -a x'), '--dry-run=json -a x');
    assert.equal(settle('add --dry-run x.torrent'), 'add --dry-run=txt x.torrent');
    assert.equal(settle('add --dry-run txt'), 'add --dry-run=txt');
    assert.equal(settle('add --dry-run=json x'), 'add --dry-run=json x');
  });
  it('is a name after --', () => assert.equal(settle('add -- --dry-run json'), 'add -- --dry-run json'));
});
