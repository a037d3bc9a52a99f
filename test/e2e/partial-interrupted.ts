/**
 * Partial torrents whose download is interrupted: by `kill -9` of the server or of the client, and by an orderly end of
 * the server while a client downloads. And with clients that preallocate. Not part of `npm test`: `npm run test:partial`.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { reaches } from '../clients/steps.ts';
import { waitUntil } from '../harness/daemon.ts';
import { hashTree } from '../harness/folder.ts';
import { type ClientKind, exchange, type MemberOptions } from '../harness/swarm.ts';
import { complete, missing, type PartialRelease } from './partial/releases.ts';
import { LIMIT_MS, Scene } from './partial/scene.ts';

const MB = 1_000_000;
const KiB = 1024;
/** A second and more for what is missing, so that it can be interrupted. */
const SLOW: MemberOptions = {
  rc: ['throttle.global_up.max_rate.set_kb = 2000'],
  settings: { 'speed-limit-up-enabled': true, 'speed-limit-up': 2000 },
};
const PREALLOCATING: MemberOptions = { rc: ['system.file.allocate.set = 1'], settings: { preallocation: 2 } };

const releases = (): PartialRelease[] => [
  {
    title: 'a missing file between two complete ones',
    name: 'Interrupted (2011)',
    pieceLength: 256 * KiB,
    verify: 'full',
    files: [
      complete('1.flac', randomBytes(5 * MB + 1)),
      missing('2.flac', randomBytes(20 * MB + 3)),
      complete('3.flac', randomBytes(5 * MB + 5)),
    ],
  },
];

const PAIRS: readonly { readonly onMount: ClientKind; readonly complete: ClientKind; readonly address: number }[] = [
  { onMount: 'rtorrent', complete: 'rtorrent', address: 41 },
  { onMount: 'transmission', complete: 'rtorrent', address: 44 },
];

for (const pair of PAIRS) {
  describe(`${pair.onMount} on the mount, interrupted`, () => {
    let scene: Scene;
    afterEach(() => scene?.end());

    const begin = async (options: {
      mountedOptions?: MemberOptions;
      completeOptions?: MemberOptions;
    }): Promise<void> => {
      scene = await Scene.make({ ...pair, releases: releases(), ...options });
      await scene.add();
      await scene.all('it downloads', ({ activity }) => activity === 'downloading');
    };
    /** Lets it download about half, then stops the exchange. */
    const half = async (): Promise<void> => {
      const stop = new AbortController();
      const running = exchange(scene.seeder, scene.mounted, scene.hashes, LIMIT_MS, stop.signal);
      const states = await scene.all('the half', ({ progress }) => progress > 0.6);
      stop.abort();
      await running;
      assert.ok((states[0]?.progress ?? 1) < 0.99, 'it is not done');
    };
    const finish = async (): Promise<void> => {
      await scene.all('it downloads', ({ activity }) => activity === 'downloading');
      // It calls no peer twice within ten minutes.
      await scene.seeder.daemon.restart('in order');
      await reaches(scene.seeder.client, scene.hashes[0] ?? '', 'seeding');
      await exchange(scene.seeder, scene.mounted, scene.hashes, LIMIT_MS);
      await scene.recheck('seeding');
      const shown = join(scene.autotorrent.storePath, 'Interrupted (2011)');
      assert.deepEqual(await hashTree(shown), await hashTree(scene.completeFolder));
      await scene.collectionIsUnchanged();
    };

    it('kill -9 of the client', async () => {
      await begin({ completeOptions: SLOW });
      // Transmission writes down where a new torrent lies when it is stopped, else after six minutes.
      await scene.mounted.client.stop(scene.hashes);
      await scene.mounted.client.start(scene.hashes);
      await scene.all('it downloads', ({ activity }) => activity === 'downloading');
      await half();
      await scene.mounted.daemon.restart('killed');
      // Transmission answers before it has loaded what it has.
      await waitUntil('it has it', async () => (await scene.mounted.client.start(scene.hashes)).length > 0);
      await finish();
    });

    it('kill -9 of the server', async () => {
      await begin({ completeOptions: SLOW });
      await half();
      await scene.server.stop('SIGKILL');
      await sleep(500);
      await scene.mount();
      await recovered('had lost the mount use it again');
      await finish();
    });

    it('an unmount while it downloads', async () => {
      await begin({ completeOptions: SLOW });
      await half();
      assert.equal((await scene.autotorrent.run('unmount')).code, 0);
      await waitUntil('the server has ended', async () => scene.server.exited() !== undefined);
      await sleep(500);
      await scene.mount();
      await recovered('stopped for the mount run again');
      await finish();
    });

    it('preallocation', async () => {
      await begin({ mountedOptions: PREALLOCATING });
      await finish();
    });

    /** The server has it stopped, checked if needed, and started. */
    async function recovered(said: string): Promise<void> {
      await waitUntil('it goes on', async () => scene.server.output().includes(said), { limitMs: LIMIT_MS });
    }
  });
}
