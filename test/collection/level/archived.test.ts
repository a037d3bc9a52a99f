import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { openIndex } from '../../../src/collection/level/open-index.ts';
import { MemberReader } from '../../../src/container/member-extents.ts';
import { type RarMember, volumeNames, writeRar4, writeRar5 } from '../../container/rar-writer.ts';
import { anywhere } from '../../harness/anywhere.ts';
import { TempIndex } from './temp-index.ts';

describe('files inside archives', () => {
  let index: TempIndex;
  beforeEach(() => {
    index = new TempIndex();
  });
  afterEach(() => index.remove());

  const put = (folder: string, names: readonly string[], volumes: readonly Buffer[]): void => {
    mkdirSync(join(index.disk, folder), { recursive: true });
    for (const [i, volume] of volumes.entries()) writeFileSync(join(index.disk, folder, names[i] ?? ''), volume);
  };
  const putSet = (folder: string, members: readonly RarMember[]): void => {
    const volumes = writeRar4(members, { volumeBytes: 5000 });
    put(folder, volumeNames('grp-x', volumes.length, 'old'), volumes);
  };
  const ask = async (...questions: readonly { size: number; name?: string; limit?: number }[]): Promise<string[][]> => {
    const open = await openIndex(index.db);
    const answers = await open.archived(questions.map((question) => ({ limit: 10, ...question })));
    return answers.map((found) =>
      found.map(({ archive, name, size }) => `${index.below(archive)}: ${name.toString()} ${size}`),
    );
  };
  const film = { name: 'Sub Folder/The.Film_2019.mkv', data: Buffer.alloc(50_000, 1) };

  it('are found by size, and by name and size', async () => {
    putSet('Film-GRP', [film, { name: 'film.nfo', data: Buffer.alloc(700, 2) }]);
    put('other', ['other.part1.rar'], writeRar5([{ name: 'else.mkv', data: Buffer.alloc(50_000, 3) }]));
    await index.rebuild();
    assert.deepEqual(
      await ask(
        { size: 50_000, name: 'the film 2019.MKV' },
        { size: 700 },
        { size: 50_001, name: 'the film 2019.mkv' },
        { size: 50_000, name: 'sub folder' },
        { size: 50_000, limit: 1 },
      ),
      [
        ['Film-GRP/grp-x.rar: Sub Folder/The.Film_2019.mkv 50000'],
        ['Film-GRP/grp-x.rar: film.nfo 700'],
        [],
        [],
        (await ask({ size: 50_000 }))[0]?.slice(0, 1),
      ],
    );
    assert.deepEqual((await ask({ size: 50_000 }))[0]?.toSorted(), [
      'Film-GRP/grp-x.rar: Sub Folder/The.Film_2019.mkv 50000',
      'other/other.part1.rar: else.mkv 50000',
    ]);
  });

  it('say which release their archive is of, and the archive itself is found as before', async () => {
    putSet('Film-GRP', [film]);
    await index.rebuild();
    const open = await openIndex(index.db);
    const [[found] = []] = await open.archived([{ size: 50_000, limit: 10 }]);
    const [[release] = []] = await open.releases(['Film-GRP']);
    assert.equal(found?.archive.release, release?.id);
    const [volumes = []] = await open.byName([{ name: 'grp-x.r03', min: 0, max: 1e9 }]);
    assert.deepEqual(
      volumes.map((file) => index.below(file)),
      ['Film-GRP/grp-x.r03'],
    );
    const [tree] = await open.trees([release?.id ?? -1]);
    assert.equal(tree?.files.length, open.info().files);
  });

  it('lead to the ranges that hold their bytes', async () => {
    putSet('Film-GRP', [film]);
    await index.rebuild();
    const open = await openIndex(index.db);
    const [[found] = []] = await open.archived([{ size: 50_000, limit: 10 }]);
    assert.ok(found !== undefined);
    const { archive, name, size } = found;
    const extents = await new MemberReader(anywhere()).memberExtents({ archive: archive.path, name, size });
    assert.ok(!('refused' in extents));
    assert.equal(extents.length, open.info().files);
    assert.equal(
      extents.reduce((sum, { length }) => sum + length, 0),
      50_000,
    );
  });

  it('are read again only with their folder', async () => {
    putSet('Film-GRP', [film]);
    await index.rebuild();
    // The folder does not change by it: nobody looks.
    writeFileSync(join(index.disk, 'Film-GRP/grp-x.rar'), Buffer.alloc(5000));
    await index.rebuild();
    assert.equal((await ask({ size: 50_000 }))[0]?.length, 1);
    await index.rebuild({ paths: [index.disk] });
    assert.equal((await ask({ size: 50_000 }))[0]?.length, 1);
    await index.rebuild({ full: true });
    assert.deepEqual(await ask({ size: 50_000 }), [[]]);
    putSet('Film-GRP', [film]);
    put('Film-GRP', ['new'], [Buffer.alloc(1)]);
    await index.rebuild();
    assert.equal((await ask({ size: 50_000 }))[0]?.length, 1);
    rmSync(join(index.disk, 'Film-GRP/grp-x.r02'));
    await index.rebuild();
    assert.deepEqual(await ask({ size: 50_000 }), [[]]);
  });

  it('stay when a rebuild of other paths takes their folder over', async () => {
    putSet('a/Film-GRP', [film]);
    await index.rebuild();
    index.put({ 'a/Film-GRP/CD2/x': 1, 'b/one': 1 });
    await index.rebuild({ paths: [join(index.disk, 'a/Film-GRP/CD2'), join(index.disk, 'b')] });
    assert.equal((await ask({ size: 50_000 }))[0]?.length, 1);
  });

  it('are hidden with their archive by ignore_files, unless it is of a release', async () => {
    putSet('Film-GRP', [film]);
    put('loose', ['loose.rar'], writeRar5([film]));
    await index.rebuild({ ignoreFiles: ['*.rar'] });
    assert.deepEqual(await ask({ size: 50_000 }), [['Film-GRP/grp-x.rar: Sub Folder/The.Film_2019.mkv 50000']]);
  });

  it('do not disturb what else is called like an archive', async () => {
    index.put({ 'a/empty.rar': 0, 'a/zeros.zip': 5_000_000_000, 'a/x.part2.rar': 100 });
    mkdirSync(join(index.disk, 'a/folder.rar'));
    const { files, skipped } = await index.rebuild();
    assert.deepEqual([files, skipped.size], [3, 0]);
  });

  it('are told of where the archive cannot be read', { skip: process.getuid?.() === 0 }, async () => {
    put('loose', ['loose.rar'], writeRar5([film]));
    chmodSync(join(index.disk, 'loose/loose.rar'), 0);
    const { skipped } = await index.rebuild();
    assert.equal(skipped.get('archive not readable')?.count, 1);
  });
});
