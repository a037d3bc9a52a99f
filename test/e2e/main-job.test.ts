/**
 * The main job with nothing replaced: the built program, a real mount, a real client that seeds from it, and another one that
 * downloads everything from that client; and the commands that a user runs around it.
 */
import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { AddOutcome } from '../../src/app/add-outcome.ts';
import type { ListedJson } from '../../src/cli/json.ts';
import { createClient } from '../../src/clients/create.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import type { ClientDaemon } from '../harness/client-daemon.ts';
import { type Daemon, waitUntil } from '../harness/daemon.ts';
import { type Demo, makeDemo } from '../harness/demo.ts';
import { hashTree, temporaryFolder } from '../harness/folder.ts';
import { startRtorrent } from '../harness/rtorrent.ts';
import { startTracker, type Tracker } from '../harness/tracker.ts';
import { startTransmission } from '../harness/transmission.ts';

const LIMIT_MS = 120_000;

interface Case {
  readonly seeder: 'transmission' | 'rtorrent';
  readonly verify: 'probe' | 'full';
  readonly start: () => Promise<ClientDaemon>;
}

const CASES: readonly Case[] = [
  { seeder: 'transmission', verify: 'probe', start: () => startTransmission({ address: '127.0.0.2' }) },
  { seeder: 'rtorrent', verify: 'full', start: () => startRtorrent({ address: '127.0.0.4' }) },
];

