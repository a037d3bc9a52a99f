/** What a user sees while the library changes: the commands of the session in docs/sources.md, on a pool, without a client. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { it } from 'node:test';
import { autotorrentIn } from '../harness/autotorrent.ts';
import { waitUntil } from '../harness/daemon.ts';
import { makeFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrentOf } from '../harness/make-torrent.ts';

const LIMIT = { limitMs: 60_000 };

it('says where a film and a folder went, and that a pool was away', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('only root can mount a pool');
  const folder = temporaryFolder('session');
  const pool = await makeFileSystem('mergerfs', folder);
  t.after(async () => await pool.close());
  const at = (...names: string[]): string => join(pool.path, ...names);
  const [film, album] = [at('films', 'The.Long.Winter.2019.mkv'), at('music', 'Paper Rivers')];
  const [renamed, moved] = [at('films', 'The Long Winter (2019).mkv'), at('music', 'FLAC', 'Nine Lanterns', '2004')];
  const songs = ['01.flac', '02.flac', 'cover.jpg'];
  for (const path of [film, ...songs.map((song) => join(album, song))]) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, randomBytes(400_000));
  }
  const torrents = [film, album].map((path, i) => {
    const torrent = join(folder, `${['Film', 'Album'][i]}.torrent`);
    writeFileSync(torrent, makeTorrentOf(path).raw);
    return torrent;
  });
  const autotorrent = await autotorrentIn({ folder, disks: [pool.path], general: ['verify = full', 'scrub = off'] });
  const server = await autotorrent.mount();
  t.after(async () => await server.stop());
  const run = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await autotorrent.run(...args);
    assert.equal(code, 0, stdout + stderr);
    return stdout;
  };
  /** Reads all that is shown, in another process. */
  const readAll = (): void =>
    void execFileSync('sh', ['-c', 'cat "$0"/*/* "$0"/*/*/* 2>/dev/null | wc -c', autotorrent.storePath]);
  const says = async (what: string, pattern: RegExp, ...args: string[]): Promise<void> =>
    await waitUntil(what, async () => pattern.test(await run(...args)), LIMIT);

  await run('rebuild');
  await run('add', ...torrents);
  readAll();
  await says('both are well', /^Album .* ok\nFilm .* ok$/m, 'list');
  assert.doesNotMatch(await run('status'), /^sources/m);

  renameSync(film, renamed);
  readAll();
  await says(
    'the film is shown at its new name, with its story',
    /sources that changed:\n {2}\S.*The Long Winter \(2019\)\.mkv {2}\(.*\n {4}\d{4}-\d\d-\d\d \d\d:\d\d UTC {2}was \w+.*\n {6}from \S*\/The\.Long\.Winter\.2019\.mkv\n/,
    'show',
    'Film',
  );
  mkdirSync(dirname(moved), { recursive: true });
  renameSync(album, moved);
  readAll();
  for (const song of songs) await says(`${song} is found`, new RegExp(`← ${join(moved, song)}`), 'show', 'Album');

  // Files that were read a moment ago are held.
  assert.match(await run('release', pool.path), /^Released /);
  await pool.umount();
  await says('all wait', new RegExp(`^sources {2}4 waiting for ${pool.path}$`, 'm'), 'status');
  await says(
    'both wait',
    new RegExp(`^Album .* waiting for ${pool.path}\nFilm .* waiting for ${pool.path}$`, 'm'),
    'list',
  );
  await pool.mount();
  await says('nothing waits', /^Album .* (ok|checking)\nFilm .* (ok|checking)$/m, 'list');
  const verified = await run('verify');
  assert.match(verified, /^'Album' (\d+) of \1 pieces verified$/m);
  assert.match(verified, /^'Film' (\d+) of \1 pieces verified$/m);
  await says('both are well again', /^Album .* ok\nFilm .* ok$/m, 'list');
});
