/**
 * Partial torrents with real clients: what the collection lacks is downloaded into the mount, which then seeds all of
 * it. Nothing is replaced: the built program, a real mount, a client on it, another one that has everything, and a
 * third one that downloads everything from the mount in the end.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { AddOutcome } from '../../src/app/add.ts';
import type { TorrentState } from '../../src/clients/client.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { type Daemon, waitUntil } from '../harness/daemon.ts';
import { hashTree } from '../harness/hash-tree.ts';
import { bytesReceived, type ClientKind, exchange, type Member, startMember } from '../harness/swarm.ts';
import { overlayRoom } from './partial/overlay.ts';
import { BLOCK, type LaidOut, layOut, partialReleases, shownPath, sizeOf } from './partial/releases.ts';

const LIMIT_MS = 120_000;
/** What a file system may need beside the blocks: its own map of a file with many pieces. */
const ROOM_FOR_MAPS = 4 * BLOCK;

interface Case {
  readonly onMount: ClientKind;
  readonly complete: ClientKind;
  /** Loopback addresses: 127.0.0.N, N + 1 and N + 2. */
  readonly address: number;
  /** One of the cases has a large file: what is beside a missing one is usually that. */
  readonly neighbourBytes: number;
}

const CASES: readonly Case[] = [
  { onMount: 'rtorrent', complete: 'transmission', address: 21, neighbourBytes: 100_000_000 },
  { onMount: 'transmission', complete: 'rtorrent', address: 24, neighbourBytes: 20_000_000 },
];

