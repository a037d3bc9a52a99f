/** The cache of piece hashes beside the index: never in the way. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Level } from 'level';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { makeTorrentOf } from '../harness/make-torrent.ts';

describe('the cache of piece hashes of a configuration', () => {
  let folder: string;
  let autotorrent: Autotorrent;
  let torrent: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'autotorrent-hash-cache-'));
    await mkdir(join(folder, 'disk'));
    await writeFile(join(folder, 'disk', 'a.bin'), randomBytes(300_000));
    autotorrent = await autotorrentIn({ folder, disks: [join(folder, 'disk')] });
    torrent = join(folder, 'a.torrent');
    await writeFile(torrent, makeTorrentOf(join(folder, 'disk', 'a.bin')).raw);
    assert.equal((await autotorrent.run('rebuild')).code, 0);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const dryRun = async (verify: string): Promise<{ verified: number; stderr: string }> => {
    const { code, stdout, stderr } = await autotorrent.run('add', '--dry-run', 'json', '--verify', verify, torrent);
    assert.equal(code, 0, stderr);
    const [told] = JSON.parse(stdout) as { readonly verified_pieces: number }[];
    return { verified: told?.verified_pieces ?? 0, stderr };
  };
  const quiet = 'Found 1 torrent(s)\n';

  it('is made when something is hashed, and may be deleted', async () => {
    assert.equal((await dryRun('none')).verified, 0);
    await assert.rejects(access(join(folder, 'index.hashes')));
    assert.deepEqual(await dryRun('full'), { verified: 19, stderr: quiet });
    await access(join(folder, 'index.hashes'));
    await rm(join(folder, 'index.hashes'), { recursive: true });
    assert.deepEqual(await dryRun('full'), { verified: 19, stderr: quiet });
    assert.deepEqual(await dryRun('full'), { verified: 19, stderr: quiet });
  });

  it('is not waited for while another process holds it', async () => {
    const held = new Level<Buffer, Buffer>(join(folder, 'index.hashes'));
    await held.open();
    assert.deepEqual(await dryRun('full'), { verified: 19, stderr: quiet });
    await held.close();
  });

  it('is done without where it cannot be made, which is said', async () => {
    await rm(join(folder, 'index.hashes'), { recursive: true });
    await writeFile(join(folder, 'index.hashes'), 'a file');
    const { verified, stderr } = await dryRun('full');
    assert.equal(verified, 19);
    assert.match(stderr, /hashing goes on without: the cache of piece hashes/);
  });
});
