/** A local user reads a private file through another torrent, which has it from the pool. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmod, chown, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { waitUntil } from '../harness/daemon.ts';
import { NEEDS_ROOT, OTHER_USER } from '../harness/other-user.ts';
import { DENIED, readByOther, Scene } from './scene.ts';

const MODES = { private: 0o600, group: 0o640, foreign: 0o640, public: 0o644 } as const;
const NAMES = Object.keys(MODES) as (keyof typeof MODES)[];
const data = (name: string): Buffer => DATA.get(name)!;
const DATA = new Map<string, Buffer>(NAMES.map((name) => [name, Buffer.from(randomBytes(20_000).toString('hex'))]));
const FILES = Object.fromEntries(DATA);

describe('a private file in the pool', { skip: NEEDS_ROOT }, () => {
  let scene: Scene;
  let first: string;
  let pooled: string;
  before(async () => {
    scene = await Scene.make(`owner = 0:${OTHER_USER.gid}`);
    for (const name of NAMES) await scene.put(name, data(name), MODES[name]);
    await chown(join(scene.disk, 'group'), 0, OTHER_USER.gid);
    await chown(join(scene.disk, 'foreign'), 0, 12_345);
    await scene.mount();
    first = await scene.add('First', FILES);
    // A client's word about the mode does not count.
    await chmod(join(first, 'private'), 0o644);
    for (const name of NAMES) {
      const file = await open(join(first, name), 'r+');
      // What is there already is not stored again.
      for (const bytes of [Buffer.alloc(data(name).length, 'wrong'), data(name)]) {
        await file.write(bytes, 0, bytes.length, 0);
      }
      await file.sync();
      await file.close();
    }
    const pool = join(scene.folder, 'index.pool');
    await waitUntil('all are in the pool', async () => {
      const names = await readdir(pool, { recursive: true });
      const found = names.find((name) => name.endsWith('public'));
      if (found === undefined) return false;
      pooled = join(pool, found, '..');
      const modes = await Promise.all(NAMES.map(async (name) => (await stat(join(pooled, name))).mode & 0o277));
      return modes.every((mode) => mode === (mode & 0o077));
    });
  });
  after(async () => await scene.end());

  const expected = { private: [0o400, 0o600], group: [0o440, 0o640], foreign: [0o400, 0o600], public: [0o444, 0o644] };
  const check = async (folder: string): Promise<void> => {
    for (const name of NAMES) {
      const path = join(folder, name);
      assert.equal((await stat(path)).mode & 0o777, expected[name][1], name);
      const reads = name === 'public' || name === 'group';
      assert.equal(await readByOther(path), reads ? data(name).toString() : DENIED, name);
      assert.ok((await readFile(path)).equals(data(name)));
    }
  };

  it('keeps the read bits that it had in the mount', async () => {
    for (const name of NAMES) assert.equal((await stat(join(pooled, name))).mode & 0o777, expected[name][0], name);
    assert.equal((await stat(join(pooled, 'group'))).gid, OTHER_USER.gid);
    await check(first);
  });

  it('shows no more in another torrent, when the first is gone and the disk has none of it', async () => {
    assert.equal((await scene.autotorrent.run('remove', 'First')).code, 0);
    for (const name of NAMES) await rm(join(scene.disk, name));
    const second = await scene.add('Second', FILES);
    const { stdout } = await scene.autotorrent.run('show', 'Second');
    assert.match(stdout, /pooled/, 'the pool supplies it');
    await check(second);
  });
});
