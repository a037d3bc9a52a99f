/** A local user goes on reading through the mount what is taken from him while the server runs. */
import assert from 'node:assert/strict';
import { chmod, link, open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { asOtherUser, NEEDS_ROOT } from '../harness/other-user.ts';
import { DENIED, readByOther, Scene } from './scene.ts';

const DATA = Buffer.alloc(5000, 'secret ');
/** The mode of a folder is believed for a second. */
const FOLDER_MS = 1100;

describe('a source that becomes private', { skip: NEEDS_ROOT }, () => {
  let scene: Scene;
  let source: string;
  let shown: string;
  beforeEach(async () => {
    scene = await Scene.make();
    source = await scene.put('sub/file', DATA, 0o644);
    await scene.mount();
    shown = join(await scene.add('Torrent', { 'sub/file': DATA }), 'sub', 'file');
  });
  afterEach(async () => await scene.end());

  const modeOf = async (): Promise<number> => (await stat(shown)).mode & 0o777;

  it('is closed to him at his next open, though the kernel still has the old mode', async () => {
    assert.equal(await readByOther(shown), DATA.toString());
    for (let round = 0; round < 3; round++) {
      assert.equal(await modeOf(), 0o644);
      await chmod(source, 0o600);
      assert.equal(await readByOther(shown), DENIED);
      assert.equal(await modeOf(), 0o600);
      assert.ok((await readFile(shown)).equals(DATA), 'its owner reads on');
      // Whoever may read it lets the server look.
      await chmod(source, 0o644);
      assert.ok((await readFile(shown)).equals(DATA));
      await sleep(FOLDER_MS);
      assert.equal(await readByOther(shown), DATA.toString());
    }
  });

  it('is read on by its owner, whose open is the first', async () => {
    assert.equal(await modeOf(), 0o644);
    await chmod(source, 0o600);
    assert.ok((await readFile(shown)).equals(DATA));
    const file = await open(shown, 'r+');
    await file.write(Buffer.from('x'), 0, 1, 0);
    await file.close();
    assert.equal(await readByOther(shown), DENIED);
  });

  it('is closed when a folder above it is', async () => {
    assert.equal(await readByOther(shown), DATA.toString());
    await chmod(join(scene.disk, 'sub'), 0o700);
    await sleep(FOLDER_MS);
    assert.equal(await modeOf(), 0o644);
    assert.equal(await readByOther(shown), DENIED);
    assert.equal(await modeOf(), 0o600);
    assert.ok((await readFile(shown)).equals(DATA));
  });

  it('is closed by another name of the file, too, by which the kernel has the old mode', async () => {
    const other = `${shown} again`;
    await link(shown, other);
    for (let round = 0; round < 3; round++) {
      assert.equal((await stat(other)).mode & 0o777, 0o644);
      await chmod(source, 0o600);
      // The server notices by the first name, and the kernel has just looked at the second.
      assert.ok((await readFile(shown)).equals(DATA));
      assert.equal(await readByOther(other), DENIED);
      await chmod(source, 0o644);
      assert.ok((await readFile(other)).equals(DATA));
      await sleep(FOLDER_MS);
    }
  });

  it('is closed while somebody else has it open, and the server has noticed by itself', async () => {
    const file = await open(shown, 'r');
    try {
      await chmod(source, 0o600);
      // The server looks at an open source once a second.
      await sleep(FOLDER_MS);
      assert.equal(await modeOf(), 0o644);
      const read = async (): Promise<unknown> => await file.read(Buffer.alloc(10), 0, 10, 4096);
      await asOtherUser('stat "$1"', shown);
      await read();
      assert.equal(await readByOther(shown), DENIED);
    } finally {
      await file.close();
    }
  });

  it('is closed for all entries that share it', async () => {
    const second = join(await scene.add('Second', { file: DATA }), 'file');
    assert.equal((await stat(second)).mode & 0o777, 0o644);
    await chmod(source, 0o600);
    assert.ok((await readFile(shown)).equals(DATA));
    assert.equal(await readByOther(second), DENIED);
  });

  it('is closed after a restart, though it was made private while no server ran', async () => {
    await scene.end();
    await chmod(source, 0o600);
    await scene.mount();
    assert.equal(await readByOther(shown), DENIED);
    assert.ok((await readFile(shown)).equals(DATA));
  });
});
