import assert from 'node:assert/strict';
import { chmod, chown, lchown, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { isPrivateGroup } from '../../src/native/accounts.ts';
import { HeldFolder } from '../../src/native/held-folder.ts';
import { openTrustedFolder, UntrustedFolder } from '../../src/native/trusted-folder.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { NEEDS_ROOT, OTHER_USER } from '../harness/other-user.ts';

describe('a trusted folder', () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryFolder('trusted');
  });

  const opened = async (...path: readonly string[]): Promise<string[]> => {
    const held = await openTrustedFolder(join(folder, ...path));
    try {
      await held.handle.sync();
      return await readdir(held.path);
    } finally {
      await held.close();
    }
  };

  it('is found below sticky folders and through symlinks of this user', async () => {
    await mkdir(join(folder, 'a', 'b'), { recursive: true });
    await writeFile(join(folder, 'a', 'b', 'file'), '');
    await symlink('../a/./b', join(folder, 'a', 'relative'));
    await symlink(join(folder, 'a'), join(folder, 'absolute'));
    assert.deepEqual(await opened('a', 'b'), ['file']);
    assert.deepEqual(await opened('absolute', 'relative'), ['file']);
  });

  it('is no file, no missing folder, and no circle of symlinks', async () => {
    await writeFile(join(folder, 'file'), '');
    await symlink('circle', join(folder, 'circle'));
    await assert.rejects(opened('file'), { code: 'ENOTDIR' });
    await assert.rejects(opened('none', 'x'), { code: 'ENOENT' });
    await assert.rejects(opened('circle'), /leads in a circle/);
  });

  for (const mode of [0o777, 0o757]) {
    it(`is none below one of mode ${mode.toString(8)}, unless that is sticky`, async () => {
      await mkdir(join(folder, 'a', 'b'), { recursive: true });
      await chmod(join(folder, 'a'), mode);
      await assert.rejects(opened('a', 'b'), { name: UntrustedFolder.name, path: join(folder, 'a') });
      await assert.rejects(opened('a'), { hint: /chmod go-w/ });
      await chmod(join(folder, 'a'), 0o1000 | mode);
      assert.deepEqual(await opened('a', 'b'), []);
    });
  }

  it('may be writable by the group that is this user alone, and by no other', { skip: NEEDS_ROOT }, async () => {
    await chmod(folder, 0o775);
    assert.equal(isPrivateGroup(0), true);
    assert.deepEqual(await opened(), []);
    await chown(folder, 0, OTHER_USER.gid);
    assert.equal(isPrivateGroup(OTHER_USER.gid), false);
    await assert.rejects(opened(), /can be written to by others/);
  });

  it('is none that belongs to another user, nor one that his symlink leads to', { skip: NEEDS_ROOT }, async () => {
    const { uid, gid } = OTHER_USER;
    await mkdir(join(folder, 'theirs', 'ours'), { recursive: true });
    await chown(join(folder, 'theirs'), uid, gid);
    await assert.rejects(opened('theirs', 'ours'), /theirs belongs to another user \(uid 54321\)/);
    await mkdir(join(folder, 'sticky'));
    await chmod(join(folder, 'sticky'), 0o1777);
    await symlink(folder, join(folder, 'sticky', 'link'));
    assert.deepEqual((await opened('sticky', 'link')).toSorted(), ['sticky', 'theirs']);
    await lchown(join(folder, 'sticky', 'link'), uid, gid);
    await assert.rejects(opened('sticky', 'link'), /link is a symlink of another user/);
  });
});

describe('a held folder', () => {
  it('takes single names only', async () => {
    const held = await HeldFolder.open(temporaryFolder('held'));
    for (const name of ['', '.', '..', 'a/b', '/a', 'a\0']) assert.throws(() => held.at(name), RangeError);
    await held.close();
  });

  it('opens no folder through a symlink', async () => {
    const folder = temporaryFolder('held');
    await symlink('/etc', join(folder, 'link'));
    const held = await HeldFolder.open(folder);
    await assert.rejects(held.openFolder('link'), { code: 'ENOTDIR' });
    await assert.rejects(held.passThrough('link'), { code: 'ENOTDIR' });
    await held.close();
  });
});
