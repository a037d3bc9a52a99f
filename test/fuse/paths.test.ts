import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PosixError } from '../../src/errors.ts';
import { Paths } from '../../src/fuse/native/paths.ts';
import type { PathAbility } from '../../src/vfs/operations.ts';

class FakeTree implements Pick<PathAbility, 'find' | 'treeVersion'> {
  readonly asked: string[] = [];
  treeVersion = 0;
  readonly #dirents: Readonly<Record<string, number>>;

  constructor(dirents: Readonly<Record<string, number>>) {
    this.#dirents = dirents;
  }

  find(parent: number, name: string): number {
    this.asked.push(`${parent}/${name}`);
    const ino = this.#dirents[`${parent}/${name}`];
    if (ino === undefined) throw new PosixError('ENOENT');
    return ino;
  }
}

describe('paths', () => {
  it('walks a folder once, and again when folders have gone', () => {
    const tree = new FakeTree({ '1/a': 2, '2/b': 3, '3/c': 4, '3/d': 5 });
    const paths = new Paths(tree);
    assert.equal(paths.resolve('/'), 1);
    assert.equal(paths.resolve('/a/b/c'), 4);
    assert.equal(paths.resolve('/a/b/d'), 5);
    assert.deepEqual(tree.asked, ['1/a', '2/b', '3/c', '3/d']);
    tree.treeVersion++;
    assert.equal(paths.resolve('/a/b/c'), 4);
    assert.deepEqual(tree.asked.slice(4), ['1/a', '2/b', '3/c']);
  });

  it('refuses names of more than 1,023 bytes', () => {
    const paths = new Paths(new FakeTree({ [`1/${'日'.repeat(341)}`]: 2 }));
    assert.equal(paths.resolve(`/${'日'.repeat(341)}`), 2);
    assert.throws(() => paths.resolve(`/${'日'.repeat(341)}x`), { code: 'ENAMETOOLONG' });
    assert.throws(() => paths.resolve(`/${'日'.repeat(341)}x/a`), { code: 'ENAMETOOLONG' });
  });
});
