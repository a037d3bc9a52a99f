/**
 * A file with a name that no disk takes is downloaded into the mount by clients that do not cut names: Transmission makes a
 * `.part` of it first. It comes from a qBittorrent on a plain disk, which cuts them.
 */
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { EntryJson } from '../../src/cli/json.ts';
import { addOne, bytes, lay, sample } from '../clients/steps.ts';
import { autotorrentIn } from '../harness/autotorrent.ts';
import { waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { exchange, type Member, sectionOf, startMember } from '../harness/swarm.ts';
import { WHOLE } from './setting.ts';

const LIMIT_MS = 120_000;
const LONG = `${'n'.repeat(300)}.mkv`;
const options = {
  name: 'N'.repeat(280),
  content: [
    { path: ['here'], data: bytes(200_000, 950) },
    { path: ['é'.repeat(200), LONG], data: bytes(100_000, 951) },
  ],
};
const metainfo = sample(options);

// Transmission asks others for bytes only now and then: this takes half a minute.
describe('what is missing under a name that no disk takes', { skip: !WHOLE }, () => {
  let seeder: Member;
  before(async () => {
    seeder = await startMember('qbittorrent', '127.0.0.90');
    const directory = join(seeder.daemon.folder, 'data');
    await mkdir(directory);
    const added = await addOne(seeder.client, { metainfo, directory });
    assert.ok(added.outcome === 'added' && added.names !== undefined);
    await lay(directory, options, added.names);
    await seeder.client.recheck([metainfo.infoHash]);
    await seeder.client.start([metainfo.infoHash]);
    await waitUntil('it seeds', async () => (await seeder.client.list())[0]?.activity === 'seeding');
  });
  after(async () => await seeder?.daemon.stop());

  for (const [kind, address] of [
    ['transmission', '127.0.0.91'],
    ['rtorrent', '127.0.0.92'],
  ] as const) {
    it(`is downloaded by ${kind}`, async () => {
      const folder = temporaryFolder('long-downloads');
      await mkdir(join(folder, 'disk'));
      await writeFile(join(folder, 'disk', 'here'), options.content[0]?.data ?? '');
      await writeFile(join(folder, 'Long.torrent'), metainfo.raw);
      const member = await startMember(kind, address);
      const general = ['scan_mode = hash_size', 'add_limit_percent = 60'];
      const autotorrent = await autotorrentIn({
        folder,
        disks: [join(folder, 'disk')],
        client: sectionOf(member),
        general,
      });
      assert.equal((await autotorrent.run('rebuild')).code, 0);
      const server = await autotorrent.mount();
      try {
        const added = await autotorrent.run('add', '--verify', 'full', join(folder, 'Long.torrent'));
        assert.match(added.stdout, /missing/, added.stdout + added.stderr);
        await exchange(seeder, member, [metainfo.infoHash], LIMIT_MS);
        await waitUntil(
          'it counts',
          async () => {
            const [entry] = (await autotorrent.json('list', '--no-client')) as EntryJson[];
            return entry?.missing_bytes === 0;
          },
          { limitMs: LIMIT_MS },
        );
        const path = join(autotorrent.storePath, 'Long', options.name, ...(options.content[1]?.path ?? []));
        assert.deepEqual(await readFile(path), options.content[1]?.data);
      } finally {
        await member.daemon.stop();
        await server.stop();
      }
    });
  }
});
