/** A local user reads through the mount what an access control list keeps from him on the disk. */
import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { loadKoffi } from '../../src/native/c-library.ts';
import { NEEDS_ROOT, OTHER_USER } from '../harness/other-user.ts';
import { DENIED, readByOther, Scene } from './scene.ts';

const ANY = 0xffff_ffff;
const [USER, GROUP] = [0x02, 0x08];

/** Sets a list: 0644 or 0755, and one more entry. False if the file system has none. */
function setList(path: string, all: number, tag: number, id: number, permissions: number): boolean {
  const list = Buffer.alloc(4 + 5 * 8);
  list.writeUInt32LE(2);
  const entries = [
    [0x01, all | 6, ANY],
    [tag, permissions, id],
    [0x04, all, ANY],
    [0x10, all, ANY],
    [0x20, all, ANY],
  ].toSorted(([a], [b]) => a! - b!);
  for (const [i, [tag, permissions, id]] of entries.entries()) {
    list.writeUInt16LE(tag!, 4 + i * 8);
    list.writeUInt16LE(permissions!, 6 + i * 8);
    list.writeUInt32LE(id!, 8 + i * 8);
  }
  const setxattr = loadKoffi()
    .load(null)
    .func('int setxattr(const char *path, const char *name, const void *value, uint64_t size, int flags)');
  return setxattr(path, 'system.posix_acl_access', list, list.length, 0) === 0;
}

const text = (name: string): Buffer => Buffer.from(`the text of ${name}`);
const NAMES = ['by-user', 'by-group', 'folder/below', 'granted', 'plain'];

describe('an access control list', { skip: NEEDS_ROOT }, () => {
  let scene: Scene;
  let shown: string;
  let supported = true;
  before(async () => {
    scene = await Scene.make();
    for (const name of NAMES) await scene.put(name, text(name), 0o644);
    supported =
      setList(join(scene.disk, 'by-user'), 4, USER, OTHER_USER.uid, 0) &&
      setList(join(scene.disk, 'by-group'), 4, GROUP, OTHER_USER.gid, 0) &&
      setList(join(scene.disk, 'folder'), 5, USER, OTHER_USER.uid, 0) &&
      setList(join(scene.disk, 'granted'), 4, USER, OTHER_USER.uid, 4);
    await scene.mount();
    shown = await scene.add('Torrent', Object.fromEntries(NAMES.map((name) => [name, text(name)])));
  });
  after(async () => await scene.end());

  for (const name of ['by-user', 'by-group', 'folder/below']) {
    it(`shuts him out in the mount, too: ${name}`, async (t) => {
      if (!supported) return t.skip('the file system has no access control lists');
      assert.equal(await readByOther(join(scene.disk, name)), DENIED, 'the disk does');
      assert.equal((await stat(join(shown, name))).mode & 0o777, 0o600);
      assert.equal(await readByOther(join(shown, name)), DENIED);
    });
  }

  it('shuts him out once it is set while the server runs', async (t) => {
    if (!supported) return t.skip('the file system has no access control lists');
    assert.equal(await readByOther(join(shown, 'plain')), text('plain').toString());
    setList(join(scene.disk, 'plain'), 4, USER, OTHER_USER.uid, 0);
    assert.equal(await readByOther(join(shown, 'plain')), DENIED);
  });

  it('that lets everybody read is no obstacle', async () => {
    assert.equal(await readByOther(join(shown, 'granted')), text('granted').toString());
  });
});
