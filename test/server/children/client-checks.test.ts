/**
 * Tests whether a client is reported to check a torrent: with pretended clients, and with real ones and a torrent that
 * takes seconds.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TorrentClient, TorrentState } from '../../../src/clients/client.ts';
import { createClient } from '../../../src/clients/create.ts';
import type { ClientConfig } from '../../../src/config/config.ts';
import { AutotorrentError } from '../../../src/errors.ts';
import { silentLogger } from '../../../src/logger.ts';
import { parseMetainfo } from '../../../src/metainfo/parse.ts';
import { ClientChecks } from '../../../src/server/children/client-checks.ts';
import type { ClientDaemon } from '../../harness/client-daemon.ts';
import { waitUntil } from '../../harness/daemon.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { bencoded } from '../../harness/make-torrent.ts';
import { startQbittorrent } from '../../harness/qbittorrent.ts';
import { startTransmission } from '../../harness/transmission.ts';

const HASH = 'a'.repeat(40);

/** A client that can only list. */
function pretended(list: () => Promise<Partial<TorrentState>[]>): TorrentClient {
  let closed = false;
  return {
    async list() {
      assert.ok(!closed, 'a client is asked that was closed');
      return (await list()).map((state) => ({ infoHash: HASH, name: 'x', activity: 'seeding', progress: 1, ...state }));
    },
    async close() {
      closed = true;
    },
  } as Partial<TorrentClient> as TorrentClient;
}

const isChecked = async (...clients: TorrentClient[]): Promise<boolean> =>
  await new ClientChecks(clients, [HASH], silentLogger).isChecking(HASH);

describe('ClientChecks', () => {
  it('takes the word of any client', async () => {
    const [seeding, checking] = [pretended(async () => [{}]), pretended(async () => [{ activity: 'checking' }])];
    assert.equal(await isChecked(seeding), false);
    assert.equal(await isChecked(checking), true);
    assert.equal(await isChecked(seeding, checking), true);
  });

  it('waits also for a client that has only begun to look', async () => {
    assert.equal(await isChecked(pretended(async () => [{ activity: 'stopped', unsettled: true }])), true);
  });

  it('waits for no client that does not have the torrent, nor for none', async () => {
    assert.equal(await isChecked(pretended(async () => [])), false);
    assert.equal(await isChecked(), false);
  });

  it('asks a client that does not answer once', async () => {
    let asked = 0;
    const away = pretended(async () => {
      asked++;
      throw new AutotorrentError('CLIENT', 'it is away');
    });
    const checks = new ClientChecks([away], [HASH], silentLogger);
    for (let i = 0; i < 3; i++) assert.equal(await checks.isChecking(HASH), false);
    assert.equal(asked, 1);
  });

  it('asks once for many torrents', async () => {
    let asked = 0;
    const client = pretended(async () => {
      asked++;
      return [{ activity: 'checking' }];
    });
    const checks = new ClientChecks([client], [HASH, 'b'.repeat(40)], silentLogger);
    assert.equal(await checks.isChecking(HASH), true);
    assert.equal(await checks.isChecking('b'.repeat(40)), false);
    assert.equal(asked, 1);
  });

  const real: readonly [
    string,
    () => Promise<ClientDaemon>,
    (url: string) => Exclude<ClientConfig, { client: 'none' }>,
  ][] = [
    ['Transmission', startTransmission, (url) => ({ client: 'transmission', url })],
    ['qBittorrent', startQbittorrent, (url) => ({ client: 'qbittorrent', url })],
  ];
  for (const [name, start, configOf] of real) {
    it(`follows a check of ${name}`, async () => {
      const daemon = await start();
      try {
        const client = createClient(configOf(daemon.url));
        const metainfo = await sparseTorrent();
        const [added] = await client.add([{ metainfo, directory: metainfo.folder }]);
        assert.equal(added?.outcome, 'added');
        await client.recheck([metainfo.infoHash]);
        const checks = (): Promise<boolean> =>
          new ClientChecks([client], [metainfo.infoHash], silentLogger).isChecking(metainfo.infoHash);
        await waitUntil('the check to begin', checks);
        await waitUntil('the check to end', async () => !(await checks()), { limitMs: 120_000 });
        const [state] = await client.list([metainfo.infoHash]);
        assert.equal(state?.progress, 1);
        await client.close();
      } finally {
        await daemon.stop();
      }
    });
  }
});

/** Makes a GiB of zeros that takes no space, but seconds to hash. */
async function sparseTorrent(): Promise<ReturnType<typeof parseMetainfo> & { readonly folder: string }> {
  const [pieceLength, count] = [2 ** 24, 64];
  const folder = join(temporaryFolder('sparse'), 'data');
  await mkdir(folder);
  await writeFile(join(folder, 'zeros.bin'), '');
  await truncate(join(folder, 'zeros.bin'), pieceLength * count);
  const digest = createHash('sha1').update(Buffer.alloc(pieceLength)).digest();
  const pieces = Buffer.concat(Array<Buffer>(count).fill(digest));
  const info = { length: pieceLength * count, name: 'zeros.bin', 'piece length': pieceLength, pieces };
  return { ...parseMetainfo(bencoded({ info })), folder };
}
