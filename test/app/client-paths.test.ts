import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clientPath, liesBelow } from '../../src/app/client-paths.ts';

const map = [
  { own: '/store', client: '/data/store' },
  { own: '/store/special', client: '/elsewhere' },
  { own: '/disks/a', client: '/' },
];

describe('a path as the client sees it', () => {
  for (const [path, seen] of [
    ['/store', '/data/store'],
    ['/store/entry', '/data/store/entry'],
    ['/store/special', '/elsewhere'],
    ['/store/special/entry', '/elsewhere/entry'],
    ['/store/specials', '/data/store/specials'],
    ['/stored/entry', '/stored/entry'],
    ['/', '/'],
    ['/disks/a/film', '/film'],
    ['/disks/a', '/'],
    ['/store/..odd/x', '/data/store/..odd/x'],
  ] as const) {
    it(`${path} is ${seen}`, () => assert.equal(clientPath(map, path), seen));
  }

  it('is mapped by the longest, whatever their order', () => {
    assert.equal(clientPath(map.toReversed(), '/store/special/x'), '/elsewhere/x');
  });

  it('may map everything', () => {
    assert.equal(clientPath([{ own: '/', client: '/host' }], '/store/x'), '/host/store/x');
  });
});

describe('a path of the client', () => {
  for (const [path, below] of [
    ['/data/store', true],
    ['/data/store/entry/x', true],
    ['/elsewhere/entry', true],
    ['/data/stored', false],
    // The client does not see our store there.
    ['/store/entry', false],
    ['/data/store/special/entry', false],
    ['/film', false],
  ] as const) {
    it(`${path} ${below ? 'lies' : 'does not lie'} below our store`, () => {
      assert.equal(liesBelow(map, path, '/store'), below);
      assert.equal(liesBelow(map.toReversed(), path, '/store'), below);
    });
  }

  it('may be spelled otherwise', () => {
    const spellings = (seen: string): string[] => [seen.replaceAll('\u{1F600}', '????')];
    assert.equal(liesBelow([], '/s????/x', '/s\u{1F600}', spellings), true);
    assert.equal(liesBelow([], '/s????x/x', '/s\u{1F600}', spellings), false);
    assert.equal(liesBelow([], '/s????/x', '/s\u{1F600}'), false);
    const seen = [{ own: '/s', client: '/\u{1F600}' }];
    assert.equal(liesBelow(seen, '/????/x', '/s', spellings), true);
    assert.equal(liesBelow(seen, '/s/x', '/s', spellings), false);
  });

  it('is our own where nothing is mapped', () => {
    assert.equal(liesBelow([], '/store/x', '/store'), true);
    assert.equal(liesBelow([], '/stored', '/store'), false);
  });
});
