/** Deluge on a real mount: it seeds mapped bytes without a check, and gets missing ones from another Deluge. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { AddOutcome } from '../../src/app/add-outcome.ts';
import { createClient } from '../../src/clients/create.ts';
import { connectDaemon } from '../../src/clients/deluge/daemon.ts';
import { ask } from '../../src/clients/deluge/rpc.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { addOne, bytes, lay, reaches } from '../clients/steps.ts';
import { autotorrentIn } from '../harness/autotorrent.ts';
import { waitUntil } from '../harness/daemon.ts';
import { startDeluge } from '../harness/deluge.ts';
import { hashTree, temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

const options = (name: string, seed: number) => ({
  name,
  pieceLength: 16_384,
  content: [
    { path: ['there.bin'], data: bytes(1_000_000, seed) },
    { path: ['lacking.bin'], data: bytes(100_000, seed + 1) },
  ],
});

describe('Deluge on the mount', () => {
  const undo: (() => Promise<unknown>)[] = [];
  after(async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  });

  it('seeds what is there, and downloads into the mount what is lacking', async () => {
    const folder = temporaryFolder('deluge');
    const [disk, torrents] = [join(folder, 'disk'), join(folder, 'torrents')];
    await mkdir(torrents);
    const laid = [options('whole', 1), options('partial', 3)].map((one) => ({
      one,
      raw: makeTorrent({ announce: 'http://127.0.0.1:9/announce', ...one }).raw,
    }));
    for (const { one, raw } of laid) {
      await mkdir(join(disk, one.name), { recursive: true });
      await writeFile(join(torrents, `${one.name}.torrent`), raw);
      for (const { path, data } of one.content) {
        if (one.name === 'whole' || path[0] === 'there.bin') await writeFile(join(disk, one.name, ...path), data);
      }
    }
    const collection = await hashTree(disk);
    const [whole = '', partial = ''] = laid.map(({ raw }) => parseMetainfo(raw).infoHash);

    const mounted = await startDeluge({ address: '127.0.0.71' });
    undo.push(() => mounted.stop());
    const peer = await startDeluge({ address: '127.0.0.72' });
    undo.push(() => peer.stop());
    const { host, username, password } = new URL(mounted.url);
    const account = { username, password };
    const autotorrent = await autotorrentIn({
      folder,
      disks: [disk],
      client: ['client = deluge', `host = ${host}`, `username = ${username}`, `password = ${password}`, 'label = Mine'],
      general: ['add_limit_percent = 50'],
    });
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    const server = await autotorrent.mount();
    undo.push(() => server.stop());
    const { stdout } = await autotorrent.run('--json', 'add', '--verify', 'full', torrents);
    const words = (JSON.parse(stdout) as AddOutcome[]).map(({ status }) => status);
    assert.deepEqual(words, ['OK', 'OK'], stdout);

    const client = createClient({ client: 'deluge', host, ...account });
    undo.push(() => client.close());
    const rpc = connectDaemon({ host, ...account }, {});
    undo.push(() => rpc.close());
    assert.equal((await reaches(client, whole, 'seeding')).progress, 1);
    const status = (await ask(rpc, 'core.get_torrent_status', whole, ['seed_mode', 'label'])) as object;
    assert.deepEqual({ ...status }, { seed_mode: true, label: 'mine' });

    const { progress } = await reaches(client, partial, 'downloading');
    assert.ok(progress > 0.85 && progress < 1, `${progress} of what is there was found`);
    const there = new URL(peer.url);
    const other = createClient({
      client: 'deluge',
      host: there.host,
      username: there.username,
      password: there.password,
    });
    undo.push(() => other.close());
    const source = join(folder, 'peer');
    const { one, raw } = laid[1] ?? assert.fail();
    await lay(source, one);
    await addOne(other, { metainfo: parseMetainfo(raw), directory: source });
    await other.start([partial]);
    await reaches(other, partial, 'seeding');
    await ask(rpc, 'core.connect_peer', partial, peer.address, peer.peerPort);
    assert.equal((await reaches(client, partial, 'seeding')).progress, 1);
    // libtorrent reports a piece as finished while its bytes still wait to be written.
    const expected = await hashTree(source);
    await waitUntil('the mount shows what was downloaded', async () =>
      isDeepStrictEqual(await hashTree(join(autotorrent.storePath, 'partial')), expected),
    );
    assert.deepEqual(await hashTree(disk), collection);
  });
});
