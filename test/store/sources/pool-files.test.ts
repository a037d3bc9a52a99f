import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { type Pooled, PoolFiles } from '../../../src/store/sources/pool-files.ts';
import { temporaryFolder } from '../../harness/folder.ts';

describe('the files of the pool', () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryFolder('pool');
  });

  /** Makes a store with a file that it has completed. */
  const storeOf = (name: string): { files: PoolFiles; path: string } => {
    fs.mkdirSync(join(folder, name));
    const path = join(folder, name, 'overlay');
    fs.writeFileSync(path, name, { mode: 0o600 });
    return { files: new PoolFiles(join(folder, 'pool'), join(folder, name)), path };
  };
  const taken = async (files: PoolFiles, path: string): Promise<Pooled> => {
    const pooling = await files.take(path, ['torrent', 'file']);
    assert.ok('pooled' in pooling, 'it was kept');
    return pooling;
  };
  const mode = (path: string): number => fs.statSync(path).mode & 0o777;

  it('are sealed by whoever has completed them, though another store has taken the name since', async () => {
    const [one, other] = [storeOf('one'), storeOf('other')];
    const first = await taken(one.files, one.path);
    await taken(other.files, other.path);
    await one.files.seal(first, { mode: 0o644, gid: 0 });
    assert.equal(mode(one.path), 0o444);
    assert.equal(mode(other.path), 0o600, 'the other store may still write to its own');
  });

  it('are each their own store’s, though two stores complete the same file at the same time', async () => {
    const [one, other] = [storeOf('one'), storeOf('other')];
    for (let round = 0; round < 50; round++) {
      const poolings = await Promise.all([taken(one.files, one.path), taken(other.files, other.path)]);
      assert.deepEqual(
        poolings.map(({ source }) => fs.readFileSync(source, 'utf8')),
        ['one', 'other'],
      );
      assert.deepEqual(fs.readdirSync(join(folder, 'pool', 'torrent')), ['file'], 'nothing is left beside it');
    }
  });

  it('stay in the pool when another store gives its own back', async () => {
    const [one, other] = [storeOf('one'), storeOf('other')];
    const first = await taken(one.files, one.path);
    const second = await taken(other.files, other.path);
    await one.files.giveBack(first);
    assert.equal(fs.readFileSync(second.pooled, 'utf8'), 'other');
    await other.files.giveBack(second);
    assert.equal(fs.existsSync(second.pooled), false);
  });

  it('leave nothing beside them when they are taken again', async () => {
    const { files, path } = storeOf('one');
    await taken(files, path);
    await taken(files, path);
    assert.deepEqual(fs.readdirSync(join(folder, 'pool', 'torrent')), ['file']);
  });
});
