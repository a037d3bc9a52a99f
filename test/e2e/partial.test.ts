/**
 * Partial torrents with real clients: the client downloads the missing bytes into the mount, which then seeds all of them.
 * Nothing is replaced: the built program, a real mount, a client on it, another one that has everything, and a third one that
 * downloads everything from the mount at the end.
 */
import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { EntryJson, FileJson } from '../../src/cli/json.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { waitUntil } from '../harness/daemon.ts';
import { hashTree } from '../harness/folder.ts';
import { bytesReceived, type ClientKind, exchange, type MemberOptions } from '../harness/swarm.ts';
import { roomOf, roomTaken } from './partial/overlay.ts';
import { BLOCK, partialReleases, type ReleaseOptions, shownPath, sizeOf } from './partial/releases.ts';
import { LIMIT_MS, Scene } from './partial/scene.ts';

/** Room that a file system may need beside the blocks: its own map of a file with many pieces. */
const ROOM_FOR_MAPS = 4 * BLOCK;

type ShownEntry = EntryJson & { readonly file_list: readonly FileJson[] };

interface Case extends ReleaseOptions {
  readonly onMount: ClientKind;
  readonly complete: ClientKind;
  /** Loopback addresses: 127.0.0.N, N + 1 and N + 2. */
  readonly address: number;
  readonly mountedOptions?: MemberOptions;
}

const CASES: readonly Case[] = [
  {
    onMount: 'rtorrent',
    complete: 'transmission',
    address: 21,
    // Once a large file, which usually lies beside a missing one.
    neighbourBytes: 100_000_000,
    missingName: '03 - Rope.flac',
  },
  {
    onMount: 'transmission',
    complete: 'rtorrent',
    address: 24,
    neighbourBytes: 20_000_000,
    // It looks for `03 - Rope_ _Live_.flac`.
    missingName: '03 - Rope: "Live".flac',
  },
  {
    onMount: 'qbittorrent',
    complete: 'rtorrent',
    address: 27,
    neighbourBytes: 20_000_000,
    // It looks for `03 - Rope Live.flac`.
    missingName: '03 - Rope\\ Live.flac',
    // It renames incomplete files to `03 - Rope Live.flac.!qB`, also in the collection.
    mountedOptions: { conf: { Preferences: ['Downloads\\UseIncompleteExtension=true'] } },
  },
];

/** Two at a time: clients wait for each other more than they compute. */
describe('partial torrents', { concurrency: 2 }, () => {
  for (const { neighbourBytes, missingName, ...roles } of CASES) {
    const { onMount, address } = roles;
    describe(`${onMount} on the mount, with torrents of which something is lacking`, { concurrency: 1 }, () => {
      let scene: Scene;
      before(async () => {
        scene = await Scene.make({ ...roles, releases: partialReleases({ neighbourBytes, missingName }) });
      });
      after(() => scene?.end());

      it('are added and started', async () => {
        const reasons = await scene.add();
        for (const [i, { release }] of scene.laid.entries()) {
          const known = release.verify === 'full' || release.files.some(({ kept }) => kept === undefined);
          assert.match(reasons[i] ?? '', known ? /; .* missing, .* to download$/ : /^Torrent added successfully$/);
        }
      });

      it('are checked before anything is downloaded, and what is there is found', async () => {
        const states = await scene.all('they download', ({ activity }) => activity === 'downloading');
        for (const [i, { release, bytesLacking }] of scene.laid.entries()) {
          const share = 1 - bytesLacking / sizeOf(release);
          const progress = states[i]?.progress ?? 0;
          // Transmission tells four places.
          assert.ok(Math.abs(progress - share) <= 0.0001, `${release.title}: ${progress}, not ${share}`);
        }
      });

      it('are downloaded to the end', async () => {
        await exchange(scene.seeder, scene.mounted, scene.hashes, LIMIT_MS);
        // From here on the bytes come from the mount alone.
        await scene.seeder.daemon.stop();
      });

      it('cost no more than the pieces that lacked something', async () => {
        for (const { release, infoHash, bytesLacking } of scene.laid) {
          assert.equal(await bytesReceived(scene.mounted, infoHash), bytesLacking, release.title);
        }
      });

      it('are found complete by another check', () => scene.recheck('seeding'));

      it('count as downloaded, and every piece as verified', async () => {
        let entries: EntryJson[] = [];
        const counted = async (): Promise<boolean> => {
          entries = (await scene.autotorrent.json('list', '--no-client')) as EntryJson[];
          return entries.every((entry) => entry.missing_bytes === 0 && entry.verified_pieces === entry.pieces);
        };
        await waitUntil('it counts', counted, { limitMs: LIMIT_MS }).catch((cause: unknown) => {
          throw new Error(JSON.stringify(entries), { cause });
        });
      });

      it('are complete after a restart of the server', async () => {
        const { client } = scene.mounted;
        await client.stop(scene.hashes);
        await scene.all('they are stopped', ({ activity }) => activity === 'stopped');
        assert.equal((await scene.autotorrent.run('unmount')).code, 0);
        await waitUntil('the server has ended', async () => scene.server.exited() !== undefined);
        await scene.mount();
        await scene.recheck('stopped');
        await client.start(scene.hashes);
        await scene.all('they seed', ({ activity, progress }) => activity === 'seeding' && progress === 1);
      });

      it('take the room of what was downloaded, and none for what was there', async () => {
        const { storePath, statePath } = scene.autotorrent;
        const room = await roomTaken(statePath);
        for (const { release, overlayBytes } of scene.laid) {
          const { file_list: files } = (await scene.autotorrent.json('show', release.name)) as ShownEntry;
          for (const [i, file] of release.files.entries()) {
            const path = shownPath(release, file);
            const { ino } = await stat(join(storePath, release.name, path));
            const extents = files[i]?.extents ?? [];
            // The file that was missing as a whole is now in the pool, and the store has a link to it.
            const sources = extents.map(({ source }) => source ?? '');
            const pooled = sources.find((source) => source.startsWith(join(statePath, 'pooled')));
            assert.equal(pooled !== undefined, file.kept === undefined, path);
            const wanted = overlayBytes.get(file.path.join('/')) ?? 0;
            const taken = pooled === undefined ? (room.get(ino) ?? 0) : await roomOf(pooled);
            const most = wanted === 0 ? 0 : wanted + ROOM_FOR_MAPS;
            assert.ok(taken >= wanted && taken <= most, `${release.title}: ${path}: ${taken}, not ${wanted}`);
            if (pooled !== undefined) assert.equal(room.get(ino), undefined, `${path} is not in the overlay, too`);
          }
        }
      });

      it('are downloaded from the mount by another client, byte for byte', async () => {
        const fresh = await scene.member('rtorrent', address + 2);
        const directory = fresh.daemon.downloads;
        await fresh.client.add(scene.laid.map(({ raw }) => ({ metainfo: parseMetainfo(raw), directory })));
        await fresh.client.start(scene.hashes);
        await exchange(scene.mounted, fresh, scene.hashes, LIMIT_MS);
        assert.deepEqual(await hashTree(fresh.daemon.downloads), await hashTree(scene.completeFolder));
      });

      it('leave the collection as it was', () => scene.collectionIsUnchanged());
    });
  }
});
