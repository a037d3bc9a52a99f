/** A scrub in the background lets a disk sleep that nothing else uses: a real one, by the kernel's own counts. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EntryJson, StatusJson } from '../../src/cli/json.ts';
import { readMountsSync } from '../../src/native/mountinfo.ts';
import { autotorrentIn } from '../harness/autotorrent.ts';
import { waitUntil } from '../harness/daemon.ts';
import { makeFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

const PIECE = 16_384;

it('a scrub leaves a disk alone that nothing else uses, and goes on when somebody does', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('only root can mount a file system');
  const folder = temporaryFolder('scrub-sleeping');
  await mkdir(join(folder, 'ext4'));
  const disk = await makeFileSystem('ext4', join(folder, 'ext4'));
  t.after(async () => await disk.close());
  const device = basename(readMountsSync().findLast(({ path }) => path.toString() === disk.path)?.source ?? '');
  /** Its completed reads and writes. */
  const requests = (): string => {
    const line = readFileSync('/proc/diskstats', 'latin1')
      .split('\n')
      .find((text) => text.trim().split(/\s+/)[2] === device);
    return [3, 7].map((column) => line?.trim().split(/\s+/)[column]).join(' ');
  };
  const data = randomBytes(100 * PIECE);
  await writeFile(join(disk.path, 'film.bin'), data, { flush: true });
  await writeFile(join(folder, 'film.torrent'), makeTorrent({ name: 'film.bin', content: data }).raw);
  process.env['AUTOTORRENT_SCRUB_LOOK_MS'] = '1000';
  t.after(() => delete process.env['AUTOTORRENT_SCRUB_LOOK_MS']);
  const autotorrent = await autotorrentIn({ folder, disks: [disk.path], general: ['verify = probe', 'scrub = off'] });
  const first = await autotorrent.mount();
  t.after(async () => await first.stop());
  assert.equal((await autotorrent.run('rebuild')).code, 0);
  assert.equal((await autotorrent.run('add', join(folder, 'film.torrent'))).code, 0);
  await first.stop();

  // A new file system is still being written to for a while.
  let [before, since] = [requests(), performance.now()];
  assert.match(before, /^\d+ \d+$/);
  await waitUntil('the disk is at rest', async () => {
    if (requests() !== before) [before, since] = [requests(), performance.now()];
    return performance.now() - since > 7000;
  });
  const again = await autotorrentIn({ folder, disks: [disk.path], general: ['verify = probe', 'scrub = idle'] });
  const server = await again.mount();
  t.after(async () => await server.stop());
  const verified = async (): Promise<number> =>
    ((await again.json('list', '--no-client')) as EntryJson[])[0]?.verified_pieces ?? -1;
  const probed = await verified();
  assert.ok(probed < 100);
  await waitUntil(
    'the scrub has met the sleeping disk',
    async () => ((await again.json('status')) as StatusJson).scrub.asleep.length === 1,
  );
  await sleep(3000);
  assert.equal(await verified(), probed);
  // The file system itself may still write: a scrub reads.
  assert.equal(requests().split(' ')[0], before.split(' ')[0], 'the disk was not woken');
  assert.match((await again.run('status')).stdout, /^scrub .*; lets 1 disk\(s\) sleep$/m);

  await waitUntil(
    'the scrub goes on',
    async () => {
      await writeFile(join(disk.path, 'somebody'), randomBytes(PIECE), { flush: true });
      await sleep(1000);
      return (await verified()) === 100;
    },
    { limitMs: 120_000 },
  );
});
