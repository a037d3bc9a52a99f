/** A local user reads through the mount what he may not read on the disk. */
import assert from 'node:assert/strict';
import { chmod, chown, mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { NEEDS_ROOT, OTHER_USER } from '../harness/other-user.ts';
import { DENIED, readByOther, Scene } from './scene.ts';

const text = (name: string): Buffer => Buffer.from(`the text of ${name}`.padEnd(200, '.'));
const FILES = [
  'public',
  'private',
  'of-others',
  'of-his-group',
  'of-a-group',
  'but-his-group',
  'closed/below',
  'group/below',
];

describe('a private source', { skip: NEEDS_ROOT }, () => {
  let scene: Scene;
  let shown: string;
  before(async () => {
    // The group that the mount shows is the other user's.
    scene = await Scene.make(`owner = 0:${OTHER_USER.gid}`, 'umask = 022');
    const modes = [0o644, 0o600, 0o604, 0o640, 0o640, 0o604, 0o644, 0o644];
    const groups = [0, 0, 0, OTHER_USER.gid, 12_345, OTHER_USER.gid, 0, 0];
    for (const [i, name] of FILES.entries()) {
      const path = await scene.put(name, text(name), modes[i]!);
      await chown(path, 0, groups[i]!);
    }
    await chmod(join(scene.disk, 'closed'), 0o700);
    await chown(join(scene.disk, 'group'), 0, 12_345);
    await chmod(join(scene.disk, 'group'), 0o750);
    await scene.mount();
    shown = await scene.add('Torrent', Object.fromEntries(FILES.map((name) => [name, text(name)])));
  });
  after(async () => await scene.end());

  const expected: readonly (readonly [name: string, mode: number, reads: boolean])[] = [
    ['public', 0o644, true],
    ['private', 0o600, false],
    ['of-others', 0o600, false],
    ['of-his-group', 0o640, true],
    ['of-a-group', 0o600, false],
    ['but-his-group', 0o600, false],
    ['closed/below', 0o600, false],
    ['group/below', 0o600, false],
  ];
  for (const [name, mode, reads] of expected) {
    it(`shows ${name} to ${reads ? 'him' : 'its owner alone'}`, async () => {
      const path = join(shown, name);
      assert.equal((await stat(path)).mode & 0o777, mode);
      assert.equal(await readByOther(path), reads ? text(name).toString() : DENIED);
      assert.ok((await readFile(path)).equals(text(name)), 'root reads it');
    });
  }

  it('stays private after a chmod in the mount, and a chown to his group', async () => {
    const path = join(shown, 'private');
    await chmod(path, 0o644);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    await chown(path, 0, OTHER_USER.gid);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.equal(await readByOther(path), DENIED);
    // The group counts that is shown.
    const his = join(shown, 'of-his-group');
    await chown(his, 0, 12_345);
    assert.equal((await stat(his)).mode & 0o777, 0o600);
    assert.equal(await readByOther(his), DENIED);
  });

  it('is private to whoever is the owner that the mount shows, too, once it is his', async () => {
    const path = join(shown, 'of-a-group');
    await chown(path, OTHER_USER.uid, OTHER_USER.gid);
    assert.equal(await readByOther(path), text('of-a-group').toString(), 'root gave it to him');
  });

  it('cannot be run by him', async () => {
    const path = join(shown, 'private');
    await chmod(path, 0o755);
    assert.equal((await stat(path)).mode & 0o777, 0o700);
  });

  it('is found through a folder whose way is closed', async () => {
    await mkdir(join(scene.disk, 'open/closed'), { recursive: true });
    await scene.put('open/closed/deep/far', text('far'), 0o644);
    await chmod(join(scene.disk, 'open/closed'), 0o710);
    const path = join(await scene.add('Deep', { far: text('far') }), 'far');
    assert.equal(await readByOther(path), DENIED);
  });
});
