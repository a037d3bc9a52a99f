/** `show_links`: a mapped file shows the hard links of its source, as of the last look at it. */
import assert from 'node:assert/strict';
import { linkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { GAP } from '../../src/extent/extent.ts';
import { linksKey } from '../../src/store/records/key.ts';
import type { FileSystem } from '../../src/vfs/file-system.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import { type OpenVolume, openVolume } from '../harness/volume.ts';

describe('the links that a file shows', () => {
  let folder: string;
  let volume: OpenVolume;
  const open = async (showLinks = true): Promise<void> => {
    volume = await openVolume(join(folder, 'state'), { showLinks, poolPath: join(folder, 'pool') });
  };
  const files = (): FileSystem => volume.fileSystem;
  const find = (path: string): [number, string] => {
    const names = ['E', 'T', ...path.split('/')];
    const name = names.pop() ?? '';
    return [names.reduce((parent, each) => files().paths.find(parent, each), 1), name];
  };
  const ino = (path: string): number => files().paths.find(...find(path));
  const links = (path: string): number => files().getattr(ino(path)).nlink;
  const read = async (path: string): Promise<void> => {
    const handle = await files().open(ino(path), 0);
    await files().read(handle, Buffer.alloc(4), 0);
    await files().release(handle);
  };

  beforeEach(async () => {
    folder = temporaryFolder('shown-links');
    const [one, two] = [join(folder, 'one'), join(folder, 'two')];
    for (const path of [one, two]) writeFileSync(path, 'bytes');
    // Before the plan is made: a link changes the ctime.
    for (const name of ['a', 'b']) linkSync(two, join(folder, name));
    await open();
    const extent = (source: number) => ({ length: 5, source, sourceOffset: 0 });
    const plan = planOf(
      'E',
      [sourceOf(one), sourceOf(two)],
      [
        fileOf(['T', 'one'], [extent(0)]),
        fileOf(['T', 'two'], [extent(1)]),
        fileOf(['T', 'both'], [extent(0), extent(1)]),
        fileOf(['T', 'gap'], [{ length: 5, source: GAP, sourceOffset: 0 }]),
      ],
    );
    await volume.store.createEntry(plan);
    await volume.store.markAdded([plan.infoHash]);
  });
  afterEach(async () => {
    await volume.close();
  });

  it('are its names and those of its source, one until somebody has looked', async () => {
    assert.deepEqual(['one', 'two', 'both', 'gap'].map(links), [2, 2, 2, 1]);
    for (const path of ['one', 'two']) await read(path);
    // Of several sources the largest number.
    assert.deepEqual(['one', 'two', 'both', 'gap'].map(links), [2, 4, 4, 1]);
  });

  it('are learnt by opens, never by a look for them, and stay over a restart', async () => {
    await read('two');
    assert.equal(links('two'), 4);
    rmSync(join(folder, 'a'));
    assert.equal(links('two'), 4);
    await volume.close();
    rmSync(join(folder, 'two'));
    await open();
    assert.equal(links('two'), 4);
  });

  it('leave no record of a source that has one link, or is used by nobody', async () => {
    await read('two');
    const [two = -1] = volume.store.sourcesOf(ino('two'));
    await volume.store.sync();
    assert.ok((await volume.level.get(linksKey(two))) !== undefined);
    volume.store.noteLinks(two, 1);
    await volume.store.sync();
    assert.equal(await volume.level.get(linksKey(two)), undefined);
    assert.equal(links('two'), 2);
    volume.store.noteLinks(two, 7);
    assert.equal(links('two'), 8);
    const { infoHash = '' } = volume.store.entry('E') ?? {};
    await volume.store.removeEntry(infoHash);
    assert.equal(await volume.level.get(linksKey(two)), undefined);
    volume.store.noteLinks(two, 9);
    await volume.store.sync();
    assert.equal(await volume.level.get(linksKey(two)), undefined);
  });

  it('count names in the mount, and none of a file that has lost them', async () => {
    await files().link(ino('one'), ...find('other'));
    assert.deepEqual(['one', 'other'].map(links), [3, 3]);
    const number = ino('one');
    const handle = await files().open(number, 0);
    for (const name of ['one', 'other']) await files().unlink(...find(name));
    assert.equal(files().getattr(number).nlink, 0);
    await files().release(handle);
  });

  it('are those of the plan after a client has written over it, and none of files that are not mapped', async () => {
    const handle = await files().open(ino('one'), 2);
    await files().write(handle, Buffer.from('w'), 0);
    assert.equal(links('one'), 2);
    await files().release(handle);
    const { attributes, handle: made } = await files().create(...find('plain'), 0o644, 2);
    assert.equal(attributes.nlink, 1);
    await files().release(made);
    assert.equal(files().getattr(find('one')[0]).nlink, 2, 'of a folder nothing changes');
  });

  it('are the names alone of a file that went to the pool, whose links are ours', async () => {
    const { infoHash = '' } = volume.store.entry('E') ?? {};
    const handle = await files().open(ino('gap'), 2);
    await files().write(handle, Buffer.from('whole'), 0);
    const since = await volume.store.verificationBegun(infoHash);
    await volume.store.verificationEnded(infoHash, { since, good: Buffer.alloc(1, 0xff), bad: Buffer.alloc(1) });
    const file = await volume.store.file(infoHash, 3);
    assert.ok(file !== undefined);
    const pooling = await files().pool(infoHash, file, ['x', 'gap']);
    assert.ok(pooling !== undefined && 'pooled' in pooling);
    await files().release(handle);
    await read('gap');
    assert.equal(links('gap'), 1);
  });

  it('are the names alone with show_links = off', async () => {
    await read('two');
    await volume.close();
    await open(false);
    assert.deepEqual(['one', 'two', 'gap'].map(links), [1, 1, 1]);
  });
});
