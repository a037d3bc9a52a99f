/** Another user puts a symlink on the way to the mount point of root's server, which leads to an empty folder of root's. */
import assert from 'node:assert/strict';
import { chmod, lchown, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { realMountPoint } from '../../src/fuse/mounting/mount-point.ts';
import { autotorrentIn } from '../harness/autotorrent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { asOtherUser, NEEDS_ROOT, OTHER_USER } from '../harness/other-user.ts';

describe('a mount point behind a symlink of another user', { skip: NEEDS_ROOT }, () => {
  let folder: string;
  let rootOnly: string;
  let shared: string;
  beforeEach(async () => {
    folder = temporaryFolder('mount-point');
    await chmod(folder, 0o755);
    rootOnly = join(folder, 'root-only');
    await mkdir(rootOnly, { mode: 0o700 });
    shared = join(folder, 'shared');
    await mkdir(shared);
    await chmod(shared, 0o777);
  });

  for (const [what, script, storePath] of [
    ['in place of it', 'ln -s "$2" "$1/store"', 'shared/store'],
    ['in place of a folder above it', 'ln -s "$2" "$1/above"', 'shared/above/store'],
    ['far above it', 'mkdir "$1/own"; ln -s "$2" "$1/own/above"', 'shared/own/above/new/store'],
  ] as const) {
    it(`is not mounted on, ${what}`, async () => {
      assert.equal((await asOtherUser(script, shared, rootOnly)).code, 0);
      const autotorrent = await autotorrentIn({ folder, disks: [folder] });
      const config = await readFile(autotorrent.config, 'utf8');
      await writeFile(autotorrent.config, config.replace('store_path = store', `store_path = ${storePath}`));
      const { code, stderr } = await autotorrent.run('mount', '--daemon');
      if (code === 0) await autotorrent.run('unmount');
      assert.equal(code, 1);
      assert.match(stderr, /is a symlink of another user \(uid 54321\), who could lead the mount elsewhere/);
      await assert.rejects(realMountPoint(join(folder, storePath)), {
        code: 'MOUNT',
        message: /is a symlink of another user \(uid 54321\), who could lead the mount elsewhere/,
      });
      assert.deepEqual(await readdir(rootOnly), []);
      assert.equal((await stat(rootOnly)).mode & 0o777, 0o700);
    });
  }

  it('is found through symlinks of this user, and made where it is missing', async () => {
    await symlink(rootOnly, join(folder, 'link'));
    assert.equal(await realMountPoint(join(folder, 'link', 'new', 'store')), join(rootOnly, 'new', 'store'));
    await symlink(join(rootOnly, 'new'), join(folder, 'store'));
    assert.equal(await realMountPoint(join(folder, 'store')), join(rootOnly, 'new'));
    await lchown(join(folder, 'store'), OTHER_USER.uid, OTHER_USER.gid);
    await assert.rejects(realMountPoint(join(folder, 'store')), /symlink of another user/);
  });
});
