/** A local user reads private sources through entries of a version that did not ask who may read them. */
import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { VERSION_KEY } from '../../src/store/records/key.ts';
import { Writer } from '../../src/store/records/record.ts';
import { waitUntil } from '../harness/daemon.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { openLevel } from '../harness/volume.ts';
import { DENIED, readByOther, Scene } from './scene.ts';

const data = (name: string): Buffer => Buffer.from(`the text of ${name}`);

describe('a store of an older version', { skip: NEEDS_ROOT }, () => {
  let scene: Scene;
  let entry: string;
  before(async () => {
    scene = await Scene.make();
    await scene.put('private', data('private'), 0o600);
    await scene.put('public', data('public'), 0o644);
    const server = await scene.mount();
    entry = await scene.add('Torrent', { private: data('private'), public: data('public') });
    await server.stop();
    // Format 2 had no records of who may read a source.
    const level = await openLevel(scene.autotorrent.statePath);
    const readers = await level.keys({ gte: Buffer.from('Y'), lt: Buffer.from('Z') }).all();
    assert.equal(readers.length, 2);
    for (const key of readers) await level.del(key);
    await level.put(VERSION_KEY, new Writer().integer(2).finish());
    await level.close();
    await scene.mount();
  });
  after(async () => await scene.end());

  it('shows what is private to its owner alone, and the rest to him as soon as the server has looked', async () => {
    const [hidden, open] = [join(entry, 'private'), join(entry, 'public')];
    assert.equal(await readByOther(hidden), DENIED);
    await waitUntil('the server has looked', async () => ((await stat(open)).mode & 0o777) === 0o644);
    assert.equal(await readByOther(open), data('public').toString());
    assert.equal((await stat(hidden)).mode & 0o777, 0o600);
    assert.equal(await readByOther(hidden), DENIED);
    assert.ok((await readFile(hidden)).equals(data('private')));
  });
});
