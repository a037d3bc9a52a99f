/** Somebody replaces the folder of a .torrent, after `add -d` has read it and before it deletes it. */
import assert from 'node:assert/strict';
import { mkdir, readdir, rename, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { TorrentDeletion } from '../../src/app/delete-torrents.ts';
import { silentLogger } from '../../src/logger.ts';
import { temporaryFolder } from '../harness/folder.ts';

describe('the deletion of a .torrent', () => {
  let folder: string;
  let torrent: string;
  let log: string[];
  let deletion: TorrentDeletion;
  beforeEach(async () => {
    folder = temporaryFolder('deletion');
    for (const name of ['drop', 'session']) {
      await mkdir(join(folder, name));
      await writeFile(join(folder, name, 'a.torrent'), 'the same bytes');
    }
    torrent = join(folder, 'drop', 'a.torrent');
    log = [];
    deletion = new TorrentDeletion({ ...silentLogger, warn: (line) => void log.push(line) });
    await deletion.remember(torrent);
  });

  it('is the deletion of the file that was read', async () => {
    await deletion.delete(torrent);
    assert.deepEqual(await readdir(join(folder, 'drop')), []);
    assert.deepEqual(log, []);
  });

  it('deletes the symlink that was named, not what it leads to', async () => {
    const link = join(folder, 'link.torrent');
    await symlink(torrent, link);
    await deletion.remember(link);
    await deletion.delete(link);
    assert.deepEqual((await readdir(folder)).toSorted(), ['drop', 'session']);
    assert.deepEqual(await readdir(join(folder, 'drop')), ['a.torrent']);
  });

  it('does not follow the folder elsewhere', async () => {
    await rename(join(folder, 'drop'), join(folder, 'away'));
    await symlink(join(folder, 'session'), join(folder, 'drop'));
    await deletion.delete(torrent);
    assert.deepEqual(await readdir(join(folder, 'session')), ['a.torrent']);
    assert.match(log.join('\n'), /a\.torrent could not be deleted: it is no longer the file that was added/);
  });

  it('leaves a file that took its place', async () => {
    await unlink(torrent);
    await deletion.delete(torrent);
    assert.match(log.join('\n'), /it is gone already/);
    // Beside the old one, so that it gets another inode.
    await writeFile(join(folder, 'other'), 'mine');
    await deletion.remember(join(folder, 'session', 'a.torrent'));
    await rename(join(folder, 'other'), join(folder, 'session', 'a.torrent'));
    await deletion.delete(join(folder, 'session', 'a.torrent'));
    assert.deepEqual(await readdir(join(folder, 'session')), ['a.torrent']);
  });
});
