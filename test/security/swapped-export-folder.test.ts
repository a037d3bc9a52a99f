/** Another user replaces folders of an export by symlinks to a folder of root's, while root exports. */
import assert from 'node:assert/strict';
import { chown, mkdir, readdir, readFile, rename, stat, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ExportDestination } from '../../src/app/export/export-destination.ts';
import { waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { asOtherUser, NEEDS_ROOT, OTHER_USER } from '../harness/other-user.ts';
import { exportScene, FILES, type Scene } from './exporting.ts';

const MB = 2 ** 20;

describe('a folder of an export that is replaced by a symlink', { skip: NEEDS_ROOT }, () => {
  let scene: Scene;
  before(async () => {
    scene = await exportScene();
  });
  after(async () => await scene.close());

  it('leads nothing into a folder of root where everybody may write to the folder of DEST', async () => {
    const to = join(await scene.shared('open', 0o777), 'copy');
    const part = join(`${to}.partial`, scene.infoHash);
    assert.equal((await asOtherUser('mkdir -p "$1/Album"; chmod -R 777 "$2"', part, `${to}.partial`)).code, 0);
    const { running, go } = await scene.heldExport(to);
    const begun = (): Promise<boolean> =>
      stat(join(part, 'Album', 'large.bin')).then(
        ({ size }) => size > MB,
        () => false,
      );
    await waitUntil('it writes, or has refused', async () => running.exited() !== undefined || (await begun()));
    await asOtherUser('cd "$1" && mv Album away && ln -s "$2" Album', part, scene.rootOnly);
    await go();
    await waitUntil('it has ended', async () => running.exited() !== undefined);
    await scene.untouched();
    assert.match(running.exited() ?? '', /ended with 1$/);
    assert.match(running.output(), /open can be written to by others.*\n {2}Take that right from them \(chmod go-w /);
  });

  it('does not keep an export from a folder such as /tmp, where nobody can replace what is not his', async () => {
    const to = join(await scene.shared('tmp', 0o1777), 'copy');
    const { running, go } = await scene.heldExport(to);
    await waitUntil('it has begun', async () => (await stat(`${to}.partial`)).isDirectory(), { daemon: running });
    const swapping = asOtherUser(
      'i=0; while [ $i -lt 300 ]; do mv "$1.partial" "$1.away"; ln -s "$2" "$1.partial/x"; ls "$1.partial"; i=$((i+1)); done',
      to,
      scene.rootOnly,
    );
    await go();
    await waitUntil('it has ended', async () => running.exited() !== undefined);
    const { stdout } = await swapping;
    assert.equal(stdout, '', 'nobody else saw anything in the partial folder');
    assert.match(running.exited() ?? '', /ended with 0$/, running.output());
    for (const [path, data] of FILES)
      assert.ok(data.equals(await readFile(join(to, 'Album', ...path))), path.join('/'));
    await scene.untouched();
  });

  it('leads nothing into a folder of root where it lies above the folder of DEST', async () => {
    const shared = await scene.shared('above', 0o777);
    assert.equal((await asOtherUser('ln -s "$2" "$1/mine"', shared, scene.rootOnly)).code, 0);
    const refused = await scene.autotorrent.run('overlay', 'export', 'Album', join(shared, 'mine', 'copy'));
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /above can be written to by others/);

    const sticky = await scene.shared('above-sticky', 0o1777);
    assert.equal((await asOtherUser('ln -s "$2" "$1/mine"; mkdir "$1/own"', sticky, scene.rootOnly)).code, 0);
    const linked = await scene.autotorrent.run('overlay', 'export', 'Album', join(sticky, 'mine', 'copy'));
    assert.match(linked.stderr, /mine is a symlink of another user/);
    const owned = await scene.autotorrent.run('overlay', 'export', 'Album', join(sticky, 'own', 'copy'));
    assert.equal(owned.code, 1);
    assert.match(owned.stderr, /own belongs to another user \(uid 54321\)/);
    await scene.untouched();
  });

  it('is not followed by what is written to it when the swap succeeds all the same', async () => {
    const folder = temporaryFolder('swap');
    const outside = join(folder, 'outside');
    await mkdir(outside);
    const hash = 'a'.repeat(40);
    const destination = await ExportDestination.open(join(folder, 'copy'), hash, 1);
    const album = join(folder, 'copy.partial', hash, 'Album');
    try {
      await destination.within(['Album', 'file'], async (place) => {
        await rename(album, `${album}.away`);
        await symlink(outside, album);
        await writeFile(place.folder.at(place.name), 'x');
      });
      // Other folders take its place among those that are held open: now it is opened by its name again.
      for (let i = 0; i < 50; i++) await destination.within([`other ${i}`, 'file'], async () => {});
      await assert.rejects(
        destination.within(['Album', 'file'], async () => {}),
        /Album is no folder/,
      );
      assert.deepEqual(await readdir(outside), []);
      assert.deepEqual(await readdir(`${album}.away`), ['file']);
      await unlink(album);
    } finally {
      await destination.close();
    }
  });

  it('is not followed by what is read where a client makes it in the mount', async () => {
    const to = join(await scene.shared('from', 0o755), 'copy');
    const outside = await scene.shared('outside', 0o755);
    await writeFile(join(outside, 'song.bin'), Buffer.alloc(300_000, 'other'));
    await chown(outside, OTHER_USER.uid, OTHER_USER.gid);
    const { running, go } = await scene.heldExport(to);
    await waitUntil('it has begun', async () => (await stat(`${to}.partial`)).isDirectory(), { daemon: running });
    const disc = join(scene.autotorrent.storePath, 'Album', 'Album', 'disc');
    await rename(disc, `${disc}.away`);
    await symlink(outside, disc);
    await go();
    await waitUntil('it has ended', async () => running.exited() !== undefined);
    assert.match(running.exited() ?? '', /ended with 1$/);
    assert.match(running.output(), /"Album\/disc\/song\.bin" is no file any more/);
    await unlink(disc);
    await rename(`${disc}.away`, disc);
  });
});
