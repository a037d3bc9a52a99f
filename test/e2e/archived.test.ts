/** A packed release seeds the torrent of its contents: by the command, through a real mount. */
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { AddOutcome } from '../../src/app/add-outcome.ts';
import { volumeNames, writeRar4, writeRar5 } from '../container/rar-writer.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { hashTree, temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { content } from '../match/fixtures.ts';

describe('a torrent of the extracted file', () => {
  let folder = '';
  let autotorrent: Autotorrent;
  let stop: () => Promise<unknown> = async () => {};
  const film = content('film', 3_000_000);
  const series = content('series', 500_000);

  before(async () => {
    folder = temporaryFolder('archived');
    const put = async (release: string, volumes: readonly Buffer[], style: 'old' | 'part'): Promise<void> => {
      await mkdir(join(folder, 'disk', release), { recursive: true });
      for (const [i, name] of volumeNames('grp-x', volumes.length, style).entries()) {
        await writeFile(join(folder, 'disk', release, name), volumes[i] ?? '');
      }
    };
    await put('Film-GRP', writeRar4([{ name: 'film-grp.mkv', data: film }], { volumeBytes: 50_000 }), 'old');
    await put('Series-GRP', writeRar5([{ name: 'series-grp.mkv', data: series }], { volumeBytes: 60_000 }), 'part');
    for (const [name, data] of [
      ['Film.2019.mkv', film],
      ['series-grp.mkv', series],
    ] as const) {
      const { raw } = makeTorrent({ announce: 'http://127.0.0.1:1/announce', name, content: data });
      await writeFile(join(folder, `${name}.torrent`), raw);
    }
    autotorrent = await autotorrentIn({ folder, disks: [join(folder, 'disk')] });
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    const server = await autotorrent.mount();
    stop = () => server.stop();
  });
  after(async () => {
    await stop();
  });

  it('is mapped to the volumes, reads back as it is, and changes none of them', async () => {
    const disk = join(folder, 'disk');
    const hashes = await hashTree(disk);
    const torrents = ['Film.2019.mkv', 'series-grp.mkv'].map((name) => join(folder, `${name}.torrent`));
    const { code, stdout, stderr } = await autotorrent.run('--json', 'add', ...torrents);
    assert.equal(code, 0, stderr + stdout);
    const outcomes = JSON.parse(stdout) as AddOutcome[];
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['OK', 'OK'],
    );
    assert.deepEqual(await readFile(join(autotorrent.storePath, 'Film.2019.mkv/Film.2019.mkv')), film);
    assert.deepEqual(await readFile(join(autotorrent.storePath, 'series-grp.mkv/series-grp.mkv')), series);
    assert.deepEqual(await hashTree(disk), hashes);
  });
});
