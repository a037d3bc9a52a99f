/** `add` of many torrents at once: few calls, and an `add` that is killed in the middle and run again doubles nothing. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import type { AddOutcome } from '../../src/app/add-outcome.ts';
import type { ListedJson } from '../../src/cli/json.ts';
import type { TorrentClient } from '../../src/clients/client.ts';
import { createClient } from '../../src/clients/create.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { type CountingProxy, startCountingProxy } from '../harness/counting-proxy.ts';
import { waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { startRtorrent } from '../harness/rtorrent.ts';
import { startTransmission } from '../harness/transmission.ts';

/** A client hangs once no further torrent seeds for so long, however fast the machine is. */
const STALLED_MS = 120_000;
const LABEL = 'many of them';

/** `npm run test:many` adds 5,000, and ends `add` at each call. */
const MANY = process.env['CLIENT_TORRENTS'];
const COUNT = Number(MANY ?? 300);
/** `add` settles 100 at a time, and fewer where hashing is slow. */
const BATCHES = COUNT / 100 + 2;

/** At which of its calls an `add` is ended: while it loads, between that and the names, before the start, and later. */
const ends = (calls: readonly number[], more: readonly number[] = []): (readonly [number, NodeJS.Signals])[] => [
  ...[...calls, ...(MANY === undefined ? [] : more)]
    .toSorted((a, b) => a - b)
    .map((call) => [call, 'SIGKILL'] as const),
  [calls[0] ?? 0, 'SIGINT'],
];

/** The calls that COUNT torrents may take. Transmission takes a torrent a call; both are asked by the batch. */
const kinds = {
  transmission: {
    start: startTransmission,
    most: COUNT + BATCHES * 12,
    mostAgain: BATCHES * 3,
    address: '127.0.0.31',
    ends: ends([6, 105]),
  },
  rtorrent: {
    start: startRtorrent,
    most: BATCHES * 30,
    // Asked which of many torrents it has, and then for the state of those: two calls a batch.
    mostAgain: BATCHES * 5,
    address: '127.0.0.32',
    ends: ends([3, 5, 7, 9, 11], [4, 6, 8, 10, 12]),
  },
} as const;

for (const kind of ['transmission', 'rtorrent'] as const) {
  describe(`add of many torrents to ${kind}`, () => {
    const undo: (() => Promise<unknown>)[] = [];
    let folder: string;
    let torrents: string;
    let autotorrent: Autotorrent;
    let proxy: CountingProxy;
    let client: TorrentClient;
    let hashes: string[];
    afterEach(async () => {
      for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
    });

    /** Makes this many torrents of one small file each, with all files on the disk. */
    async function begin(count: number): Promise<void> {
      folder = temporaryFolder('many');
      torrents = join(folder, 'torrents');
      await mkdir(torrents);
      await mkdir(join(folder, 'disk'));
      hashes = [];
      for (let i = 0; i < count; i++) {
        const name = `file ${String(i).padStart(4, '0')}`;
        const content = Buffer.alloc(20_000 + i, name);
        await writeFile(join(folder, 'disk', name), content);
        const { raw, infoHash } = makeTorrent({ announce: 'http://127.0.0.1:9/announce', name, content });
        await writeFile(join(torrents, `${name}.torrent`), raw);
        hashes.push(infoHash);
      }
      const daemon = await kinds[kind].start({ address: kinds[kind].address });
      undo.push(() => daemon.stop());
      proxy = await startCountingProxy(daemon.url);
      undo.push(() => proxy.stop());
      client = createClient({ client: kind, url: daemon.url });
      autotorrent = await autotorrentIn({
        folder,
        disks: [join(folder, 'disk')],
        client: [`client = ${kind}`, `url = ${proxy.url}`, `label = ${LABEL}`],
      });
      const { code, stderr } = await autotorrent.run('rebuild');
      assert.equal(code, 0, stderr);
      const server = await autotorrent.mount();
      undo.push(() => server.stop());
    }

    /** Each once in the store, added, and once in the client, seeding. */
    async function allThere(): Promise<void> {
      const entries = (await autotorrent.json('list')) as ListedJson[];
      assert.deepEqual(entries.map((entry) => entry.info_hash).toSorted(), hashes.toSorted());
      assert.deepEqual(
        entries.filter((entry) => entry.state !== 'added'),
        [],
      );
      assert.equal((await readdir(autotorrent.storePath)).length, hashes.length);
      assert.deepEqual((await client.list()).map(({ infoHash }) => infoHash).toSorted(), hashes.toSorted());
      for (let seeding = 0; seeding < hashes.length; ) {
        const before = seeding;
        await waitUntil(
          `more than ${before} of ${hashes.length} seed`,
          async () => {
            const states = await client.list();
            seeding = states.filter(({ activity, progress }) => activity === 'seeding' && progress === 1).length;
            return seeding > before;
          },
          { limitMs: STALLED_MS },
        );
      }
    }

    it(`takes few calls for ${COUNT}, and a bad one among them fails alone`, async () => {
      await begin(COUNT);
      await writeFile(join(torrents, 'file 0150 bad.torrent'), 'd4:infod6:lengthi5e4:name1:xee');
      const { stdout, stderr } = await autotorrent.run('--json', 'add', torrents);
      const outcomes = JSON.parse(stdout) as AddOutcome[];
      const failed = outcomes.filter(({ status }) => status !== 'OK').map(({ name }) => name);
      assert.deepEqual(failed, ['file 0150 bad'], stderr);
      assert.equal(outcomes.length, COUNT + 1);
      assert.ok(proxy.calls <= kinds[kind].most, `${proxy.calls} calls`);
      await allThere();
      proxy.reset();
      const again = JSON.parse((await autotorrent.run('--json', 'add', torrents)).stdout) as AddOutcome[];
      assert.equal(again.filter(({ status }) => status === 'Seeded').length, COUNT);
      assert.ok(proxy.calls <= kinds[kind].mostAgain, `${proxy.calls} calls`);
    });

    it('goes on where it was killed, again and again, and doubles nothing', async () => {
      await begin(300);
      const program = resolve('dist/src/main.js');
      for (const [call, signal] of kinds[kind].ends) {
        const child = spawn(process.execPath, [program, '-c', autotorrent.config, 'add', torrents], {
          stdio: 'ignore',
        });
        const ended = new Promise<boolean>((done) => {
          child.once('exit', (code, by) => done(by !== null || code !== 0));
        });
        proxy.at(call, () => child.kill(signal));
        assert.ok(await ended, `it ended before its call ${call}`);
      }
      assert.ok((await client.list()).length < hashes.length, 'it was killed in the middle');
      const { stdout } = await autotorrent.run('--json', 'add', torrents);
      const words = (JSON.parse(stdout) as AddOutcome[]).map(({ status }) => status);
      assert.equal(words.filter((word) => word === 'OK' || word === 'Seeded').length, hashes.length);
      await allThere();
    });
  });
}
