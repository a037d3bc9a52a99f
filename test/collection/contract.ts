/** The tests that every collection index must pass. The naive index of the matching tests runs them, too. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { Collection } from '../../src/collection/collection.ts';
import type { CollectionFile, CollectionIndex } from '../../src/collection/index.ts';
import { normaliseName } from '../../src/collection/names.ts';
import { isReleaseFolder } from '../../src/collection/release.ts';
import type { RebuildProgress, RebuildRequest, RebuildResult } from '../../src/collection/writer.ts';
import { silentLogger } from '../../src/logger.ts';
import { writeRar5 } from '../container/rar-writer.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { identityAt } from '../harness/plans.ts';

interface Made {
  readonly path: string;
  readonly size: number;
}
type Bounds = readonly [number, number, number, number];

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));
const same = (a: string, b: string): boolean => normaliseName(a) === normaliseName(b);
const below = (disk: string, file: CollectionFile): string => file.path.toString().slice(disk.length + 1);
/** The root of a marked folder in the trees below. */
const rootOf = (f: string): string => (/^(?:a|rel)\/(?:CD1|Sample)$/.test(f) ? folderOf(f) : f);

/** Makes sparse files of these sizes below `disk`. */
export function putFiles(disk: string, files: Readonly<Record<string, number>>): void {
  for (const [path, size] of Object.entries(files)) {
    const file = join(disk, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, '');
    truncateSync(file, size);
  }
}

/** `open`: an index of what lies in a folder now. `runs`: of the random trees. */
export function describeIndex(name: string, open: (disk: string) => Promise<CollectionIndex>, runs = 12): void {
  describe(`the index of a collection: ${name}`, () => {
    let disk: string;
    beforeEach(() => {
      disk = temporaryFolder('contract');
    });
    afterEach(() => rmSync(disk, { recursive: true, force: true }));

    it('answers as a plain list would', async () => {
      const folder = fc.constantFrom('', 'a', 'A', 'a b', 'a_b', 'a/CD1', 'é', 'rel', 'rel/Sample', 'rel/x/y');
      const file = fc.constantFrom('x.rar', 'X.RAR', 'x.sfv', 'a_b.mkv', 'A B.mkv', 'a.b.mkv', 'é.bin', 'É.bin', 'z');
      const size = fc.oneof(fc.constantFrom(0, 1, 5, 100, 2 ** 33), fc.integer({ min: 0, max: 20 }));
      const tree = fc.dictionary(
        fc.tuple(folder, file).map(([a, b]) => (a === '' ? b : `${a}/${b}`)),
        size,
        { minKeys: 1, maxKeys: 40 },
      );
      const bounds = fc.tuple(size, size, size, fc.integer({ min: 0, max: 10 }));
      await fc.assert(
        fc.asyncProperty(tree, fc.array(bounds, { minLength: 1, maxLength: 8 }), async (sizes, asked) => {
          rmSync(disk, { recursive: true, force: true });
          mkdirSync(disk);
          putFiles(disk, sizes);
          const index = await open(disk);
          const files: Made[] = Object.entries(sizes).map(([path, size]) => ({ path, size }));
          await compareWithList(index, disk, files, asked);
          await index.close();
        }),
        { numRuns: runs },
      );
    });

    it('finds its way among masses of equal sizes and names', async () => {
      const many = 1500;
      putFiles(disk, Object.fromEntries(Array.from({ length: many }, (_, i) => [`d${i % 3}/f${i}`, 4096])));
      putFiles(
        disk,
        Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`e${i}/Cover.jpg`, i < 300 ? 7 : 5000])),
      );
      const index = await open(disk);
      const around = { min: 4000, max: 6000, near: 4097 };
      const [all = [], few = [], far = [], none = []] = await index.bySize([
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
      const [covers = [], exact = []] = await index.byName([
        { name: 'cover jpg', min: 0, max: 10_000 },
        { name: 'cover jpg', min: 8, max: 5000 },
      ]);
      assert.deepEqual([covers.length, exact.length], [600, 300]);
      await index.close();
    });

    it('gives an empty tree for a folder that it does not have', async () => {
      const index = await open(disk);
      const trees = await index.trees([9999, -1, 1.5]);
      assert.deepEqual(
        trees.map((tree) => [tree.root.path.toString(), tree.files.length]),
        [
          ['', 0],
          ['', 0],
          ['', 0],
        ],
      );
      await index.close();
    });

    it('answers questions about an empty index', async () => {
      const index = await open(disk);
      assert.deepEqual(await index.byNameAndSize([{ name: 'a', size: 1 }]), [[]]);
      assert.deepEqual(await index.bySize([{ min: 0, max: 9, near: 5, limit: 5 }]), [[]]);
      assert.deepEqual(await index.releases([]), []);
      await index.close();
    });

    it('compares names as people read them', async () => {
      putFiles(disk, { 'a/The_Show.S01-E02.mkv': 5 });
      const index = await open(disk);
      const [[found] = []] = await index.byNameAndSize([{ name: 'THE SHOW s01 e02.MKV', size: 5 }]);
      assert.equal(found?.name.toString(), 'The_Show.S01-E02.mkv');
      assert.deepEqual(await index.byNameAndSize([{ name: 'half a pair \ud800', size: 5 }]), [[]]);
      await index.close();
    });

    it('keeps names that are not UTF-8', async () => {
      const name = Buffer.from('caf\u00e9.bin', 'latin1');
      mkdirSync(join(disk, 'a'));
      writeFileSync(Buffer.concat([Buffer.from(`${disk}/a/`), name]), 'five!');
      const index = await open(disk);
      const [[found] = []] = await index.byName([{ name: 'caf\u00e9.bin', min: 5, max: 5 }]);
      assert.deepEqual(found?.name, name);
      assert.deepEqual(found.path, Buffer.concat([Buffer.from(`${disk}/a/`), name]));
      const [[folder] = []] = await index.folders([Buffer.from('a')]);
      const [tree] = await index.trees([folder?.id ?? -1]);
      assert.deepEqual(tree?.files[0]?.relative, [name]);
      await index.close();
    });
  });
}

