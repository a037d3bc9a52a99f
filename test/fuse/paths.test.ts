import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PosixError } from '../../src/errors.ts';
import { Paths } from '../../src/fuse/native/paths.ts';
import type { Operations } from '../../src/vfs/operations.ts';

function treeOf(dirents: Readonly<Record<string, number>>): {
  asked: string[];
  operations: Operations;
  version: number;
} {
  const tree = { asked: [] as string[], version: 0, operations: {} as Operations };
  const lookup = (parent: number, name: string): number => {
    tree.asked.push(`${parent}/${name}`);
    const ino = dirents[`${parent}/${name}`];
    if (ino === undefined) throw new PosixError('ENOENT');
    return ino;
  };
  tree.operations = Object.defineProperty({ lookup } as unknown as Operations, 'treeVersion', {
    get: () => tree.version,
  });
  return tree;
}

describe('paths', () => {
  it('walks a folder once, and again when folders have gone', () => {
    const tree = treeOf({ '1/a': 2, '2/b': 3, '3/c': 4, '3/d': 5 });
    const paths = new Paths(tree.operations);
    assert.equal(paths.resolve('/'), 1);
    assert.equal(paths.resolve('/a/b/c'), 4);
    assert.equal(paths.resolve('/a/b/d'), 5);
    assert.deepEqual(tree.asked, ['1/a', '2/b', '3/c', '3/d']);
    tree.version++;
    paths.resolve('/a/b/c');
    assert.deepEqual(tree.asked.slice(4), ['1/a', '2/b', '3/c']);
  });

  it('refuses names of more than 255 bytes', () => {
    const paths = new Paths(treeOf({ [`1/${'日'.repeat(85)}`]: 2 }).operations);
    assert.equal(paths.resolve(`/${'日'.repeat(85)}`), 2);
    assert.throws(() => paths.resolve(`/${'日'.repeat(86)}`), { code: 'ENAMETOOLONG' });
  });
});