for (const { seeder, verify, start } of CASES) {
  describe(`${seeder} seeds from the mount (verify = ${verify})`, () => {
    let folder: string;
    let tracker: Tracker;
    let client: ClientDaemon;
    let demo: Demo;
    let autotorrent: Autotorrent;
    let server: Daemon;
    let sources: Map<string, string>;
    const undo: (() => Promise<unknown>)[] = [];

    before(async () => {
      folder = temporaryFolder('e2e');
      tracker = await startTracker();
      undo.push(() => tracker.stop());
      client = await start();
      undo.push(() => client.stop());
      demo = await makeDemo(folder, tracker.url);
      sources = await hashTree(demo.collection);
      autotorrent = await autotorrentIn({
        folder,
        disks: [demo.collection],
        client: [`client = ${seeder}`, `url = ${client.url}`, 'label = my label/ü'],
        general: [`verify = ${verify}`],
      });
    });
    after(async () => {
      for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
    });

    it('says what to run where no server runs, before it matches anything', async () => {
      const { code, stdout, stderr } = await autotorrent.run('add', demo.folder);
      assert.equal(code, 1);
      assert.match(stderr, /no server runs for .*store/);
      assert.match(stderr, /autotorrent mount/);
      assert.match(stdout, /^Found 3 torrent\(s\)\n$/);
    });

    it('indexes, mounts, adds', async () => {
      const rebuilt = await autotorrent.run('rebuild');
      assert.equal(rebuilt.code, 0, rebuilt.stderr);
      server = await autotorrent.mount();
      undo.push(() => server.stop());
      const { code, stdout, stderr } = await autotorrent.run('add', demo.folder);
      assert.equal(code, 0, stdout + stderr);
      const lines = stdout.trimEnd().split('\n');
      assert.equal(lines[0], 'Found 3 torrent(s)');
      assert.equal(lines.length, 4);
      for (const line of lines.slice(1)) assert.match(line, /^ \[OK\] {17}'.*' Torrent added successfully$/);
    });

    it('seeds everything', async () => {
      await waitUntil(
        'seeding',
        async () => {
          const entries = (await autotorrent.json('list')) as ListedJson[];
          return entries.length === 3 && entries.every((entry) => entry.client_state === 'seeding');
        },
        { limitMs: LIMIT_MS },
      );
      // rTorrent asks a tracker once: the tracker must know the seeder by then.
      for (const { infoHash } of demo.torrents) await tracker.seeded(infoHash);
    });

    it('called only that verified that was hashed', async () => {
      for (const entry of (await autotorrent.json('list')) as ListedJson[]) {
        assert.equal(entry.state, 'added');
        assert.equal(entry.health, 'ok');
        assert.equal(entry.missing_bytes, 0);
        if (verify === 'full') assert.equal(entry.verified_pieces, entry.pieces);
        else assert.ok(entry.verified_pieces > 0 && entry.verified_pieces < entry.pieces, `${entry.verified_pieces}`);
      }
    });

    it('is downloaded from by another client, byte for byte', async () => {
      const leecher = await startRtorrent({ address: '127.0.0.3' });
      undo.push(() => leecher.stop());
      const rtorrent = createClient({ client: 'rtorrent', url: leecher.url });
      assert.ok(rtorrent);
      undo.push(() => rtorrent.close());
      // One after the other: Transmission refuses a handshake while another one from the same address is going on.
      for (const { raw, infoHash } of demo.torrents) {
        await rtorrent.add([{ metainfo: parseMetainfo(raw), directory: leecher.downloads }]);
        await rtorrent.start([infoHash]);
        await waitUntil('downloaded', async () => (await rtorrent.list([infoHash]))[0]?.activity === 'seeding', {
          limitMs: LIMIT_MS,
        });
      }
      const arrived = await hashTree(leecher.downloads);
      for (const [path, sha1] of demo.expected) assert.equal(arrived.get(path), sha1, path);
    });

    it('shows the torrents as any program would expect', async () => {
      const shown = await hashTree(autotorrent.storePath);
      const expected = new Map<string, string>();
      for (const [path, sha1] of demo.expected) {
        const top = path.split('/')[0] ?? '';
        expected.set(join(top.replace(/\.mkv$/, ''), path), sha1);
      }
      assert.deepEqual(Object.fromEntries(shown), Object.fromEntries(expected));
    });

    it('says Seeded the second time', async () => {
      const { code, stdout } = await autotorrent.run('add', demo.folder);
      assert.equal(code, 0);
      assert.equal(stdout.match(/\[Seeded\]/g)?.length, 3);
    });

    it('says Exists where the client lost it, and adds it again with --force', async () => {
      const [torrent] = demo.torrents;
      assert.ok(torrent);
      const config = { client: seeder, url: client.url } as const;
      const adapter = createClient(config);
      assert.ok(adapter);
      undo.push(() => adapter.close());
      assert.deepEqual(await adapter.remove([torrent.infoHash]), [torrent.infoHash]);
      const exists = await autotorrent.run('add', torrent.torrent);
      assert.equal(exists.code, 3);
      assert.match(exists.stdout, /\[Exists\]/);
      const forced = await autotorrent.run('--json', 'add', '--force', torrent.torrent);
      assert.equal(forced.code, 0, forced.stderr);
      assert.equal((JSON.parse(forced.stdout) as AddOutcome[])[0]?.status, 'OK');
      assert.equal((await adapter.list([torrent.infoHash])).length, 1);
    });

    it('deletes a .torrent with -d only when the client has it', async () => {
      const bad = join(folder, 'bad.torrent');
      await writeFile(bad, 'no torrent');
      const copy = join(folder, 'copy.torrent');
      await writeFile(copy, await readFile(demo.torrents[1]?.torrent ?? ''));
      const { code, stdout } = await autotorrent.run('-a', bad, copy, '-d');
      assert.equal(code, 0, 'the old flags say that it was done');
      assert.match(stdout, /\[Failed\] {13}'bad' Not a valid torrent: /);
      assert.match(stdout, /\[Seeded\] {13}'copy'/);
      await stat(bad);
      await assert.rejects(stat(copy), { code: 'ENOENT' });
    });

    it('is removed from both, and the sources stay', async () => {
      const [torrent] = demo.torrents;
      const { code, stdout, stderr } = await autotorrent.run('remove', '--from-client', torrent?.infoHash ?? '');
      assert.equal(code, 0, stderr);
      assert.match(stdout, /from the store and the client/);
      assert.equal(((await autotorrent.json('list')) as ListedJson[]).length, 2);
    });

    it('unmounts when it is told to, and leaves a folder that cannot be written to', async () => {
      const { code, stdout } = await autotorrent.run('unmount');
      assert.equal(code, 0);
      assert.match(stdout, /^Unmounted/);
      await waitUntil('the server has ended', async () => server.exited() !== undefined);
      assert.equal((await stat(autotorrent.storePath)).mode & 0o222, 0);
      assert.deepEqual(await autotorrent.json('unmount'), {
        mount_point: autotorrent.storePath,
        outcome: 'nothing',
        warnings: [],
      });
    });

    it('never touched the collection', async () => {
      assert.deepEqual(await hashTree(demo.collection), sources);
    });
  });
}
