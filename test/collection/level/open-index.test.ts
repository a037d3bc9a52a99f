import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { openIndex } from '../../../src/collection/level/open-index.ts';
import { hashText, normaliseName } from '../../../src/collection/names.ts';
import { isReleaseFolder } from '../../../src/collection/release.ts';
import { TempIndex } from './temp-index.ts';

interface Made {
  readonly path: string;
  readonly size: number;
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));
const same = (a: string, b: string): boolean => normaliseName(a) === normaliseName(b);
/** Where a marked folder of the trees below has its root. */
const rootOf = (f: string): string => (/^(?:a|rel)\/(?:CD1|Sample)$/.test(f) ? folderOf(f) : f);

describe('the open index', () => {
  let index: TempIndex;
  beforeEach(() => {
    index = new TempIndex();
  });
  afterEach(() => index.remove());

  it('answers as a plain list would', async () => {
    const folder = fc.constantFrom('', 'a', 'A', 'a b', 'a_b', 'a/CD1', 'é', 'rel', 'rel/Sample', 'rel/x/y');
    const name = fc.constantFrom('x.rar', 'X.RAR', 'x.sfv', 'a_b.mkv', 'A B.mkv', 'a.b.mkv', 'é.bin', 'É.bin', 'z');
    const size = fc.oneof(fc.constantFrom(0, 1, 5, 100, 2 ** 33), fc.integer({ min: 0, max: 20 }));
    const tree = fc.dictionary(
      fc.tuple(folder, name).map(([a, b]) => (a === '' ? b : `${a}/${b}`)),
      size,
      { minKeys: 1, maxKeys: 40 },
    );
    const bounds = fc.tuple(size, size, size, fc.integer({ min: 0, max: 10 }));
    await fc.assert(
      fc.asyncProperty(tree, fc.array(bounds, { minLength: 1, maxLength: 8 }), async (sizes, asked) => {
        await index.remove();
        index = new TempIndex();
        index.put(sizes);
        await index.rebuild({ threads: 1 });
        const files: Made[] = Object.entries(sizes).map(([path, size]) => ({ path, size }));
        await compare(files, asked);
      }),
      { numRuns: 12 },
    );
  });

  async function compare(files: readonly Made[], asked: readonly [number, number, number, number][]): Promise<void> {
    const open = await openIndex(index.db);
    const paths = (found: readonly { path: Buffer }[]): string[] =>
      found.map(({ path }) => path.toString().slice(index.disk.length + 1)).toSorted();
    const expectedPaths = (holds: (file: Made) => boolean): string[] =>
      files
        .filter(holds)
        .map((file) => file.path)
        .toSorted();

    const exact = files.map(({ path, size }) => ({ name: normaliseName(nameOf(path)), size }));
    for (const [i, found] of (await open.byNameAndSize(exact)).entries()) {
      const { name, size } = exact[i] ?? { name: '', size: 0 };
      assert.deepEqual(
        paths(found),
        expectedPaths((f) => same(nameOf(f.path), name) && f.size === size),
      );
    }
    const named = asked.flatMap(([a, b]) =>
      ['a.b.mkv', 'x.rar', 'no such name'].map((name) => ({ name, min: Math.min(a, b), max: Math.max(a, b) })),
    );
    for (const [i, found] of (await open.byName(named)).entries()) {
      const { name, min, max } = named[i] ?? { name: '', min: 0, max: 0 };
      assert.deepEqual(
        paths(found),
        expectedPaths((f) => same(nameOf(f.path), name) && f.size >= min && f.size <= max),
      );
      assert.deepEqual(
        found.map((f) => f.size),
        found.map((f) => f.size).toSorted((x, y) => x - y),
      );
    }
    const sized = asked.map(([a, b, near, limit]) => ({ min: Math.min(a, b), max: Math.max(a, b), near, limit }));
    for (const [i, found] of (await open.bySize(sized)).entries()) {
      const { min, max, near, limit } = sized[i] ?? { min: 0, max: 0, near: 0, limit: 0 };
      const distances = files.filter((f) => f.size >= min && f.size <= max).map((f) => Math.abs(f.size - near));
      assert.deepEqual(
        found.map((f) => Math.abs(f.size - near)),
        distances.toSorted((x, y) => x - y).slice(0, limit),
      );
      assert.equal(new Set(paths(found)).size, found.length);
      for (const f of found) assert.equal(files.find(({ path }) => path === paths([f])[0])?.size, f.size);
    }
    const inodes = files.map(({ path }) => statSync(join(index.disk, path)));
    const byInode = await open.byInode([...inodes, { dev: inodes[0]?.dev ?? 0, ino: 1 }]);
    assert.deepEqual(byInode.map(paths), [...files.map(({ path }) => [path]), []]);

    const folders = new Set<string>();
    for (const { path } of files) for (let at = folderOf(path); at !== ''; at = folderOf(at)) folders.add(at);
    const folderNames = [...new Set([...folders].map(nameOf)), 'none'];
    for (const [i, found] of (await open.folders(folderNames.map((n) => Buffer.from(n)))).entries()) {
      assert.deepEqual(paths(found), [...folders].filter((f) => nameOf(f) === folderNames[i]).toSorted());
      for (const tree of await open.trees(found.map((f) => f.id))) {
        const [root = ''] = paths([tree.root]);
        assert.deepEqual(
          paths(tree.files.map((f) => f.file)),
          expectedPaths((f) => f.path.startsWith(`${root}/`)),
        );
        for (const { file, relative } of tree.files) {
          assert.equal(`${root}/${relative.map((part) => part.toString()).join('/')}`, index.below(file));
        }
      }
    }
    // The folders here that can be marked, with the roots that the rule gives them.
    const marked = [...folders].filter((f) =>
      isReleaseFolder(files.filter((file) => folderOf(file.path) === f).map((file) => nameOf(file.path))),
    );
    const roots = new Set(marked.map(rootOf));
    for (const [i, found] of (await open.releases(folderNames)).entries()) {
      assert.deepEqual(paths(found), [...roots].filter((f) => same(nameOf(f), folderNames[i] ?? '')).toSorted());
      for (const tree of await open.trees(found.map((f) => f.id))) {
        for (const { file } of tree.files) {
          let nearest = folderOf(index.below(file));
          while (!roots.has(nearest)) nearest = folderOf(nearest);
          const [owner] = await open.trees([file.release ?? -1]);
          assert.equal(owner?.root.path.toString(), join(index.disk, nearest));
        }
      }
    }
    const outside = files.filter(({ path }) => folderOf(path) === '');
    const [stray] = await open.trees([0]);
    const inDisk = stray?.files.filter(({ relative }) => relative.length === 1) ?? [];
    assert.deepEqual(
      inDisk.map(({ file }) => file.release),
      outside.map(() => null),
    );
  }

  it('finds its way among masses of equal sizes and names', async () => {
    const many = 1500;
    index.put(Object.fromEntries(Array.from({ length: many }, (_, i) => [`d${i % 3}/f${i}`, 4096])));
    index.put(Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`e${i}/Cover.jpg`, i < 300 ? 7 : 5000])));
    await index.rebuild();
    const open = await openIndex(index.db);
    const around = { min: 4000, max: 6000, near: 4097 };
    const [all = [], few = [], far = [], none = []] = await open.bySize([
      { ...around, limit: 10_000 },
      { ...around, limit: 20 },
      { ...around, near: 9000, limit: 301 },
      { min: 1, max: 6, near: 3, limit: 5 },
    ]);
    assert.equal(all.length, many + 300);
    assert.deepEqual(new Set(few.map((f) => f.size)), new Set([4096]));
    assert.equal(few.length, 20);
    assert.deepEqual(
      far.slice(-2).map((f) => f.size),
      [5000, 4096],
    );
    assert.deepEqual(none, []);
    const [covers = [], exact = []] = await open.byName([
      { name: 'cover jpg', min: 0, max: 10_000 },
      { name: 'cover jpg', min: 8, max: 5000 },
    ]);
    assert.deepEqual([covers.length, exact.length], [600, 300]);
  });

  it('believes no hash', async () => {
    // Two names with one 32-bit hash, found by the birthday: the index must tell them apart.
    const seen = new Map<number, string>();
    let pair: [string, string] | undefined;
    for (let i = 0; pair === undefined; i++) {
      const name = `n${i.toString(36)}`;
      const other = seen.get(hashText(name));
      if (other !== undefined) pair = [other, name];
      seen.set(hashText(name), name);
    }
    const [a, b] = pair;
    index.put({ [a]: 1, [`${a}x/z`]: 2, [`folder/${a}/z`]: 3 });
    await index.rebuild();
    const open = await openIndex(index.db);
    const found = await open.byNameAndSize([a, b].map((name) => ({ name, size: 1 })));
    assert.deepEqual(
      found.map((files) => files.length),
      [1, 0],
    );
    const folders = await open.folders([Buffer.from(a), Buffer.from(b)]);
    assert.deepEqual(
      folders.map((refs) => refs.length),
      [1, 0],
    );
  });

  it('gives an empty tree for a folder that it does not have', async () => {
    await index.rebuild();
    const trees = await (await openIndex(index.db)).trees([0, 99, -1, 1.5]);
    assert.deepEqual(
      trees.map((tree) => [tree.root.path.toString(), tree.files.length]),
      [
        [index.disk, 0],
        ['', 0],
        ['', 0],
        ['', 0],
      ],
    );
  });

  it('answers questions about an empty index', async () => {
    await index.rebuild();
    const open = await openIndex(index.db);
    assert.deepEqual(await open.byNameAndSize([{ name: 'a', size: 1 }]), [[]]);
    assert.deepEqual(await open.bySize([{ min: 0, max: 9, near: 5, limit: 5 }]), [[]]);
    assert.deepEqual(await open.releases([]), []);
    await open.close();
  });
});