export interface Subject {
  readonly collection: Collection;
  remove(): Promise<void>;
}

/** The contract of an index and its writer together. `make`: an empty collection. */
export function describeCollection(name: string, make: () => Promise<Subject>, runs = 12): void {
  let subject: Subject;
  before(async () => {
    subject = await make();
  });
  after(() => subject.remove());
  const rebuild = (disk: string, more: Partial<RebuildRequest> = {}): Promise<RebuildResult> =>
    subject.collection.rebuild({ disks: [disk], racyMs: -10_000, ...more });

  describeIndex(
    name,
    async (disk) => {
      await rebuild(disk, { full: true });
      return await subject.collection.openIndex();
    },
    runs,
  );

  describe(`the writer of a collection: ${name}`, () => {
    let disk: string;
    beforeEach(() => {
      disk = temporaryFolder('contract');
    });
    const names = async (index: CollectionIndex): Promise<string[]> => {
      const [files = []] = await index.bySize([{ min: 0, max: 1e12, near: 0, limit: 1e6 }]);
      return files.map((file) => below(disk, file)).toSorted();
    };

    it('counts what it found, and reads again only what changed', async () => {
      putFiles(disk, { 'a/one': 1, 'a/b/two': 2, 'r/x.rar': 1, 'r/x.sfv': 2 });
      const progress: RebuildProgress[] = [];
      const full = { disks: [disk], racyMs: -10_000, full: true };
      const result = await subject.collection.rebuild(full, { onProgress: (now) => progress.push(now) });
      const { skipped, ...counts } = result;
      assert.deepEqual(counts, { folders: 4, files: 4, bytes: 6, releases: 1, reused: 0, away: [] });
      assert.equal(skipped.size, 0);
      assert.deepEqual(progress.at(-1), { folders: 4, files: 4, bytes: 6 });
      assert.equal((await rebuild(disk)).reused, 4);
      putFiles(disk, { 'a/b/new': 7 });
      assert.equal((await rebuild(disk)).reused, 3);
    });

    it('says what it left out, and hides what is to be ignored', async () => {
      putFiles(disk, { 'a/one': 1, 'a/one.nfo': 1 });
      symlinkSync('one', join(disk, 'a/link'));
      const { skipped } = await rebuild(disk, { full: true, ignoreFiles: ['*.nfo'] });
      assert.deepEqual([...skipped.keys()], ['symbolic link']);
      assert.deepEqual(skipped.get('symbolic link')?.example, Buffer.from(join(disk, 'a/link')));
      const index = await subject.collection.openIndex();
      assert.deepEqual(await names(index), ['a/one']);
      await index.close();
    });

    it('leaves own folders out, and merges single paths', async () => {
      putFiles(disk, { 'a/one': 1, 'own/two': 2 });
      await rebuild(disk, { full: true, own: [join(disk, 'own')] });
      putFiles(disk, { 'a/three': 3, 'b/four': 4 });
      await rebuild(disk, { paths: [join(disk, 'b')], own: [join(disk, 'own')] });
      const index = await subject.collection.openIndex();
      assert.deepEqual(await names(index), ['a/one', 'b/four']);
      await index.close();
    });

    it('finds stored files in archives', async () => {
      mkdirSync(join(disk, 'r'));
      const [volume = Buffer.alloc(0)] = writeRar5([{ name: 'in/Film.mkv', data: Buffer.alloc(5000, 1) }]);
      writeFileSync(join(disk, 'r/film.rar'), volume);
      await rebuild(disk, { full: true });
      const index = await subject.collection.openIndex();
      const [named = [], sized = [], none] = await index.archived([
        { size: 5000, name: 'film.MKV', limit: 5 },
        { size: 5000, limit: 5 },
        { size: 5000, name: 'other', limit: 5 },
      ]);
      assert.deepEqual(
        named.map((found) => [below(disk, found.archive), found.name.toString(), found.size]),
        [['r/film.rar', 'in/Film.mkv', 5000]],
      );
      assert.deepEqual(sized, named);
      assert.deepEqual(none, []);
      await index.close();
    });

    it('lets an index that is open answer as before, until it is closed', async () => {
      putFiles(disk, { 'a/one': 1, 'a/b/two': 2 });
      await rebuild(disk, { full: true });
      const old = await subject.collection.openIndex();
      const [[folder] = []] = await old.folders([Buffer.from('b')]);
      for (let i = 0; i < 3; i++) {
        putFiles(disk, { [`a/new${i}`]: 3 });
        rmSync(join(disk, 'a/b'), { recursive: true, force: true });
        await rebuild(disk);
      }
      assert.deepEqual(await names(old), ['a/b/two', 'a/one']);
      const [tree] = await old.trees([folder?.id ?? -1]);
      assert.deepEqual(
        tree?.files.map(({ file }) => below(disk, file)),
        ['a/b/two'],
      );
      const now = await subject.collection.openIndex();
      assert.notEqual(now.version, old.version);
      assert.deepEqual(await names(now), ['a/new0', 'a/new1', 'a/new2', 'a/one']);
      await Promise.all([old.close(), now.close()]);
      await assert.doesNotReject(rebuild(disk));
    });

    it('leaves the index as it was where it is aborted', async () => {
      putFiles(disk, Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`d${i}/file`, i])));
      await rebuild(disk, { full: true });
      const before = await subject.collection.openIndex();
      putFiles(disk, { 'd0/more': 1 });
      const asked = new AbortController();
      const reason = new Error('stopped');
      await assert.rejects(
        subject.collection.rebuild(
          { disks: [disk], full: true },
          { signal: asked.signal, onProgress: () => asked.abort(reason) },
        ),
        reason,
      );
      const after = await subject.collection.openIndex();
      assert.equal(after.version, before.version);
      assert.equal((await names(after)).length, 400);
      await Promise.all([before.close(), after.close()]);
    });

    it('takes turns with another rebuild, which it says', async () => {
      putFiles(disk, Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`d${i}/file`, i])));
      const lines: string[] = [];
      const logger = { ...silentLogger, info: (line: string) => lines.push(line) };
      const results = await Promise.all(
        [1, 2].map(() => subject.collection.rebuild({ disks: [disk], full: true }, { logger })),
      );
      assert.deepEqual(
        results.map(({ files }) => files),
        [200, 200],
      );
      assert.deepEqual(lines, ['waiting for another command that rebuilds the collection index']);
    });
  });
}

