import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { KIND } from '../../../src/collection/level/index-database.ts';
import { openIndex } from '../../../src/collection/level/open-index.ts';
import type { RebuildOptions } from '../../../src/collection/level/rebuild.ts';
import { writeRar5 } from '../../container/rar-writer.ts';
import { identityAt } from '../../harness/plans.ts';
import { TempIndex } from './temp-index.ts';

const skips = (skipped: ReadonlyMap<string, { count: number }>): Record<string, number> =>
  Object.fromEntries([...skipped].map(([reason, { count }]) => [reason, count]));
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

describe('rebuild', () => {
  let index: TempIndex;
  beforeEach(() => {
    index = new TempIndex();
  });
  afterEach(() => index.remove());

  /** Every file of the index, below the disk. */
  const allFiles = async (): Promise<string[]> => {
    const open = await openIndex(index.db);
    const everything = { min: 0, max: Number.MAX_SAFE_INTEGER, near: 0, limit: 1000 };
    const [files = []] = await open.bySize([everything]);
    assert.equal(files.length, open.info().files);
    return files.map((file) => index.below(file)).toSorted();
  };

  it('counts what it found', async () => {
    index.put({ 'a/one.mkv': 10, 'a/b/two.mkv': 0, 'three.mkv': 5_000_000_000, 'r/x.rar': 1, 'r/x.sfv': 2 });
    const result = await index.rebuild();
    assert.deepEqual(
      { ...result, skipped: skips(result.skipped) },
      { folders: 4, files: 5, bytes: 5_000_000_013, releases: 1, reused: 0, skipped: {}, away: [] },
    );
    const info = (await openIndex(index.db)).info();
    assert.deepEqual([info.files, info.folders, info.bytes, info.releases], [5, 4, 5_000_000_013, 1]);
    assert.deepEqual(info.roots, [Buffer.from(index.disk)]);
  });

  it('reads again only what changed', async () => {
    index.put({ 'a/one': 1, 'a/b/two': 2, 'c/three': 3, 'c/d/four': 4 });
    assert.equal((await index.rebuild()).reused, 0);
    assert.equal((await index.rebuild()).reused, 5);
    index.put({ 'a/b/new': 7 });
    rmSync(join(index.disk, 'c/three'));
    renameSync(join(index.disk, 'c/d'), join(index.disk, 'c/e'));
    // b and c changed; of e, which was d, nothing is known under its new name.
    assert.equal((await index.rebuild()).reused, 2);
    assert.deepEqual(await allFiles(), ['a/b/new', 'a/b/two', 'a/one', 'c/e/four']);
    assert.equal((await index.rebuild({ full: true })).reused, 0);
    assert.deepEqual(await allFiles(), ['a/b/new', 'a/b/two', 'a/one', 'c/e/four']);
  });

  it('sees a file that changed in place, whose folder did not', async () => {
    index.put({ 'a/one': 1, 'a/two': 2, 'b/three': 3, 'b/x.zip': 30 });
    await index.rebuild();
    const sizes = async (): Promise<string[]> => {
      const [files = []] = await (await openIndex(index.db)).bySize([{ min: 0, max: 100, near: 0, limit: 100 }]);
      return files.map((file) => `${index.below(file)} ${file.size}`).toSorted();
    };
    for (const size of [9, 0, 50]) {
      truncateSync(join(index.disk, 'a/one'), size);
      assert.equal((await index.rebuild()).reused, 2, 'the disk and b');
      assert.deepEqual(await sizes(), [`a/one ${size}`, 'a/two 2', 'b/three 3', 'b/x.zip 30']);
      assert.equal((await index.rebuild()).reused, 3);
    }
  });

  it('sees what an archive holds that was completed in place', async () => {
    const archive = join(index.disk, 'a/x.rar');
    const whole = writeRar5([{ name: 'film.mkv', data: Buffer.alloc(500, 1) }])[0] ?? Buffer.alloc(0);
    index.put({ 'a/x.rar': 0 });
    writeFileSync(archive, whole.subarray(0, 10));
    const held = async (): Promise<number | undefined> =>
      (await (await openIndex(index.db)).archived([{ size: 500, name: 'film.mkv', limit: 9 }]))[0]?.length;
    await index.rebuild();
    assert.equal(await held(), 0);
    appendFileSync(archive, whole.subarray(10));
    await index.rebuild();
    assert.equal(await held(), 1);
  });

  describe('of files that are still being written', () => {
    const grower = (): string => join(index.disk, 'a/one');
    const GROWING = 'growing: the next rebuild looks at it again';
    /** How often each way of asking finds the file. */
    const found = async (): Promise<number[]> => {
      const open = await openIndex(index.db);
      const [folder] = (await open.folders([Buffer.from('a')]))[0] ?? [];
      const size = statSync(grower()).size;
      return [
        (await open.bySize([{ min: size, max: size, near: size, limit: 9 }]))[0]?.length ?? -1,
        (await open.byNameAndSize([{ name: 'one', size }]))[0]?.length ?? -1,
        (await open.trees([folder?.id ?? -1]))[0]?.files.length ?? -1,
        (await open.byInode([identityAt(grower())]))[0]?.length ?? -1,
      ];
    };
    const NOT_A_CANDIDATE = [0, 0, 0, 1];
    const CANDIDATE = [1, 1, 1, 1];

    it('makes one no candidate whose size changed since a rebuild a moment ago', async () => {
      index.put({ 'a/one': 1000 });
      const options = { youngMs: 3_600_000, againMs: 0 };
      assert.deepEqual(skips((await index.rebuild(options)).skipped), {});
      truncateSync(grower(), 2000);
      assert.deepEqual(skips((await index.rebuild(options)).skipped), { [GROWING]: 1 });
      assert.deepEqual(await found(), NOT_A_CANDIDATE);
      assert.deepEqual(skips((await index.rebuild(options)).skipped), {});
      assert.deepEqual(await found(), CANDIDATE);
      // What was written to long ago is whole.
      truncateSync(grower(), 3000);
      utimesSync(grower(), 1, 1);
      assert.deepEqual(skips((await index.rebuild(options)).skipped), {});
      assert.deepEqual(await found(), CANDIDATE);
    });

    it('makes one no candidate whose size changes while it looks', async (t) => {
      index.put({ 'a/one': 1000, 'b/two': 2000 });
      const timer = setInterval(() => appendFileSync(grower(), 'x'), 10);
      t.after(() => clearInterval(timer));
      const result = await index.rebuild({ youngMs: 3_600_000, againMs: 2000 });
      clearInterval(timer);
      assert.deepEqual(skips(result.skipped), { [GROWING]: 1 });
      assert.deepEqual(await found(), NOT_A_CANDIDATE);
      assert.deepEqual(skips((await index.rebuild()).skipped), {});
      assert.deepEqual(await found(), CANDIDATE);
    });

    it('makes one no candidate that is younger than settle, until it is older', async () => {
      index.put({ 'a/one': 1000, 'a/x.rar': 0 });
      const member = { name: 'film.mkv', data: Buffer.alloc(500, 1) };
      writeFileSync(join(index.disk, 'a/x.rar'), writeRar5([member])[0] ?? '');
      await index.rebuild();
      const archived = async (): Promise<number | undefined> =>
        (await (await openIndex(index.db)).archived([{ size: 500, name: 'film.mkv', limit: 9 }]))[0]?.length;
      assert.equal(await archived(), 1);
      const settleMs = 3_600_000;
      for (const round of [1, 2]) {
        const { skipped } = await index.rebuild({ settleMs });
        assert.deepEqual(skips(skipped), { [GROWING]: 2 }, `round ${round}`);
        assert.deepEqual(await found(), NOT_A_CANDIDATE);
        assert.equal(await archived(), 0);
      }
      // rename(2) and chmod(2) change the ctime alone.
      utimesSync(grower(), 1, 1);
      assert.deepEqual(skips((await index.rebuild({ settleMs })).skipped), { [GROWING]: 2 });
      assert.deepEqual(skips((await index.rebuild()).skipped), {});
      assert.deepEqual(await found(), [1, 1, 2, 1]);
      assert.equal(await archived(), 1);
    });
  });

  it('reads a folder again that changed just before it was read', async () => {
    index.put({ 'a/one': 1 });
    await index.rebuild({ racyMs: 60_000 });
    assert.equal((await index.rebuild()).reused, 0);
  });

  it('reads everything again when the patterns changed', async () => {
    index.put({ 'a/one.nfo': 1, 'a/two': 2, 'r/x.rar': 3, 'r/x.sfv': 4, 'r/x.nfo': 5 });
    await index.rebuild();
    assert.equal((await index.rebuild({ ignoreFiles: ['*.NFO'] })).reused, 0);
    const open = await openIndex(index.db);
    const [names = []] = await open.byName([{ name: 'x.nfo', min: 0, max: 9 }]);
    assert.deepEqual(
      names.map((file) => index.below(file)),
      ['r/x.nfo'],
    );
    assert.deepEqual(await open.byNameAndSize([{ name: 'one.nfo', size: 1 }]), [[]]);
    const [a] = (await open.folders([Buffer.from('a')]))[0] ?? [];
    const [tree] = await open.trees([a?.id ?? -1]);
    assert.deepEqual(tree?.files.map(({ file }) => file.name.toString()).toSorted(), ['one.nfo', 'two']);
    assert.equal((await open.byInode([identityAt(join(index.disk, 'a/one.nfo'))]))[0]?.length, 1);
  });

  it('adds paths, and twice the same adds nothing twice', async () => {
    index.put({ 'a/one': 1, 'c/three': 3 });
    await index.rebuild();
    index.put({ 'a/new': 2, 'c/unasked': 4, 'n/m/five': 5, 'n/unasked': 6 });
    const paths = [join(index.disk, 'a'), join(index.disk, 'n/m/'), join(index.disk, 'a')];
    for (let i = 0; i < 2; i++) {
      await index.rebuild({ paths });
      assert.deepEqual(await allFiles(), ['a/new', 'a/one', 'c/three', 'n/m/five']);
    }
    await index.rebuild();
    assert.deepEqual(await allFiles(), ['a/new', 'a/one', 'c/three', 'c/unasked', 'n/m/five', 'n/unasked']);
    rmSync(join(index.disk, 'a'), { recursive: true });
    await index.rebuild({ paths: [join(index.disk, 'a')] });
    assert.deepEqual(await allFiles(), ['c/three', 'c/unasked', 'n/m/five', 'n/unasked']);
  });

  it('reads the folder of a file, and nothing below it or beside it', async () => {
    index.put({ 'a/one': 1, 'a/b/two': 2, 'c/three': 3 });
    await index.rebuild();
    index.put({ 'a/one': 10, 'a/b/two': 20, 'a/b/unasked': 4, 'a/n/unasked': 5, 'c/three': 30, 'd/e/six': 6 });
    const result = await index.rebuild({ paths: [join(index.disk, 'a/one'), join(index.disk, 'd/e/six')] });
    assert.deepEqual(skips(result.skipped), {});
    assert.deepEqual(await allFiles(), ['a/b/two', 'a/one', 'c/three', 'd/e/six']);
    const found = await (await openIndex(index.db)).byNameAndSize([
      { name: 'one', size: 10 },
      { name: 'two', size: 2 },
      { name: 'three', size: 3 },
    ]);
    assert.deepEqual(
      found.map(({ length }) => length),
      [1, 1, 1],
    );
    // With a folder below it that is asked for, and a file on no disk.
    writeFileSync(join(index.top, 'elsewhere'), 'x');
    const both = await index.rebuild({
      paths: [join(index.disk, 'a/one'), join(index.disk, 'a/n'), join(index.top, 'elsewhere')],
    });
    assert.deepEqual(skips(both.skipped), { 'a file on no disk: rebuild its folder': 1 });
    assert.deepEqual(await allFiles(), ['a/b/two', 'a/n/unasked', 'a/one', 'c/three', 'd/e/six']);
    await index.rebuild();
    assert.equal((await allFiles()).length, 6);
  });

  it('adds paths to an index that is not there yet, and outside the disks', async () => {
    index.put({ 'a/one': 1, 'b/x.rar': 3, 'b/x.sfv': 4 });
    const outside = join(index.disk, 'b');
    const disks = [join(index.disk, 'a')];
    const result = await index.rebuild({ disks, paths: [outside, join(index.top, 'nowhere')] });
    assert.deepEqual(skips(result.skipped), { 'path is missing': 1 });
    assert.equal(result.releases, 1); // no disk: a release that was named itself
    assert.deepEqual(await allFiles(), ['b/x.rar', 'b/x.sfv']);
    await index.rebuild({ disks, paths: [join(index.disk, 'a')] });
    assert.deepEqual(await allFiles(), ['a/one', 'b/x.rar', 'b/x.sfv']);
    await index.rebuild({ disks, paths: [index.disk] }); // swallows both
    assert.deepEqual(await allFiles(), ['a/one', 'b/x.rar', 'b/x.sfv']);
    await index.rebuild({ disks });
    assert.deepEqual(await allFiles(), ['a/one']);
  });

  it('indexes disks inside one another once, and follows a disk that is a link', async () => {
    index.put({ 'a/one': 1, 'b/two': 2 });
    symlinkSync(index.disk, join(index.top, 'link'));
    const result = await index.rebuild({ disks: [join(index.disk, 'a'), join(index.top, 'link'), index.disk] });
    assert.equal(result.files, 2);
    assert.deepEqual(skips(result.skipped), { 'inside another disk': 2 });
    const [[file] = []] = await (await openIndex(index.db)).byNameAndSize([{ name: 'one', size: 1 }]);
    assert.equal(file?.path.toString(), join(index.top, 'link/a/one'));
  });

  it('says which disk is missing', async () => {
    index.put({ 'a/one': 1 });
    const result = await index.rebuild({ disks: [index.disk, join(index.top, 'gone'), join(index.disk, 'a/one')] });
    assert.deepEqual(skips(result.skipped), { 'disk is missing': 1, 'not a folder': 1 });
    assert.equal(result.skipped.get('disk is missing')?.example.toString(), join(index.top, 'gone'));
  });

  it('skips links, sockets, pipes and devices, with a reason', async (t) => {
    index.put({ 'a/one': 1 });
    symlinkSync('..', join(index.disk, 'a/loop'));
    symlinkSync('one', join(index.disk, 'a/link'));
    symlinkSync('nowhere', join(index.disk, 'a/broken'));
    execFileSync('mkfifo', [join(index.disk, 'a/pipe')]);
    const server = createServer();
    t.after(() => server.close());
    await new Promise<void>((resolve) => server.listen(join(index.disk, 'a/socket'), resolve));
    const result = await index.rebuild();
    assert.deepEqual(skips(result.skipped), { 'symbolic link': 3, 'named pipe': 1, socket: 1 });
    assert.deepEqual(await allFiles(), ['a/one']);
  });

  it('keeps names that are not UTF-8', async () => {
    const path = bytes(`${index.disk}/d\u00e9j\u00e0/caf\u00e9.bin`);
    index.putFile(path, 3);
    index.putFile(Buffer.from(`${index.disk}/東京/東.bin`), 4);
    for (const expected of [0, 3]) {
      assert.equal((await index.rebuild()).reused, expected);
      const open = await openIndex(index.db);
      const [[one] = [], [two] = []] = await open.byNameAndSize([
        { name: 'CAFÉ.bin', size: 3 },
        { name: '東.bin', size: 4 },
      ]);
      assert.deepEqual(one?.path, path);
      assert.equal(two?.path.toString(), `${index.disk}/東京/東.bin`);
      assert.equal((await open.folders([bytes('d\u00e9j\u00e0')]))[0]?.length, 1);
      assert.equal((await open.folders([Buffer.from('déjà')]))[0]?.length, 0);
    }
  });

  it('does not touch mounts of the types to skip', async () => {
    // /proc/self/mountinfo is real: a type that is mounted where the test looks stands for ours.
    const result = await index.rebuild({ disks: ['/proc'], skipMountTypes: ['proc'] });
    assert.deepEqual(skips(result.skipped), { 'of autotorrent itself': 1 });
    assert.equal(result.files, 0);
  });

  it('stops when told to, and leaves the index as it was', async () => {
    index.put({ 'a/one': 1 });
    await index.rebuild();
    index.put({ 'b/two': 2 });
    const stop = new AbortController();
    stop.abort(new Error('enough'));
    await assert.rejects(index.rebuild({ signal: stop.signal }), /enough/);
    assert.deepEqual(await allFiles(), ['a/one']);
    await index.rebuild();
    assert.deepEqual(await allFiles(), ['a/one', 'b/two']);
  });

  it('writes nothing where nothing has changed, and all of it where something has', async () => {
    index.put({ 'a/one': 1, 'a/b/two': 2, 'c/three': 3 });
    const counts = async (options: Partial<RebuildOptions> = {}): Promise<unknown[]> => {
      const { folders, files, bytes } = await index.rebuild(options);
      return [folders, files, bytes, (await openIndex(index.db)).info().generation];
    };
    assert.deepEqual(await counts(), [4, 3, 6, 1]);
    assert.deepEqual(await counts(), [4, 3, 6, 1]);
    assert.deepEqual(await counts({ paths: [join(index.disk, 'a')] }), [4, 3, 6, 1]);
    assert.deepEqual(await allFiles(), ['a/b/two', 'a/one', 'c/three']);
    const other = join(index.top, 'other');
    mkdirSync(other);
    assert.deepEqual(await counts({ disks: [index.disk, other] }), [5, 3, 6, 2]);
    assert.deepEqual(await counts(), [4, 3, 6, 3]);
    assert.deepEqual(await counts({ ignoreFiles: ['*.x'] }), [4, 3, 6, 4]);
    index.put({ 'c/d/four': 4 });
    assert.deepEqual(await counts({ ignoreFiles: ['*.x'] }), [5, 4, 10, 5]);
    assert.deepEqual(await allFiles(), ['a/b/two', 'a/one', 'c/d/four', 'c/three']);
  });

  it('leaves nothing of older generations', async () => {
    index.put({ 'a/one': 1 });
    const keys = async (): Promise<number> => (await index.db.keys({ keyEncoding: 'view' }).all()).length;
    await index.rebuild();
    const first = await keys();
    await index.rebuild({ full: true });
    assert.equal(await keys(), first);
  });

  it('reports progress', async () => {
    index.put({ 'a/one': 1 });
    const seen: number[] = [];
    await index.rebuild({ onProgress: ({ files }) => seen.push(files) });
    assert.equal(seen.at(-1), 1);
  });

  it('refuses an index of another version, until told to replace it', async () => {
    index.put({ 'a/one': 1 });
    await index.rebuild();
    const [key = new Uint8Array()] = await index.db.keys<Uint8Array>({ keyEncoding: 'view' }).all();
    const stored = await index.db.get<Uint8Array, string>(key, { keyEncoding: 'view' });
    const state: object = JSON.parse(stored);
    for (const value of [JSON.stringify({ ...state, format: '0' }), '{"format":']) {
      await index.db.put<Uint8Array, string>(key, value, { keyEncoding: 'view' });
      for (const attempt of [
        () => openIndex(index.db),
        () => index.rebuild(),
        () => index.rebuild({ full: true, paths: [index.disk] }),
      ]) {
        await assert.rejects(attempt, { code: 'INDEX', hint: 'run `autotorrent rebuild --full`' });
      }
      await index.rebuild({ full: true });
      assert.deepEqual(await allFiles(), ['a/one']);
    }
  });

  it('says so where records are missing, and touches no database of somebody else', async () => {
    index.put({ 'a/one': 1 });
    await assert.rejects(openIndex(index.db), { code: 'INDEX', hint: 'run `autotorrent rebuild`' });
    await index.rebuild();
    const keys = await index.db.keys<Uint8Array>({ keyEncoding: 'view' }).all();
    const isTable = (key: Uint8Array): boolean => key[5] === KIND.table;
    const rest = keys.slice(1).filter((key) => !isTable(key));
    for (const key of rest) await index.db.del<Uint8Array>(key, { keyEncoding: 'view' });
    const open = await openIndex(index.db);
    const size = { min: 0, max: 9, near: 0, limit: 9 };
    for (const question of [
      () => open.bySize([size]),
      () => open.byNameAndSize([{ name: 'one', size: 1 }]),
      () => open.folders([Buffer.from('a')]),
      () => open.trees([0]),
    ]) {
      await assert.rejects(question, { code: 'INDEX', hint: 'run `autotorrent rebuild --full`' });
    }
    for (const key of keys.filter(isTable)) await index.db.del<Uint8Array>(key, { keyEncoding: 'view' });
    await assert.rejects(openIndex(index.db), { code: 'INDEX', hint: 'run `autotorrent rebuild --full`' });
    await index.db.put(Buffer.from('hello'), Buffer.from('world'));
    await assert.rejects(index.rebuild({ full: true }), { code: 'INDEX' });
    assert.equal(String(await index.db.get(Buffer.from('hello'))), 'world');
  });

  it('survives folders that come and go while it reads', async () => {
    index.put(Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`d${i}/s/f`, i])));
    const running = index.rebuild();
    for (let i = 0; i < 200; i += 2) rmSync(join(index.disk, `d${i}`), { recursive: true });
    mkdirSync(join(index.disk, 'late'));
    const result = await running;
    assert.ok(result.files >= 100 && result.files <= 200);
    assert.equal((await allFiles()).length, result.files);
  });
});
