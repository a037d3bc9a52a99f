/** Files that are still being written, through the command: `settle`, and `rebuild FILE`. */
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { DryRunResult } from '../../src/app/dry-run.ts';
import { autotorrentIn } from '../harness/autotorrent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

const scene = async (settle: number) => {
  const folder = temporaryFolder('growing');
  const disk = join(folder, 'disk');
  await mkdir(join(disk, 'films', 'below'), { recursive: true });
  const film = Buffer.alloc(100_000, 'a film ');
  const torrent = makeTorrent({
    name: 'Film',
    announce: 'http://127.0.0.1:1/announce',
    content: [{ path: ['Film.mkv'], data: film }],
  });
  await writeFile(join(folder, 'film.torrent'), torrent.raw);
  const autotorrent = await autotorrentIn({ folder, disks: [disk], general: [`settle = ${settle}`] });
  const status = async (): Promise<string> => {
    const { stdout } = await autotorrent.run('add', '--dry-run', 'json', 'film.torrent');
    const [result] = JSON.parse(stdout) as (DryRunResult & { readonly reason: string })[];
    return `${result?.status}: ${result?.reason}`;
  };
  return { autotorrent, film, disk, status };
};

describe('a file that is still being written', () => {
  it('is no candidate while it is not settled, which is said', async () => {
    const { autotorrent, film, disk, status } = await scene(3600);
    await writeFile(join(disk, 'films', 'Film.mkv'), film);
    const { code, stdout, stderr } = await autotorrent.run('rebuild');
    assert.equal(code, 0);
    assert.match(stdout + stderr, /growing: the next rebuild looks at it again/);
    assert.match(await status(), /^Missing: .*was still being written at the last rebuild/);
    const lines = await readFile(autotorrent.config, 'utf8');
    await writeFile(autotorrent.config, lines.replace('settle = 3600', 'settle = 0'));
    // Its folder has not changed since.
    const again = await autotorrent.run('rebuild');
    assert.doesNotMatch(again.stdout + again.stderr, /growing/);
    assert.match(await status(), /^OK/);
  });

  it('is looked at by rebuild FILE, without what is below its folder', async () => {
    const { autotorrent, film, disk, status } = await scene(0);
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    await writeFile(join(disk, 'films', 'below', 'Film.mkv'), film);
    await writeFile(join(disk, 'films', 'other.mkv'), film);
    assert.equal((await autotorrent.run('rebuild', join(disk, 'films', 'other.mkv'))).code, 0);
    assert.match(await status(), /^Missing/);
    assert.equal((await autotorrent.run('rebuild', join(disk, 'films', 'below', 'Film.mkv'))).code, 0);
    assert.match(await status(), /^OK/);
    const { code, stderr } = await autotorrent.run('rebuild', join(disk, 'films', 'nothing.mkv'));
    assert.notEqual(code, 0);
    assert.match(stderr, /nothing\.mkv/);
  });
});
