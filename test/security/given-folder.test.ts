/** Where sources may lie: on disks, and in folders that the user gave to `rebuild`; a plan cannot name another place. */
import assert from 'node:assert/strict';
import { chmodSync, lstatSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ControlClient } from '../../src/control/client.ts';
import { encodePlan } from '../../src/plan/codec.ts';
import type { PlanSource } from '../../src/plan/plan.ts';
import type { Autotorrent } from '../harness/autotorrent.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import { type AttackedDisk, attackedDisk, PUBLIC, SECRET } from './attacked-disk.ts';

const OTHER = Buffer.alloc(SECRET.length, 'o');

/** Puts the known file into a folder that is no disk. */
function elsewhere({ top }: AttackedDisk): string {
  const folder = join(top, 'elsewhere');
  mkdirSync(join(folder, 'a/b'), { recursive: true });
  writeFileSync(join(folder, 'a/b/known'), SECRET);
  return folder;
}

/** Hands the server a plan for a file with the size of the secret. */
async function create({ statePath }: Autotorrent, source: PlanSource): Promise<unknown> {
  const client = await ControlClient.connect(join(statePath, 'socket'));
  assert.ok(client !== undefined);
  const { raw, infoHash } = makeTorrent({ name: 'a', content: [{ path: ['known'], data: SECRET }] });
  const files = [fileOf(['known'], [{ length: SECRET.length, source: 0, sourceOffset: 0 }])];
  const torrent = { metainfo: raw, infoHash, pieceCount: 2, verified: Buffer.of(0) };
  return await client.create([encodePlan({ ...planOf('early', [source], files), ...torrent })]);
}

describe('a source outside of the disks', { skip: NEEDS_ROOT }, () => {
  it('is refused in a plan that comes over the control socket, and so is a path with `..`', async (t) => {
    const attacked = await attackedDisk(t, PUBLIC);
    await attacked.mount();
    for (const path of [
      join(attacked.secrets, 'known'),
      `${attacked.disk}/../secrets/known`,
      `${attacked.disk}/./a/b/known`,
      `${attacked.disk}//a/b/known`,
    ]) {
      await assert.rejects(create(attacked.autotorrent, sourceOf(path)), { code: 'UNSUPPORTED' }, path);
    }
    assert.deepEqual([...attacked.shown()], []);
  });

  it('is served from a folder that was given to rebuild, also by a server that never saw the list', async (t) => {
    const attacked = await attackedDisk(t, PUBLIC);
    const { autotorrent, torrent, mount, stop, shown, top } = attacked;
    const folder = elsewhere(attacked);
    const list = join(top, 'index.folders');
    await mount();
    assert.equal((await autotorrent.run('rebuild', folder)).code, 0);
    assert.equal(lstatSync(list).mode & 0o777, 0o600);
    assert.equal((await autotorrent.run('add', '--verify', 'full', torrent('given', SECRET))).code, 0);
    assert.deepEqual([...shown().values()], [SECRET]);
    // The version before kept no list: `mount` asks the index for it.
    await stop();
    rmSync(list);
    await mount();
    assert.deepEqual([...shown().values()], [SECRET]);
    // A rebuild of the disks takes the folder out of the index. It stays where it may be read.
    await stop();
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    await mount();
    assert.deepEqual([...shown().values()], [SECRET]);
    // Whoever takes it off the list takes it out of the mount.
    await stop();
    writeFileSync(list, 'autotorrent folders 1\n', { mode: 0o600 });
    await mount();
    assert.deepEqual([...shown().values()], ['EIO']);
    assert.match((await autotorrent.run('status')).stdout, /lies on no disk of the configuration/);
  });

  it('is served once its folder became a disk, also by a server that began before that', async (t) => {
    const attacked = await attackedDisk(t, PUBLIC);
    const { autotorrent, torrent, mount, shown } = attacked;
    const folder = elsewhere(attacked);
    mkdirSync(join(folder, 'other/b'), { recursive: true });
    writeFileSync(join(folder, 'other/b/known'), OTHER);
    await mount();
    const before = readFileSync(autotorrent.config, 'utf8');
    // The server reads the file when it is asked for a path outside of its disks.
    writeFileSync(autotorrent.config, 'nonsense');
    await assert.rejects(create(autotorrent, sourceOf(join(folder, 'a/b/known'))), { code: 'UNSUPPORTED' });
    writeFileSync(autotorrent.config, before.replace('[disks]', `[disks]\nadded = ${folder}`));
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    const { code, stdout } = await autotorrent.run('add', torrent('one', SECRET), torrent('two', OTHER));
    assert.equal(code, 0, stdout);
    assert.deepEqual([...shown().values()], [SECRET, OTHER]);
  });

  it('is not served for a list that is nonsense, or that others may have written; the list is kept aside', async (t) => {
    const attacked = await attackedDisk(t, PUBLIC);
    const { autotorrent, torrent, mount, stop, shown, top } = attacked;
    const folder = elsewhere(attacked);
    const list = join(top, 'index.folders');
    assert.equal((await autotorrent.run('rebuild', folder)).code, 0);
    await mount();
    assert.equal((await autotorrent.run('add', '--verify', 'full', torrent('given', SECRET))).code, 0);
    const good = readFileSync(list);
    const spoil: readonly (() => void)[] = [
      () => writeFileSync(list, '/\n'),
      () => writeFileSync(list, 'autotorrent folders 1\nrelative\n'),
      () => writeFileSync(list, 'autotorrent folders 1\n/a/../b\n'),
      () => writeFileSync(list, 'autotorrent folders 1\n/a\\999\n'),
      () => writeFileSync(list, Buffer.alloc(2 * 1024 * 1024, '/')),
      () => chmodSync(list, 0o666),
    ];
    for (const damage of spoil) {
      await stop();
      rmSync(list, { force: true });
      writeFileSync(list, good, { mode: 0o600 });
      damage();
      await mount();
      assert.deepEqual([...shown().values()], ['EIO']);
    }
    const { code, stderr } = await autotorrent.run('rebuild', folder);
    assert.equal(code, 0);
    assert.match(stderr, /index\.folders can be written by other users: it is .*index\.folders\.refused now/);
    assert.deepEqual(readFileSync(`${list}.refused`), good);
    assert.deepEqual(readFileSync(list), good);
    assert.deepEqual([...shown().values()], [SECRET]);
  });

  it('is not indexed where the name of a disk is a link of another user', async (t) => {
    const attacked = await attackedDisk(t, PUBLIC);
    const { autotorrent, attack, disk, secrets, top } = attacked;
    await attack('ln -s "$2" theirs');
    symlinkSync(secrets, join(top, 'ours'));
    const { code, stderr } = await autotorrent.run('rebuild', join(disk, 'theirs'));
    assert.equal(code, 0);
    assert.match(stderr, /not indexed: it is reached through .*theirs, a symbolic link of user 54321/);
    const { files } = (await autotorrent.json('rebuild', join(top, 'ours'))) as { readonly files: number };
    assert.equal(files, 3, "root's own link is followed");
  });
});
