/** Another user makes `DEST.partial`, or what is in it, before root exports to DEST. */
import assert from 'node:assert/strict';
import { chmod, chown, link, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { asOtherUser, NEEDS_ROOT, OTHER_USER } from '../harness/other-user.ts';
import { exportScene, FILES, type Scene } from './exporting.ts';

describe('a partial folder that another user made', { skip: NEEDS_ROOT }, () => {
  let scene: Scene;
  before(async () => {
    scene = await exportScene();
  });
  after(async () => await scene.close());

  const premade: Readonly<Record<string, string>> = {
    'an open folder': 'mkdir -m 777 "$1.partial"',
    'a folder with the folder of the copy in it': 'mkdir -p -m 777 "$1.partial/$3"; chmod -R 777 "$1.partial"',
    'a folder with a symlink in place of the copy': 'mkdir -m 777 "$1.partial"; ln -s "$2" "$1.partial/$3"',
    'a symlink to a folder of root': 'ln -s "$2" "$1.partial"',
    'a symlink to a folder of its own': 'mkdir -m 777 "$1.own"; ln -s "$1.own" "$1.partial"',
    'a file': 'echo x > "$1.partial"',
    'a pipe': 'mkfifo "$1.partial"',
  };
  for (const [what, script] of Object.entries(premade)) {
    it(`is refused: ${what}`, async () => {
      const shared = await scene.shared(`sticky-${Object.keys(premade).indexOf(what)}`, 0o1777);
      const to = join(shared, 'copy');
      assert.equal((await asOtherUser(script, to, scene.rootOnly, scene.infoHash)).code, 0);
      const { code, stderr } = await scene.autotorrent.run('overlay', 'export', 'Album', to);
      assert.equal(code, 1);
      assert.match(stderr, /copy\.partial is in the way: (it is no folder|it belongs to another user \(uid 54321\))/);
      await scene.untouched();
      await assert.rejects(stat(to), { code: 'ENOENT' });
    });
  }

  it('is refused where it is ours, but others may write to it', async () => {
    const shared = await scene.shared('loose', 0o755);
    const to = join(shared, 'copy');
    await mkdir(`${to}.partial`);
    await chmod(`${to}.partial`, 0o777);
    assert.equal((await asOtherUser('ln -s "$2" "$1.partial/$3"', to, scene.rootOnly, scene.infoHash)).code, 0);
    const { code, stderr } = await scene.autotorrent.run('overlay', 'export', 'Album', to);
    assert.equal(code, 1);
    assert.match(stderr, /others may write to it/);
    await scene.untouched();
  });

  it('writes nothing into a file that has another name elsewhere, or another owner', async () => {
    const shared = await scene.shared('linked', 0o755);
    const to = join(shared, 'copy');
    const album = join(`${to}.partial`, scene.infoHash, 'Album');
    await mkdir(join(album, 'disc'), { recursive: true });
    const secret = join(scene.folder, 'secret');
    await writeFile(secret, 'secret', { mode: 0o600 });
    await link(secret, join(album, 'large.bin'));
    await writeFile(join(album, 'note.txt'), 'theirs');
    await chown(join(album, 'note.txt'), OTHER_USER.uid, OTHER_USER.gid);
    const { code, stderr } = await scene.autotorrent.run('overlay', 'export', 'Album', to);
    assert.equal(code, 0, stderr);
    assert.equal(await readFile(secret, 'utf8'), 'secret');
    assert.equal((await stat(secret)).mode & 0o777, 0o600);
    for (const [path, data] of FILES)
      assert.ok(data.equals(await readFile(join(to, 'Album', ...path))), path.join('/'));
    assert.equal((await stat(join(to, 'Album', 'note.txt'))).uid, 0);
    assert.deepEqual((await readdir(shared)).toSorted(), ['copy']);
    await rm(to, { recursive: true });
  });
});
