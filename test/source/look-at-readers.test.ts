import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ReadersLook } from '../../src/source/look-at-readers.ts';
import { OwnMounts } from '../../src/source/own-mounts.ts';
import type { Readers } from '../../src/source/readers.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { NEEDS_ROOT, OTHER_USER } from '../harness/other-user.ts';

describe('a look at who may read a source', () => {
  let folder: string;
  let path: string;
  const look = (...ownFolders: string[]): ReadersLook => new ReadersLook({ ownMounts: new OwnMounts(), ownFolders });
  const atPath = async (from: ReadersLook, of = path): Promise<Readers | undefined> =>
    await from.atPath(Buffer.from(of));
  const atOpen = async (from: ReadersLook, of = path): Promise<Readers> => {
    const file = await fs.open(of);
    try {
      return await from.atOpen(file.fd, await file.stat({ bigint: true }), Buffer.from(of));
    } finally {
      await file.close();
    }
  };
  /** Both kinds of a look, each with an empty memory. */
  const both = async (of = path, ...own: string[]): Promise<Readers | undefined> => {
    const found = await atPath(look(...own), of);
    assert.deepEqual(await atOpen(look(...own), of), found);
    return found;
  };

  beforeEach(async () => {
    folder = temporaryFolder('readers');
    await fs.chmod(folder, 0o755);
    path = join(folder, 'a', 'b', 'file');
    await fs.mkdir(dirname(path), { recursive: true });
    await fs.writeFile(path, 'bytes');
  });

  it('sees the file and each folder above it', async () => {
    assert.equal(await both(), 'everyone');
    await fs.chmod(path, 0o600);
    assert.equal(await both(), 'nobody');
    await fs.chmod(path, 0o644);
    for (const above of [join(folder, 'a'), join(folder, 'a', 'b'), folder]) {
      await fs.chmod(above, 0o700);
      assert.equal(await both(), 'nobody');
      await fs.chmod(above, 0o755);
    }
    assert.equal(await both(), 'everyone');
  });

  it('does not count our own folder on a disk, which is closed, but those above it', async () => {
    const own = join(folder, '.autotorrent');
    const kept = join(own, 'kept-1', 'x', 'file');
    await fs.mkdir(dirname(kept), { recursive: true });
    await fs.writeFile(kept, 'bytes');
    await fs.chmod(kept, 0o444);
    for (const closed of [own, join(own, 'kept-1'), dirname(kept)]) await fs.chmod(closed, 0o700);
    assert.equal(await both(kept), 'everyone');
    await fs.chmod(kept, 0o400);
    assert.equal(await both(kept), 'nobody');
    await fs.chmod(kept, 0o444);
    await fs.chmod(folder, 0o700);
    assert.equal(await both(kept), 'nobody');
    await fs.chmod(folder, 0o755);
    // One that is open is a folder like any other: what lies in it may be somebody else's.
    await fs.chmod(own, 0o770);
    assert.equal(await both(kept), 'nobody');
    await fs.chmod(own, 0o700);
    if (NEEDS_ROOT === false) await fs.chown(own, OTHER_USER.uid, OTHER_USER.gid);
    assert.equal(await both(kept), NEEDS_ROOT === false ? 'nobody' : 'everyone');
  });

  it('goes by the real path, not by the way through a symlink', async () => {
    await fs.mkdir(join(folder, 'open'));
    await fs.symlink(join(folder, 'a'), join(folder, 'open', 'folder'));
    await fs.symlink(path, join(folder, 'open', 'link'));
    const through = [join(folder, 'open', 'folder', 'b', 'file'), join(folder, 'open', 'link')];
    for (const each of through) assert.equal(await both(each), 'everyone');
    await fs.chmod(join(folder, 'a'), 0o700);
    for (const each of through) assert.equal(await both(each), 'nobody');
  });

  it('follows an open file into the folder to which it was moved', async () => {
    await fs.mkdir(join(folder, 'closed'), { mode: 0o700 });
    const file = await fs.open(path);
    await fs.rename(join(folder, 'a'), join(folder, 'closed', 'a'));
    assert.equal(await look().atOpen(file.fd, await file.stat({ bigint: true }), Buffer.from(path)), 'nobody');
    await file.close();
  });

  it('believes a folder for a second and no longer, though looks go on', async () => {
    const from = look();
    assert.equal(await atPath(from), 'everyone');
    await fs.chmod(join(folder, 'a'), 0o700);
    const closed = performance.now();
    while ((await atOpen(from)) === 'everyone') {
      assert.ok(performance.now() - closed < 2000, 'it is believed for ever');
      await sleep(50);
    }
    assert.equal(await atPath(from), 'nobody');
  });

  it('asks only the file itself where it is our own', async () => {
    await fs.chmod(folder, 0o700);
    assert.equal(await both(path, join(folder, 'a')), 'everyone');
    await fs.chmod(path, 0o400);
    assert.equal(await both(path, join(folder, 'a')), 'nobody');
    await fs.chmod(path, 0o444);
    assert.equal(await both(path, join(folder, 'a', 'b', 'fil')), 'nobody');
  });

  it('tells nothing of a file that is not there', async () => {
    assert.equal(await atPath(look(), join(folder, 'gone')), undefined);
    const file = await fs.open(path);
    await fs.rm(join(folder, 'a'), { recursive: true });
    assert.equal(await look().atOpen(file.fd, await file.stat({ bigint: true }), Buffer.from(path)), 'nobody');
    await file.close();
  });
});
