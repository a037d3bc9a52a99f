/** A disk that is away keeps its records. Folders stand for disks where that is enough; the others are real file systems. */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { KIND, keyOf } from '../../../src/collection/level/index-database.ts';
import { openIndex } from '../../../src/collection/level/open-index.ts';
import type { RebuildOptions } from '../../../src/collection/level/rebuild.ts';
import type { RebuildResult } from '../../../src/collection/writer.ts';
import { makeFileSystem, type TestFileSystem } from '../../harness/file-systems.ts';
import { NEEDS_ROOT } from '../../harness/other-user.ts';
import { putFiles } from '../contract.ts';
import { TempIndex } from './temp-index.ts';

const EVERY_SIZE = { min: 0, max: Number.MAX_SAFE_INTEGER, near: 0, limit: 1000 };

describe('a disk that is away', () => {
  let index: TempIndex;
  beforeEach(() => {
    index = new TempIndex();
  });
  afterEach(() => index.remove());

  const files = async (): Promise<string[]> => {
    const open = await openIndex(index.db);
    const [found = []] = await open.bySize([EVERY_SIZE]);
    return found.map(({ path }) => path.toString().slice(index.top.length + 1)).toSorted((a, b) => a.localeCompare(b));
  };
  const awayOf = ({ away }: Pick<RebuildResult, 'away'>): unknown[] =>
    away.map(({ path, files: count }) => [path.toString().slice(index.top.length + 1), count]);
  const awayDisks = async (...paths: readonly string[]): Promise<unknown[]> => {
    const open = await openIndex(index.db);
    const found = await open.awayDisks(paths.map((path) => Buffer.from(join(index.top, path))));
    return found.map((disk) => disk?.toString().slice(index.top.length + 1) ?? null);
  };
  const generation = async (): Promise<number> => (await openIndex(index.db)).info().generation;

  describe('since its folder is gone', () => {
    let other: string;
    let both: Partial<RebuildOptions>;
    const away = (): string => join(index.top, 'elsewhere');
    beforeEach(async () => {
      other = join(index.top, 'other');
      both = { disks: [index.disk, other] };
      index.put({ 'film/one': 1, 'film/two': 2, three: 3 });
      putFiles(other, { 'x/four': 4 });
      await index.rebuild(both);
      renameSync(index.disk, away());
    });

    for (const [how, options] of [
      ['', {}],
      [' --full', { full: true }],
      [' with other patterns', { ignoreFiles: ['*.nfo'] }],
      [' of another disk', { paths: [] }],
    ] as const) {
      it(`keeps its records through a rebuild${how}, and as often as there is one`, async () => {
        const request = { ...both, ...options, ...('paths' in options ? { paths: [other] } : {}) };
        for (let i = 0; i < 3; i++) {
          assert.deepEqual(awayOf(await index.rebuild(request)), [['disk', 3]]);
          assert.deepEqual(await files(), ['disk/film/one', 'disk/film/two', 'disk/three', 'other/x/four']);
        }
        assert.deepEqual(await awayDisks('disk/film/one', 'disk', 'other/x/four', 'diskette'), [
          'disk',
          'disk',
          null,
          null,
        ]);
      });
    }

    it('is nothing new: the index stays as it is', async () => {
      const before = await generation();
      await index.rebuild(both);
      assert.equal(await generation(), before);
      putFiles(other, { 'x/five': 5 });
      assert.deepEqual(awayOf(await index.rebuild(both)), [['disk', 3]]);
      assert.equal((await files()).length, 5);
    });

    it('is read again when it is back, and only what changed', async () => {
      await index.rebuild(both);
      putFiles(away(), { 'film/six': 6 });
      rmSync(join(away(), 'three'));
      renameSync(away(), index.disk);
      const result = await index.rebuild(both);
      assert.deepEqual(awayOf(result), []);
      assert.deepEqual(await files(), ['disk/film/one', 'disk/film/six', 'disk/film/two', 'other/x/four']);
      assert.equal(result.reused, 2);
    });

    it('is away before any rebuild has seen that', async () => {
      assert.deepEqual(await awayDisks('disk/film/one', 'other/x/four'), ['disk', null]);
    });

    it('goes when it is no disk any more', async () => {
      await index.rebuild(both);
      assert.deepEqual(awayOf(await index.rebuild({ disks: [other] })), []);
      assert.deepEqual(await files(), ['other/x/four']);
    });

    it('goes when it is given up, and does not come back by itself', async () => {
      await index.rebuild(both);
      assert.deepEqual(awayOf(await index.rebuild({ ...both, paths: [], givenUp: [other] })), [['disk', 3]]);
      assert.deepEqual(awayOf(await index.rebuild({ ...both, paths: [], givenUp: [index.disk] })), []);
      assert.deepEqual(await files(), ['other/x/four']);
      const result = await index.rebuild(both);
      assert.deepEqual([...result.skipped.keys()], ['disk is missing']);
      renameSync(away(), index.disk);
      await index.rebuild(both);
      assert.equal((await files()).length, 4);
    });

    it('has its ignored files by the patterns of now', async () => {
      await index.rebuild({ ...both, ignoreFiles: ['t*'] });
      assert.deepEqual(await files(), ['disk/film/one', 'other/x/four']);
      await index.rebuild({ ...both, ignoreFiles: [] });
      assert.equal((await files()).length, 4);
    });

    it('may be damaged in the index, which rebuild --full replaces', async () => {
      const view = { keyEncoding: 'view' } as const;
      for (const key of await index.db.keys<Uint8Array>(view).all()) {
        if (key[5] === KIND.folder) await index.db.del<Uint8Array>(key, view);
      }
      await index.rebuild({ ...both, full: true });
      assert.deepEqual(await files(), ['other/x/four']);
    });

    it('was that in an index of the version before, too, which noted no mounts', async () => {
      const view = { keyEncoding: 'view', valueEncoding: 'view' } as const;
      const key = keyOf(0, KIND.state, 0);
      const state = JSON.parse(Buffer.from(await index.db.get<Uint8Array, Uint8Array>(key, view)).toString());
      for (const root of state.roots) delete root.mounts;
      const older = Buffer.from(JSON.stringify({ ...state, format: state.format.replace('3', '2') }));
      await index.db.put<Uint8Array, Uint8Array>(key, older, view);
      assert.deepEqual(awayOf(await index.rebuild(both)), [['disk', 3]]);
      assert.equal((await files()).length, 4);
    });

    it('is not read where a file lies in its place', async () => {
      writeFileSync(index.disk, '');
      assert.deepEqual(awayOf(await index.rebuild(both)), [['disk', 3]]);
    });
  });

  it('is not one whose files were deleted', async () => {
    index.put({ 'a/one': 1, two: 2 });
    await index.rebuild();
    rmSync(join(index.disk, 'a'), { recursive: true });
    rmSync(join(index.disk, 'two'));
    assert.deepEqual(awayOf(await index.rebuild()), []);
    assert.deepEqual(await files(), []);
    assert.deepEqual(await awayDisks('disk/a/one'), [null]);
  });

  it('keeps what a link leads to that leads nowhere now', async () => {
    const real = join(index.top, 'real');
    putFiles(real, { one: 1 });
    symlinkSync(real, join(index.top, 'link'));
    const disks = [join(index.top, 'link')];
    await index.rebuild({ disks });
    renameSync(real, `${real}-away`);
    assert.deepEqual(awayOf(await index.rebuild({ disks })), [['link', 1]]);
    assert.deepEqual(await files(), ['link/one']);
  });

  describe('since it is not mounted', { skip: NEEDS_ROOT }, () => {
    let disk: TestFileSystem;
    beforeEach(async () => {
      disk = await makeFileSystem('ext4', join(index.top, 'fs'));
    });
    afterEach(() => disk.close());
    const put = (entries: Readonly<Record<string, number>>): void => putFiles(disk.path, entries);
    const kept = ['fs/mounted/films/one', 'fs/mounted/films/two', 'fs/mounted/music/three'];

    it('keeps its records, with files written into its mount point, too, and is not confused with one that was emptied', async () => {
      put({ 'films/one': 1, 'films/two': 2, 'music/three': 3 });
      const disks = [disk.path];
      await index.rebuild({ disks });
      await disk.umount();
      for (const options of [{}, { full: true }, { paths: disks }, { paths: [join(disk.path, 'films')] }]) {
        assert.deepEqual(awayOf(await index.rebuild({ disks, ...options })), [['fs/mounted', 3]]);
        assert.deepEqual(await files(), kept);
      }
      // A client went on writing.
      put({ 'films/new': 9, 'music/new': 9 });
      assert.deepEqual(awayOf(await index.rebuild({ disks })), [['fs/mounted', 3]]);
      assert.deepEqual(await files(), kept);
      assert.deepEqual(await awayDisks('fs/mounted/films/one'), ['fs/mounted']);
      for (const folder of ['films', 'music']) rmSync(join(disk.path, folder), { recursive: true });
      await disk.mount();
      assert.deepEqual(awayOf(await index.rebuild({ disks })), []);
      assert.deepEqual(await files(), kept);
      assert.deepEqual(await awayDisks('fs/mounted/films/one'), [null]);
      for (const folder of ['films', 'music']) rmSync(join(disk.path, folder), { recursive: true });
      assert.deepEqual(awayOf(await index.rebuild({ disks })), []);
      assert.deepEqual(await files(), []);
    });

    it('is away with a root above or below its mount point', async () => {
      put({ 'films/one': 1, 'films/two': 2, 'music/three': 3 });
      putFiles(join(index.top, 'fs/beside'), { four: 4 });
      const above = [join(index.top, 'fs')];
      const below = [join(disk.path, 'films')];
      await index.rebuild({ disks: below });
      await disk.umount();
      assert.deepEqual(awayOf(await index.rebuild({ disks: below })), [['fs/mounted/films', 2]]);
      await disk.mount();
      await index.rebuild({ disks: above });
      await disk.umount();
      for (const options of [{}, { full: true }, { paths: above }, { paths: [join(above[0]!, 'beside')] }, {}]) {
        assert.deepEqual(awayOf(await index.rebuild({ disks: above, ...options })), [['fs/mounted', 3]]);
        const found = await files();
        assert.deepEqual(
          found.filter((path) => path.startsWith('fs/mounted')),
          kept,
        );
        assert.ok(found.includes('fs/beside/four'));
      }
      // Its mount point goes, and files beside it change.
      rmdirSync(disk.path);
      putFiles(join(index.top, 'fs/beside'), { five: 5 });
      for (const full of [false, true, false]) {
        assert.deepEqual(awayOf(await index.rebuild({ disks: above, full })), [['fs/mounted', 3]]);
        assert.ok((await files()).includes('fs/beside/five'));
      }
      await disk.mount();
      assert.deepEqual(awayOf(await index.rebuild({ disks: above })), []);
      assert.deepEqual(
        (await files()).filter((path) => path.startsWith('fs/mounted')),
        kept,
      );
    });

    it('is given up by its name or its folder, below a disk', async () => {
      put({ 'films/one': 1, 'films/two': 2, 'music/three': 3 });
      putFiles(join(index.top, 'fs/beside'), { four: 4 });
      const disks = [join(index.top, 'fs')];
      for (const how of ['name', 'folder']) {
        await disk.mount().catch(() => {});
        await index.rebuild({ disks });
        const view = { keyEncoding: 'view', valueEncoding: 'view' } as const;
        const state = await index.db.get<Uint8Array, Uint8Array>(keyOf(0, KIND.state, 0), view);
        const name = /uuid:[0-9a-f-]{36}/.exec(
          JSON.stringify(
            JSON.parse(Buffer.from(state).toString()).roots[0].mounts.filter(
              ({ point }: { point: string }) => point === disk.path,
            ),
          ),
        )?.[0];
        assert.ok(name !== undefined);
        await disk.umount();
        const givenUp = [how === 'name' ? name : disk.path];
        assert.deepEqual(awayOf(await index.rebuild({ disks, paths: [], givenUp })), []);
        assert.deepEqual(
          (await files()).filter((path) => path.startsWith('fs/mounted')),
          [],
        );
        assert.deepEqual(awayOf(await index.rebuild({ disks })), []);
        assert.ok((await files()).includes('fs/beside/four'));
      }
    });

    it('is there when its content was moved to the folder that it was mounted on', async () => {
      put({ 'films/one': 1, 'films/two': 2, 'music/three': 3 });
      const disks = [disk.path];
      await index.rebuild({ disks });
      await disk.umount();
      putFiles(disk.path, { 'films/one': 1, 'films/two': 2, 'music/four': 4 });
      assert.deepEqual(awayOf(await index.rebuild({ disks })), []);
      assert.deepEqual(await files(), ['fs/mounted/films/one', 'fs/mounted/films/two', 'fs/mounted/music/four']);
      rmSync(dirname(join(disk.path, 'films/one')), { recursive: true });
      rmSync(join(disk.path, 'music'), { recursive: true });
      // What lies on the disk below now is known as such.
      assert.deepEqual(awayOf(await index.rebuild({ disks })), []);
      assert.deepEqual(await files(), []);
    });

    it('gives way to another disk that is mounted in its place', async () => {
      put({ 'films/one': 1 });
      const disks = [disk.path];
      await index.rebuild({ disks });
      await disk.umount();
      const second = await makeFileSystem('ext4', join(index.top, 'second'));
      try {
        await second.umount();
        await second.mount(disk.path);
        putFiles(disk.path, { 'other/two': 2 });
        assert.deepEqual(awayOf(await index.rebuild({ disks })), []);
        assert.deepEqual(await files(), ['fs/mounted/other/two']);
      } finally {
        await second.close();
      }
    });
  });

  it('is none of what is mounted in passing', { skip: NEEDS_ROOT }, async () => {
    const { execFileSync } = await import('node:child_process');
    const at = join(index.disk, 'passing');
    mkdirSync(at);
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', at]);
    try {
      writeFileSync(join(at, 'one'), '');
      truncateSync(join(at, 'one'), 1);
      await index.rebuild();
      assert.deepEqual(await files(), ['disk/passing/one']);
    } finally {
      execFileSync('umount', [at]);
    }
    assert.deepEqual(awayOf(await index.rebuild()), []);
    assert.deepEqual(await files(), []);
  });
});
