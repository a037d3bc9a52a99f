/** A reader waits for a case while the healer is busy with many others, on a file system that answers late. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import type { StatusJson } from '../../src/cli/json.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { type Daemon, waitUntil } from '../harness/daemon.ts';
import { makeFileSystem, type TestFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrentOf } from '../harness/make-torrent.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';

const run = promisify(execFile);
/** Files on the slow file system: each takes the healer several of its answers. */
const SLOW = 60;
const ANSWER_MS = 400;
const SIZE = 300_000;

describe('a case that a reader waits for', { skip: NEEDS_ROOT }, () => {
  const base = temporaryFolder('urgent');
  let films: string;
  let disk: TestFileSystem;
  let slow: TestFileSystem;
  let program: Autotorrent;
  let server: Daemon;
  let verified: Promise<unknown> | undefined;

  before(async () => {
    for (const name of ['disk', 'fuse']) await mkdir(join(base, name));
    disk = await makeFileSystem('ext4', join(base, 'disk'));
    films = join(disk.path, 'films');
    await mkdir(films);
    slow = await makeFileSystem('fuse', join(base, 'fuse'));
    await mkdir(join(slow.path, 'series'));
    for (let i = 0; i < SLOW; i++) await writeFile(join(slow.path, 'series', `${i}.mkv`), randomBytes(50_000 + i));
    await writeFile(join(films, 'film.mkv'), randomBytes(SIZE));
    program = await autotorrentIn({ folder: base, disks: [disk.path, slow.path] });
    for (const [name, path] of [
      ['film', join(films, 'film.mkv')],
      ['series', join(slow.path, 'series')],
    ] as const) {
      await writeFile(join(base, `${name}.torrent`), makeTorrentOf(path, { pieceLength: 16_384 }).raw);
    }
    assert.equal((await program.run('rebuild')).code, 0);
    server = await program.mount();
    const added = await program.run(
      'add',
      '--verify',
      'full',
      join(base, 'film.torrent'),
      join(base, 'series.torrent'),
    );
    assert.equal(added.code, 0, added.stdout + added.stderr);
  });
  after(async () => {
    slow?.answerAfter(0);
    await server?.stop();
    // It ends without its server.
    await verified;
    await slow?.close();
    await disk?.close();
  });

  const healing = async (): Promise<number> => ((await program.json('status')) as StatusJson).sources.healing;

  it('is settled while a long batch of other cases goes on', async () => {
    const film = await readFile(join(films, 'film.mkv'));
    // Behind the back of the mount: nobody was seen to delete them.
    await rm(join(base, 'fuse', 'shown', 'series'), { recursive: true });
    verified = program.run('verify', 'series');
    await waitUntil('all are cases', async () => (await healing()) === SLOW, { limitMs: 30_000, daemon: server });
    // They are looked at again and again, for ten seconds at least.
    slow.answerAfter(ANSWER_MS);

    // Another copy has the right bytes, and nobody was told of it.
    const changed = join(films, 'film.mkv');
    await run('cp', ['-p', changed, join(films, 'copy.mkv')]);
    const file = await open(changed, 'r+');
    await file.write(randomBytes(1000), 0, 1000, SIZE / 2);
    await file.close();

    const shown = join(program.storePath, 'film', 'film.mkv');
    await waitUntil(
      'it is read from the copy',
      // In another process: it may wait.
      async () => {
        const read = await run('cat', [shown], { encoding: 'buffer', maxBuffer: 2 * SIZE }).catch(() => undefined);
        return read?.stdout.equals(film) === true;
      },
      { limitMs: 60_000, daemon: server },
    );
    assert.ok((await healing()) > SLOW / 2, 'the others are still worked on');
  });

  it('is counted by status, which also says how its file system is watched', async () => {
    const { healer, repair } = (await program.json('status')) as StatusJson;
    assert.ok(healer.open > SLOW / 2 && healer.settled >= 1 && healer.oldest !== undefined, JSON.stringify(healer));
    await waitUntil(
      'all of the disk is watched, by one mark',
      async () => {
        const { watch } = (await program.json('status')) as StatusJson;
        const found = watch.file_systems.find(({ mount_point: place }) => place === disk.path);
        return found?.kind === 'fanotify-filesystem' && found.marks === 1 && found.overflows === 0;
      },
      { limitMs: 30_000, daemon: server },
    );
    assert.deepEqual(repair, { on_loss: 'repair', queued: 0, spent_bytes: 0, limit_bytes: 1_000_000_000 });
    const { stdout } = await program.run('status');
    assert.match(stdout, /^watch {4}\S+: .+$/m);
    assert.match(stdout, /^healer {3}\d+ open case\(s\) since \S+.*; \d+ settled since the start$/m);
    assert.match(stdout, /^repair {3}nothing to repair; 0 bytes of 1\.0 GB downloaded in 24 hours$/m);
  });
});