for (const { onMount, complete, address, neighbourBytes } of CASES) {
  describe(`${onMount} on the mount, with torrents of which something is lacking`, () => {
    let folder: string;
    let collection: string;
    let completeFolder: string;
    let autotorrent: Autotorrent;
    let server: Daemon;
    let mounted: Member;
    let seeder: Member;
    let laid: readonly LaidOut[];
    let hashes: readonly string[];
    let sources: Map<string, string>;
    const undo: (() => Promise<unknown>)[] = [];

    const member = async (kind: ClientKind, number: number): Promise<Member> => {
      const started = await startMember(kind, `127.0.0.${number}`);
      undo.push(() => started.daemon.stop());
      return started;
    };
    const mount = async (): Promise<void> => {
      server = await autotorrent.mount();
      const started = server;
      undo.push(() => started.stop());
    };
    /** Waits until every torrent is in this state; gives the states in the order of `laid`. */
    const all = async (what: string, is: (state: TorrentState) => boolean): Promise<readonly TorrentState[]> => {
      let states: readonly TorrentState[] = [];
      try {
        await waitUntil(
          what,
          async () => {
            const listed = new Map((await mounted.client.list(hashes)).map((state) => [state.infoHash, state]));
            states = hashes.map((hash) => listed.get(hash)).filter((state) => state !== undefined);
            return states.length === hashes.length && states.every(is);
          },
          { limitMs: LIMIT_MS },
        );
      } catch (cause) {
        throw new Error(`${what}: ${JSON.stringify(states)}`, { cause });
      }
      return states;
    };
    /** Makes the client hash everything again, and says what it then has. */
    const recheck = async (activity: TorrentState['activity']): Promise<void> => {
      for (const hash of hashes) assert.equal(await mounted.client.recheck(hash), true);
      const states = await all('checked again', (state) => state.activity !== 'checking');
      for (const state of states) assert.deepEqual([state.activity, state.progress], [activity, 1], state.name);
    };

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'autotorrent-partial-'));
      undo.push(() => rm(folder, { recursive: true, force: true }));
      collection = join(folder, 'collection');
      mounted = await member(onMount, address);
      seeder = await member(complete, address + 1);
      completeFolder = join(folder, 'complete');
      laid = await layOut(partialReleases(neighbourBytes), {
        collection,
        complete: completeFolder,
        torrents: join(folder, 'torrents'),
      });
      hashes = laid.map(({ infoHash }) => infoHash);
      sources = await hashTree(collection, 'sha256');
      autotorrent = await autotorrentIn({
        folder,
        disks: [collection],
        client: [`client = ${onMount}`, `url = ${mounted.daemon.url}`],
        general: ['add_limit_percent = 100'],
      });
      const rebuilt = await autotorrent.run('rebuild');
      assert.equal(rebuilt.code, 0, rebuilt.stderr);
      await mount();
      for (const { raw, infoHash } of laid) {
        await seeder.client.add({ metainfo: parseMetainfo(raw), directory: completeFolder });
        await seeder.client.start(infoHash);
      }
    });
    after(async () => {
      for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
    });

    it('are added and started', async () => {
      for (const { release, torrent } of laid) {
        const added = await autotorrent.run('--json', 'add', '--verify', release.verify, torrent);
        assert.equal(added.code, 0, added.stdout + added.stderr);
        const [outcome] = JSON.parse(added.stdout) as AddOutcome[];
        const known = release.verify === 'full' || release.files.some(({ kept }) => kept === undefined);
        assert.match(outcome?.reason ?? '', known ? /; .* missing, .* to download$/ : /^Torrent added successfully$/);
      }
    });

    it('are checked before anything is downloaded, and what is there is found', async () => {
      const states = await all('they download', (state) => state.activity === 'downloading');
      for (const [i, { release, bytesLacking }] of laid.entries()) {
        const share = 1 - bytesLacking / sizeOf(release);
        const progress = states[i]?.progress ?? 0;
        // Transmission tells four places.
        assert.ok(Math.abs(progress - share) <= 0.0001, `${release.title}: ${progress}, not ${share}`);
      }
    });

    it('are downloaded to the end', async () => {
      await exchange(seeder, mounted, hashes, LIMIT_MS);
      // What follows comes from the mount alone.
      await seeder.daemon.stop();
    });

    it('cost no more than the pieces that lacked something', async () => {
      for (const { release, infoHash, bytesLacking } of laid) {
        assert.equal(await bytesReceived(mounted, infoHash), bytesLacking, release.title);
      }
    });

    it('are found complete by another check', async () => {
      await recheck('seeding');
    });

    it('are complete after a restart of the server', async () => {
      for (const hash of hashes) await mounted.client.stop(hash);
      await all('they are stopped', (state) => state.activity === 'stopped');
      assert.equal((await autotorrent.run('unmount')).code, 0);
      await waitUntil('the server has ended', async () => server.exited() !== undefined);
      await mount();
      await recheck('stopped');
      for (const hash of hashes) await mounted.client.start(hash);
      await all('they seed', (state) => state.activity === 'seeding' && state.progress === 1);
    });

    it('take the room of what was downloaded, and none for what was there', async () => {
      const room = await overlayRoom(autotorrent.statePath);
      for (const { release, overlayBytes } of laid) {
        for (const file of release.files) {
          const { ino } = await stat(join(autotorrent.storePath, release.name, shownPath(release, file)));
          const wanted = overlayBytes.get(file.path.join('/')) ?? 0;
          const taken = room.get(ino) ?? 0;
          const most = wanted === 0 ? 0 : wanted + ROOM_FOR_MAPS;
          assert.ok(
            taken >= wanted && taken <= most,
            `${release.title}: ${file.path.join('/')}: ${taken}, not ${wanted}`,
          );
        }
      }
    });

    it('are downloaded from the mount by another client, byte for byte', async () => {
      const fresh = await member('rtorrent', address + 2);
      for (const { raw, infoHash } of laid) {
        await fresh.client.add({ metainfo: parseMetainfo(raw), directory: fresh.daemon.downloads });
        await fresh.client.start(infoHash);
      }
      await exchange(mounted, fresh, hashes, LIMIT_MS);
      assert.deepEqual(await hashTree(fresh.daemon.downloads), await hashTree(completeFolder));
    });

    it('leave the collection as it was', async () => {
      assert.deepEqual(await hashTree(collection, 'sha256'), sources);
    });
  });
}
