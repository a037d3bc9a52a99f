/** A library that another program has renamed: what `add` says of it by default, and what `init` makes of it. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createConfig } from '../../src/config/create.ts';
import { loadConfig } from '../../src/config/load.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { content } from '../match/fixtures.ts';

interface Outcome {
  readonly status: string;
  readonly reason: string;
}

const ADVICE = 'try hash_size: 9 of 10 files have one of their size';
const episode = (i: number): Buffer => content(`episode ${i}`, 200_000 + i);

describe('a library that was renamed', () => {
  const folder = temporaryFolder('renamed-library');
  const torrent = join(folder, 'Show.S01-GRP.torrent');
  let autotorrent: Autotorrent;
  let stop: () => Promise<unknown> = async () => {};

  before(async () => {
    const season = join(folder, 'tv', 'Show', 'Season 01');
    mkdirSync(season, { recursive: true });
    // The tenth was never downloaded.
    for (let i = 1; i < 10; i++) writeFileSync(join(season, `Show - S01E0${i} - A Title.mkv`), episode(i));
    const numbers = Array.from({ length: 10 }, (_, i) => i + 1);
    const files = numbers.map((i) => ({ path: [`show.s01e${i}-grp.mkv`], data: episode(i) }));
    const { raw } = makeTorrent({ announce: 'http://127.0.0.1:1/announce', name: 'Show.S01-GRP', content: files });
    writeFileSync(torrent, raw);

    autotorrent = await autotorrentIn({ folder, disks: [join(folder, 'tv')], general: ['add_limit_percent = 15'] });
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    const server = await autotorrent.mount();
    stop = () => server.stop();
  });
  after(async () => {
    await stop();
  });

  it('is missing by the default modes, which say that hash_size may find it', async () => {
    const added = await autotorrent.run('add', torrent);
    assert.equal(added.code, 3);
    assert.match(added.stdout, new RegExp(`Missing files, only 0\\.00% found \\(2\\.0 MB missing\\); ${ADVICE}\n`));
    for (const args of [['add'], ['add', '--dry-run']]) {
      const { stdout } = await autotorrent.run('--json', ...args, torrent);
      const [outcome] = JSON.parse(stdout) as Outcome[];
      assert.equal(outcome?.status, 'Missing');
      assert.ok(outcome?.reason.endsWith(`; ${ADVICE}`), outcome?.reason);
    }
  });

  it('is found and served with the modes of a new configuration', async () => {
    await createConfig(join(folder, 'new.conf'));
    const written = await loadConfig({ cwd: folder, env: {}, file: join(folder, 'new.conf'), client: undefined });
    const modes = `scan_mode = ${written.scanModes.join()}`;
    const config = readFileSync(autotorrent.config, 'utf8');
    writeFileSync(autotorrent.config, config.replace('[disks]', `${modes}\n[disks]`));
    const { code, stdout, stderr } = await autotorrent.run('--json', 'add', torrent);
    assert.equal(code, 0, stdout + stderr);
    for (let i = 1; i < 10; i++) {
      const shown = readFileSync(join(autotorrent.storePath, 'Show.S01-GRP', 'Show.S01-GRP', `show.s01e${i}-grp.mkv`));
      // The last piece of the ninth also holds bytes of the tenth, which nobody has.
      const proven = i === 9 ? 180_000 : shown.length;
      assert.ok(shown.subarray(0, proven).equals(episode(i).subarray(0, proven)), `episode ${i}`);
    }
  });
});
