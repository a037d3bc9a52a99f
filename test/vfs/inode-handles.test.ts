/** What a driver needs that names files by inode numbers, also of an earlier server: generations, and the way up to the root. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { GENERATION_KEY } from '../../src/store/records/key.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { Volume } from './volume.ts';

describe('inode numbers', () => {
  let folder: string;
  let volume: Volume;
  beforeEach(async () => {
    folder = temporaryFolder('inodes');
    volume = await Volume.open(folder);
  });
  afterEach(async () => {
    await volume.close();
  });

  it('have a generation that stays with the store, and is another one in every other store', async () => {
    const { generation } = volume.files;
    assert.ok(Number.isInteger(generation) && generation > 0 && generation < 2 ** 32);
    await volume.restart();
    assert.equal(volume.files.generation, generation);
    const other = await Volume.open(temporaryFolder('inodes'));
    assert.notEqual(other.files.generation, generation);
    await other.close();
  });

  it('get one in a store of a version that knew none, which is kept from then on', async () => {
    await volume.level.del(GENERATION_KEY);
    await volume.restart();
    const { generation } = volume.files;
    assert.ok(generation > 0);
    await volume.restart();
    assert.equal(volume.files.generation, generation);
  });

  it('get another one where the store was deleted, and its numbers begin anew', async () => {
    const { generation } = volume.files;
    await volume.close();
    for (const name of ['store', 'source']) rmSync(join(folder, name), { recursive: true });
    volume = await Volume.open(folder);
    assert.notEqual(volume.files.generation, generation);
  });

  it('lead to the folder above, also after a move', async () => {
    const { files } = volume;
    assert.equal(files.parentOf(1), 1);
    assert.equal(files.parentOf(volume.ino('')), 1);
    assert.equal(files.parentOf(volume.ino('T')), volume.ino(''));
    await files.mkdir(...volume.place('a'), 0o755);
    await files.mkdir(...volume.place('a/b'), 0o755);
    const moved = volume.ino('a/b');
    await volume.rename('a/b', 'T/b');
    assert.equal(files.parentOf(moved), volume.ino('T'));
    await volume.restart();
    assert.equal(volume.files.parentOf(moved), volume.ino('T'));
    assert.throws(() => volume.files.parentOf(volume.ino('T/whole')), { code: 'ENOTDIR' });
    assert.throws(() => volume.files.parentOf(1_000_000), { code: 'ENOENT' });
  });

  it('show what has lost its names for as long as it is open, and nothing afterwards', async () => {
    await volume.create('T/plain', 'bytes');
    await volume.files.mkdir(...volume.place('folder'), 0o755);
    const [plain, mapped, directory] = [volume.ino('T/plain'), volume.ino('T/whole'), volume.ino('folder')];
    const handles = [await volume.open('T/plain'), await volume.open('T/whole')];
    const listing = await volume.files.opendir(directory);
    await volume.unlink('T/plain');
    await volume.unlink('T/whole');
    await volume.files.rmdir(...volume.place('folder'));
    assert.deepEqual(
      [plain, mapped, directory].map((ino) => volume.files.getattr(ino)).map(({ nlink, size }) => [nlink, size]),
      [
        [0, 5],
        [0, 40_000],
        [0, 4096],
      ],
    );
    for (const handle of handles) await volume.files.release(handle);
    await volume.files.releasedir(listing);
    assert.throws(() => volume.files.getattr(plain), { code: 'ENOENT' });
    assert.throws(() => volume.files.getattr(directory), { code: 'ENOENT' });
  });
});
