/**
 * A file that a torrent lacks comes to where a file of it lies: its bytes are mapped, and the client, which downloads them, is
 * told by itself. It then seeds all of it without a download. The long form has all clients, loses the file before, and has
 * a fresh client download all of it.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import type { EntryJson } from '../../src/cli/json.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { complete, missing, type PartialRelease } from '../e2e/partial/releases.ts';
import { LIMIT_MS, Scene } from '../e2e/partial/scene.ts';
import { waitUntil } from '../harness/daemon.ts';
import { hashTree } from '../harness/folder.ts';
import { bytesReceived, type ClientKind, exchange } from '../harness/swarm.ts';
import { WHOLE } from './setting.ts';

const PIECE = 64 * 1024;
const MB = 1_000_000;

interface Case {
  readonly onMount: ClientKind;
  readonly fresh: ClientKind;
  readonly address: number;
  /** It lies in the collection when the torrent is added, and is deleted. */
  readonly isLost: boolean;
}

const CASES: readonly Case[] = (
  [
    { onMount: 'rtorrent', fresh: 'transmission', address: 181 },
    { onMount: 'transmission', fresh: 'qbittorrent', address: 184 },
    { onMount: 'deluge', fresh: 'qbittorrent', address: 187 },
    { onMount: 'qbittorrent', fresh: 'deluge', address: 190 },
  ] as const
).flatMap((roles) => [
  { ...roles, isLost: false },
  { ...roles, isLost: true },
]);

for (const { onMount, fresh: freshKind, address, isLost } of WHOLE ? CASES : CASES.slice(0, 1)) {
  it(`${onMount} seeds without a download what ${isLost ? 'was lost' : 'it lacked'} and has come`, async (t) => {
    const data = randomBytes(2 * MB + 12_345);
    const released: PartialRelease = {
      title: 'what comes back',
      name: 'Found.Again.2005-DEMO',
      pieceLength: PIECE,
      verify: 'full',
      files: [
        complete('one.mkv', randomBytes(3 * MB + 11)),
        (isLost ? complete : missing)('two.mkv', data),
        complete('three.mkv', randomBytes(MB + 7)),
      ],
    };
    const scene = await Scene.make({ onMount, complete: freshKind, address, releases: [released] });
    t.after(async () => await scene.end());
    await scene.add();
    const path = join(scene.collection, 'shelf 0', 'two.mkv');
    if (isLost) {
      await scene.all('it seeds', ({ activity, progress }) => activity === 'seeding' && progress === 1);
      await unlink(path);
      // Somebody looks: at what was never read nobody else has.
      assert.equal((await scene.autotorrent.run('verify')).code, 3);
    }
    const [lacking] = await scene.all('it downloads', ({ activity }) => activity === 'downloading');
    assert.ok((lacking?.progress ?? 1) < 1);
    const { pid } = scene.mounted.daemon;
    await writeFile(path, data);
    await scene.all('it seeds all of it', ({ activity, progress }) => activity === 'seeding' && progress === 1);
    const [entry] = (await scene.autotorrent.json('list', '--no-client')) as EntryJson[];
    assert.deepEqual([entry?.missing_bytes, entry?.downloaded_bytes, entry?.health], [0, 0, 'ok']);
    await waitUntil('it is said', async () =>
      /that were missing are there again: .* checked/.test(scene.server.output()),
    );
    const shown = await readFile(join(scene.autotorrent.storePath, released.name, released.name, 'two.mkv'));
    assert.ok(shown.equals(data));
    assert.equal(scene.mounted.daemon.pid, pid);
    if (!WHOLE) return;

    const fresh = await scene.member(freshKind, address + 2);
    const directory = fresh.daemon.downloads;
    await fresh.client.add(scene.laid.map(({ raw }) => ({ metainfo: parseMetainfo(raw), directory })));
    await fresh.client.start(scene.hashes);
    await exchange(scene.mounted, fresh, scene.hashes, LIMIT_MS);
    assert.deepEqual(await hashTree(directory), await hashTree(scene.completeFolder));
    assert.equal(await bytesReceived(scene.mounted, scene.hashes[0] ?? ''), 0);
  });
}