async function compareWithList(
  open: CollectionIndex,
  disk: string,
  files: readonly Made[],
  asked: readonly Bounds[],
): Promise<void> {
  const paths = (found: readonly { path: Buffer }[]): string[] =>
    found.map(({ path }) => path.toString().slice(disk.length + 1)).toSorted();
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
  const inodes = files.map(({ path }) => statSync(join(disk, path), { bigint: true }));
  const byInode = await open.byInode(
    [...inodes, ...inodes.slice(0, 1).map(({ dev }) => ({ dev, ino: 1n }))].map(({ dev, ino }) => ({
      dev: Number(dev),
      ino,
    })),
  );
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
        assert.equal(`${root}/${relative.map((part) => part.toString()).join('/')}`, below(disk, file));
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
        let nearest = folderOf(below(disk, file));
        while (!roots.has(nearest)) nearest = folderOf(nearest);
        const [owner] = await open.trees([file.release ?? -1]);
        assert.equal(owner?.root.path.toString(), join(disk, nearest));
      }
    }
  }
  for (const { path } of files) {
    const [[file] = []] = await open.byInode([identityAt(join(disk, path))]);
    let nearest = folderOf(path);
    while (nearest !== '' && !roots.has(nearest)) nearest = folderOf(nearest);
    assert.equal(file?.release === null, nearest === '', path);
  }
}
