/** A local user reads the bytes of a private source that a client's write has kept in the overlay. */
import assert from 'node:assert/strict';
import { chmod, link, open, readFile, rename, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { DENIED, readByOther, Scene } from './scene.ts';

const DATA = Buffer.alloc(20_000, 'secret ');

describe('a private source that a client writes over', { skip: NEEDS_ROOT }, () => {
  let scene: Scene;
  let shown: string;
  before(async () => {
    scene = await Scene.make();
    await scene.put('file', DATA, 0o600);
    await scene.mount();
    shown = join(await scene.add('Torrent', { file: DATA }), 'file');
  });
  after(async () => await scene.end());

  const write = async (bytes: Buffer, position: number): Promise<void> => {
    const file = await open(shown, 'r+');
    await file.write(bytes, 0, bytes.length, position);
    await file.sync();
    await file.close();
  };
  const closed = async (path = shown): Promise<void> => {
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.equal(await readByOther(path), DENIED);
  };

  it('stays private where a block holds both', async () => {
    await write(Buffer.from('new'), 5000);
    await chmod(shown, 0o644);
    await closed();
    assert.equal((await readFile(shown)).subarray(5000, 5003).toString(), 'new');
  });

  it('stays private when all of it was written over, by other names, and after a restart', async () => {
    await write(DATA, 0);
    await closed();
    await link(shown, `${shown} linked`);
    await closed(`${shown} linked`);
    await rename(shown, `${shown} renamed`);
    await closed(`${shown} renamed`);
    await rename(`${shown} renamed`, shown);
    await scene.end();
    await scene.mount();
    await closed();
  });

  it('stays private when it was truncated and grows again', async () => {
    await truncate(shown, 10);
    await truncate(shown, 20_000);
    await closed();
  });
});
