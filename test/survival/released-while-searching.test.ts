/**
 * A disk is released while healers look everywhere for sources of another one: a plain umount(8) is never told that it is busy.
 *
 * The disk answers each request late, so that some look is always on its way.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ControlClient } from '../../src/control/client.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { type Daemon, waitUntil } from '../harness/daemon.ts';
import { makeFileSystem, type TestFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { WHOLE } from './setting.ts';

const ROUNDS = WHOLE ? 25 : 2;
/** Sources of the other disk that are gone, and folders of the released one to look for them in. */
const GONE = 24;
const FOLDERS = 120;
const LATE_MS = 30;
/** Whoever asks the disk while it is released waits for this long, so that it is seen. */
const NEVER_MS = 600_000;
/** Between two times that all cases are made due. */
const RETRY_MS = 3000;

describe('a disk that is released while sources of others are looked for', { skip: NEEDS_ROOT }, () => {
  let disk: TestFileSystem;
  let autotorrent: Autotorrent;
  let server: Daemon;
  let client: ControlClient;

  before(async () => {
    const folder = temporaryFolder('released-while-searching');
    await mkdir(join(folder, 'disk'));
    disk = await makeFileSystem('fuse', join(folder, 'disk'));
    const [plain, away] = [join(folder, 'plain'), join(folder, 'away')];
    for (const one of [plain, away]) await mkdir(one);
    for (let i = 0; i < FOLDERS; i++) {
      mkdirSync(join(disk.path, `Season ${i}`));
      writeFileSync(join(disk.path, `Season ${i}`, 'episode.mkv'), `${i}`);
    }
    const torrents: string[] = [];
    const torrent = async (name: string, at: string): Promise<void> => {
      const content = randomBytes(40_000);
      await writeFile(join(at, name), content);
      const path = join(folder, `${name}.torrent`);
      await writeFile(path, makeTorrent({ name, content, pieceLength: 16_384 }).raw);
      torrents.push(path);
    };
    for (let i = 0; i < GONE; i++) await torrent(`gone ${i}.mkv`, plain);
    // Others that stay: what is gone may be few of them.
    for (let i = 0; i < 4; i++) await torrent(`stays ${i}.mkv`, disk.path);
    autotorrent = await autotorrentIn({ folder, disks: [disk.path, plain] });
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    server = await autotorrent.mount();
    const added = await autotorrent.run('add', '--verify', 'full', ...torrents);
    assert.equal(added.code, 0, added.stdout + added.stderr);
    for (let i = 0; i < GONE; i++) renameSync(join(plain, `gone ${i}.mkv`), join(away, `gone ${i}.mkv`));
    client = (await ControlClient.connect(join(autotorrent.statePath, 'socket'))) ?? assert.fail('no server');
  });
  after(async () => {
    await server?.stop();
    await disk?.close();
  });

  /** Healers may have settled all cases before they came to the disk. */
  async function untilAsked(): Promise<void> {
    let retried = Number.NEGATIVE_INFINITY;
    await waitUntil('the disk is asked', async () => {
      if (performance.now() - retried > RETRY_MS) {
        await client.cases.retry();
        retried = performance.now();
      }
      return (await disk.waiting()) > 0;
    });
  }

  it(`can be unmounted each time of ${ROUNDS}`, async () => {
    const failures: string[] = [];
    for (let round = 1; round <= ROUNDS; round++) {
      disk.answerAfter(LATE_MS);
      await untilAsked();
      const released = await autotorrent.run('release', disk.path);
      assert.equal(released.code, 0, released.stderr);
      // Every second time the healers begin anew before the disk is unmounted.
      if (round % 2 === 0) {
        disk.answerAfter(NEVER_MS);
        await client.cases.retry();
        await sleep(2000);
        const waiting = await disk.waiting();
        if (waiting > 0) failures.push(`round ${round}: it is asked ${waiting} time(s) after it was released`);
        disk.answerAfter(0);
        disk.answerAfter(LATE_MS);
      }
      try {
        await disk.umount();
      } catch (error) {
        failures.push(`round ${round}: ${(error as Error).message.trim()} after ${released.stdout}${released.stderr}`);
        await waitUntil(
          'it is free',
          async () =>
            await disk.umount().then(
              () => true,
              () => false,
            ),
          { limitMs: 30_000 },
        );
      }
      if (round === ROUNDS) break;
      await disk.mount();
      const isBack = async (): Promise<boolean> =>
        !JSON.stringify(await autotorrent.json('list')).includes('stays 0","waiting');
      await waitUntil('it is back', isBack, { limitMs: 20_000 });
      await sleep(200);
    }
    assert.deepEqual(failures, []);
  });
});
