/** The cache of piece hashes beside the index: never in the way. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { access, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Level } from 'level';
import type { EntryJson } from '../../src/cli/json.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import type { Daemon } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrentOf } from '../harness/make-torrent.ts';

describe('the cache of piece hashes of a configuration', () => {
  let folder: string;
  let autotorrent: Autotorrent;
  let torrent: string;
  let server: Daemon | undefined;
  before(async () => {
    folder = temporaryFolder('hash-cache');
    await mkdir(join(folder, 'disk'));
    await writeFile(join(folder, 'disk', 'a.bin'), randomBytes(300_000));
    autotorrent = await autotorrentIn({ folder, disks: [join(folder, 'disk')] });
    torrent = join(folder, 'a.torrent');
    await writeFile(torrent, makeTorrentOf(join(folder, 'disk', 'a.bin')).raw);
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    server = await autotorrent.mount();
  });
  after(async () => {
    await server?.stop();
  });

  /** Adds anew, after it has removed the entry of an earlier `add`. */
  const add = async (verify: string): Promise<{ verified: number; stderr: string }> => {
    await autotorrent.run('remove', 'a');
    const { code, stdout, stderr } = await autotorrent.run('add', '--verify', verify, torrent);
    assert.equal(code, 0, stdout + stderr);
    const [entry] = (await autotorrent.json('list', '--no-client')) as EntryJson[];
    return { verified: entry?.verified_pieces ?? 0, stderr };
  };
  const all = { verified: 19, stderr: '' };

  it('is made when something is hashed, and may be deleted', async () => {
    assert.equal((await add('none')).verified, 0);
    await assert.rejects(access(join(folder, 'index.hashes')));
    assert.equal((await autotorrent.run('add', '--dry-run', '--verify', 'full', torrent)).code, 0);
    await assert.rejects(access(join(folder, 'index.hashes')), 'a dry run writes nothing');
    assert.deepEqual(await add('full'), all);
    await access(join(folder, 'index.hashes'));
    await rm(join(folder, 'index.hashes'), { recursive: true });
    assert.deepEqual(await add('full'), all);
    assert.deepEqual(await add('full'), all);
  });

  it('is not waited for while another process holds it', async () => {
    const held = new Level<Buffer, Buffer>(join(folder, 'index.hashes'));
    await held.open();
    assert.deepEqual(await add('full'), all);
    await held.close();
  });

  it('is done without where it cannot be made, which is said', async () => {
    await rm(join(folder, 'index.hashes'), { recursive: true });
    await writeFile(join(folder, 'index.hashes'), 'a file');
    const { verified, stderr } = await add('full');
    assert.equal(verified, 19);
    assert.match(stderr, /hashing goes on without: the cache of piece hashes/);
  });
});
