/** The harness makes a swarm: one real client downloads from the other over loopback, through a real tracker. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createClient } from '../../src/clients/create.ts';
import type { ClientDaemon } from '../harness/client-daemon.ts';
import type { TorrentOptions } from '../harness/make-torrent.ts';
import { startRtorrent } from '../harness/rtorrent.ts';
import { startTracker, type Tracker } from '../harness/tracker.ts';
import { startTransmission } from '../harness/transmission.ts';
import { addOne, bytes, lay, reaches } from './steps.ts';
import { torrentFor } from './torrent-for.ts';

describe('a swarm on loopback', () => {
  let tracker: Tracker;
  let seeder: ClientDaemon;
  let leecher: ClientDaemon;
  before(async () => {
    tracker = await startTracker();
    seeder = await startTransmission({ address: '127.0.0.2' });
    leecher = await startRtorrent({ address: '127.0.0.3' });
  });
  after(async () => {
    await Promise.all([leecher?.stop(), seeder?.stop(), tracker?.stop()]);
  });

  it('rTorrent downloads from Transmission', async () => {
    const options: TorrentOptions = {
      name: 'shared',
      announce: tracker.url,
      content: [
        { path: ['one.bin'], data: bytes(3_000_000, 1) },
        { path: ['two ü.bin'], data: bytes(100_000, 2) },
      ],
    };
    const metainfo = torrentFor(options);
    await lay(seeder.downloads, options);
    const from = createClient({ client: 'transmission', url: seeder.url });
    const to = createClient({ client: 'rtorrent', url: leecher.url });
    await addOne(from, { metainfo, directory: seeder.downloads });
    await from.start([metainfo.infoHash]);
    await reaches(from, metainfo.infoHash, 'seeding');
    await tracker.seeded(metainfo.infoHash);
    await addOne(to, { metainfo, directory: leecher.downloads });
    await to.start([metainfo.infoHash]);
    await reaches(to, metainfo.infoHash, 'seeding', 60_000);
    for (const name of ['one.bin', 'two ü.bin']) {
      assert.deepEqual(
        await readFile(join(leecher.downloads, 'shared', name)),
        await readFile(join(seeder.downloads, 'shared', name)),
      );
    }
  });
});
