/** A local user goes on reading through the mount what is taken from him while the server runs. */
import assert from 'node:assert/strict';
import { chmod, link, open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { DENIED, readByOther, Scene } from './scene.ts';

const NAMES = ['first', 'owner', 'folder', 'linked', 'open', 'shared', 'restart'] as const;
const dataOf = (name: string): Buffer => Buffer.alloc(5000, `secret of ${name} `);
/** The mode of a folder, and what the kernel knows, is believed for a second. */
const BELIEVED_MS = 1100;

describe('a source that becomes private', { skip: NEEDS_ROOT }, () => {
  let scene: Scene;
  let entry: string;
  before(async () => {
    scene = await Scene.make();
    for (const name of NAMES) await scene.put(`${name}/file`, dataOf(name), 0o644);
    await scene.mount();
    entry = await scene.add('Torrent', Object.fromEntries(NAMES.map((name) => [`${name}/file`, dataOf(name)])));
  });
  after(async () => await scene.end());

  /** A source, its file in the mount, and its bytes. */
  const places = (name: (typeof NAMES)[number]): { source: string; shown: string; data: Buffer } => ({
    source: join(scene.disk, name, 'file'),
    shown: join(entry, name, 'file'),
    data: dataOf(name),
  });
  const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

  it('is closed to him at his next open, though the kernel still has the old mode', async () => {
    const { source, shown, data } = places('first');
    assert.equal(await readByOther(shown), data.toString());
    for (let round = 0; round < 3; round++) {
      assert.equal(await modeOf(shown), 0o644);
      await chmod(source, 0o600);
      assert.equal(await readByOther(shown), DENIED);
      assert.equal(await modeOf(shown), 0o600);
      assert.ok((await readFile(shown)).equals(data), 'its owner reads on');
      // Whoever may read it lets the server look.
      await chmod(source, 0o644);
      assert.ok((await readFile(shown)).equals(data));
      await sleep(BELIEVED_MS);
      assert.equal(await readByOther(shown), data.toString());
    }
  });

  it('is read on by its owner, whose open is the first', async () => {
    const { source, shown, data } = places('owner');
    assert.equal(await modeOf(shown), 0o644);
    await chmod(source, 0o600);
    assert.ok((await readFile(shown)).equals(data));
    const file = await open(shown, 'r+');
    await file.write(Buffer.from('x'), 0, 1, 0);
    await file.close();
    assert.equal(await readByOther(shown), DENIED);
  });

  it('is closed when a folder above it is', async () => {
    const { shown, data } = places('folder');
    assert.equal(await readByOther(shown), data.toString());
    await chmod(join(scene.disk, 'folder'), 0o700);
    await sleep(BELIEVED_MS);
    assert.equal(await modeOf(shown), 0o644);
    assert.equal(await readByOther(shown), DENIED);
    assert.equal(await modeOf(shown), 0o600);
    assert.ok((await readFile(shown)).equals(data));
  });

  it('is closed by another name of the file, too, by which the kernel has the old mode', async () => {
    const { source, shown, data } = places('linked');
    const other = `${shown} again`;
    await link(shown, other);
    for (let round = 0; round < 3; round++) {
      assert.equal(await modeOf(other), 0o644);
      await chmod(source, 0o600);
      // The server notices by the first name, and the kernel has just looked at the second.
      assert.ok((await readFile(shown)).equals(data));
      assert.equal(await readByOther(other), DENIED);
      await chmod(source, 0o644);
      assert.ok((await readFile(other)).equals(data));
      await sleep(BELIEVED_MS);
    }
  });

  it('is closed while somebody has it open, and the server has noticed at a read', async () => {
    const { source, shown } = places('open');
    const file = await open(shown, 'r');
    try {
      await chmod(source, 0o600);
      await sleep(BELIEVED_MS);
      assert.equal(await modeOf(shown), 0o644);
      // The server looks at an open source once a second.
      await file.read(Buffer.alloc(10), 0, 10, 4096);
      assert.equal(await readByOther(shown), DENIED);
    } finally {
      await file.close();
    }
  });

  it('is closed for all entries that share it', async () => {
    const { source, shown, data } = places('shared');
    const second = join(await scene.add('Second', { file: data }), 'file');
    assert.equal(await modeOf(second), 0o644);
    await chmod(source, 0o600);
    assert.ok((await readFile(shown)).equals(data));
    assert.equal(await readByOther(second), DENIED);
  });

  it('is closed after a restart, though it was made private while no server ran', async () => {
    const { source, shown, data } = places('restart');
    await scene.end();
    await chmod(source, 0o600);
    await scene.mount();
    assert.equal(await readByOther(shown), DENIED);
    assert.ok((await readFile(shown)).equals(data));
  });
});
