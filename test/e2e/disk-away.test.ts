/** A real disk that is not mounted: what `rebuild`, `add` and `verify --give-up` say and do meanwhile, and when it is back. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import type { Daemon } from '../harness/daemon.ts';
import { makeFileSystem, type TestFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';

interface DryRun {
  readonly status: string;
  readonly files: readonly { readonly code: string; readonly reason: string; readonly refused: readonly unknown[] }[];
}

interface Rebuilt {
  readonly files: number;
  readonly away: readonly unknown[];
}

describe('a disk that is not mounted', { skip: NEEDS_ROOT }, () => {
  let disk: TestFileSystem;
  let autotorrent: Autotorrent;
  let server: Daemon | undefined;
  let torrent: string;
  let film: string;

  before(async () => {
    const folder = temporaryFolder('away');
    await mkdir(join(folder, 'disk'));
    disk = await makeFileSystem('ext4', join(folder, 'disk'));
    film = join(disk.path, 'film.mkv');
    const content = randomBytes(300_000);
    await writeFile(film, content);
    torrent = join(folder, 'film.torrent');
    await writeFile(torrent, makeTorrent({ name: 'film.mkv', content, pieceLength: 65_536 }).raw);
    autotorrent = await autotorrentIn({ folder, disks: [disk.path], general: ['add_limit_size = 1000'] });
    assert.equal((await autotorrent.run('rebuild')).code, 0);
  });
  after(async () => {
    await server?.stop();
    await disk.close();
  });

  const dryRun = async (): Promise<DryRun> => {
    const { stdout } = await autotorrent.run('add', '--dry-run', 'json', torrent);
    const [result] = JSON.parse(stdout) as DryRun[];
    return result ?? assert.fail(stdout);
  };

  it('keeps its files in the index, which rebuild says', async () => {
    await disk.umount();
    for (const args of [['rebuild'], ['rebuild', '--full']]) {
      const { code, stderr } = await autotorrent.run(...args);
      assert.equal(code, 0);
      assert.ok(stderr.includes(`disk ${disk.path} is away: its 1 file is kept`), stderr);
      const { files, away } = (await autotorrent.json(...args)) as Rebuilt;
      assert.deepEqual([files, away], [1, [{ disk: disk.path, files: 1 }]]);
    }
  });

  it('is why a torrent is missing', async () => {
    const { status, files } = await dryRun();
    assert.equal(status, 'Missing');
    assert.equal(files[0]?.code, 'disk-away');
    assert.deepEqual(files[0]?.refused, [{ source: film, code: 'disk-away' }]);
    server = await autotorrent.mount();
    const { code, stdout } = await autotorrent.run('add', torrent);
    assert.equal(code, 3);
    assert.ok(stdout.includes(`${film} lies on a disk that is away`), stdout);
    const json = JSON.parse((await autotorrent.run('--json', 'add', torrent)).stdout);
    assert.equal(json[0].incomplete_files, 1);
    assert.equal(json[0].incomplete[0].code, 'disk-away');
  });

  it('is used at once when it is back', async () => {
    await disk.mount();
    assert.equal((await dryRun()).status, 'OK');
    const { away } = (await autotorrent.json('rebuild')) as Rebuilt;
    assert.deepEqual(away, []);
    assert.equal((await dryRun()).status, 'OK');
  });

  it('leaves the index when it is given up', async () => {
    await disk.umount();
    await autotorrent.run('rebuild');
    const { code, stderr } = await autotorrent.run('verify', '--give-up', disk.path);
    assert.equal(code, 0, stderr);
    const { files, away } = (await autotorrent.json('rebuild')) as Rebuilt;
    assert.deepEqual([files, away], [0, []]);
    assert.equal((await dryRun()).files[0]?.code, 'no-candidate');
  });
});
