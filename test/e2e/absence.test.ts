/** The mount goes away and comes back, with real clients on it; `npm run test:absence` has what takes longer. */
import assert from 'node:assert/strict';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { reaches, stateOf } from '../clients/steps.ts';
import { waitUntil } from '../harness/daemon.ts';
import { sectionOf, startMember } from '../harness/swarm.ts';
import { AbsenceScene, CLIENTS } from './absence/scene.ts';

/** Includes the time of a busy machine; the limit for one client that does not answer is 5 s. */
const SOON_MS = 20_000;

const [rtorrent, transmission] = CLIENTS;
assert.ok(rtorrent && transmission);

/** Two at a time: clients wait for each other more than they compute. */
describe('a client whose mount goes away', { concurrency: 2 }, () => {
  for (const client of CLIENTS) {
    const { kind } = client;
    describe(kind, { concurrency: 1 }, () => {
      let scene: AbsenceScene;
      let shared: AbsenceScene | undefined;
      /** Every test ends with a client that seeds, and so leaves the scene to the next one; after a failure that makes its own. */
      const itKeepsScene = (what: string, test: () => Promise<void>): void =>
        void it(what, async () => {
          scene = shared ?? (await AbsenceScene.make(client));
          shared = undefined;
          try {
            await test();
          } catch (error) {
            await scene.end();
            throw error;
          }
          shared = scene;
        });
      after(() => shared?.end());

      itKeepsScene('is stopped before an unmount and seeds again after mount, and after kill -9', async () => {
        await scene.unmount();
        assert.equal(await scene.activity(scene.seeding), 'stopped');
        assert.deepEqual(scene.recorded(), [scene.seeding]);
        await scene.mount();
        await scene.seeds();

        await scene.server.stop('SIGKILL');
        await scene.mount();
        await scene.says('had lost the mount use it again');
        await scene.seeds();
      });

      if (kind === 'rtorrent' || kind === 'transmission') {
        itKeepsScene('that checked while the mount was away, and found nothing, seeds again after mount', async () => {
          await scene.checksInVain();
          await scene.mount();
          await scene.says('had lost the mount use it again');
          await scene.seeds();
        });
      }

      if (kind === 'qbittorrent') {
        itKeepsScene('that was just started does not know yet what it has stopped: that stays stopped', async () => {
          await scene.server.stop('SIGKILL');
          await scene.mount();
          await scene.member.daemon.restart('killed');
          await scene.says('1 torrent(s) that had lost the mount');
          await scene.seeds();
        });
      }

      itKeepsScene(
        'that ends before the mount goes away, and starts when it is back, seeds without a word',
        async () => {
          await scene.isServing();
          // As at a shutdown and the next boot, if its service is ordered after that of the mount.
          await scene.member.daemon.restart('in order', async () => {
            for (const _ of ['once', 'and once more before it comes']) {
              await scene.unmount();
              assert.equal(scene.needs(), 'look');
              await scene.mount();
              await scene.says('it will be looked at when it answers');
            }
          });
          await scene.isServing();
          assert.doesNotMatch(scene.server.output(), /use it again|go on/);
          await scene.seeds();
        },
      );

      if (kind === 'qbittorrent' || kind === 'deluge') {
        itKeepsScene(
          'that checked while the mount was away, and starts again when it is back, has what is there',
          async () => {
            await scene.isServing();
            const { daemon } = scene.member;
            await daemon.restart('in order', () => scene.unmount());
            await scene.missesEverything();
            await daemon.restart('in order', async () => {
              await scene.mount();
              await scene.says('it will be looked at when it answers');
            });
            await scene.seeds();
          },
        );
      }

      itKeepsScene('that starts and checks while the mount is away seeds again after mount', async () => {
        await scene.isServing();
        await scene.member.daemon.restart('in order', () => scene.unmount());
        await scene.missesEverything();
        await scene.mount();
        // The others hold in error what the user had stopped, too, and do not tell which that was.
        await scene.seeds({ userStopped: kind === 'rtorrent' });
      });
    });
  }
});

describe('a mount that goes away and comes back', () => {
  let scene: AbsenceScene;
  afterEach(() => scene.end());

  it('two clients of one store are each stopped and started, and after kill -9 recover', async () => {
    scene = await AbsenceScene.make(rtorrent);
    const second = await startMember('transmission', '127.0.0.75');
    scene.later(() => second.daemon.stop());
    await appendFile(scene.autotorrent.config, ['[client-second]', ...sectionOf(second), ''].join('\n'));
    const torrent = join(scene.folder, 'seeds.bin.torrent');
    const added = await scene.autotorrent.run('-l', 'second', 'add', '--force', torrent);
    assert.equal(added.code, 0, added.stdout + added.stderr);
    const seed = async (): Promise<void> => {
      await scene.seeds();
      await reaches(second.client, scene.seeding, 'seeding');
    };
    await seed();

    await scene.unmount();
    for (const { client } of [scene.member, second]) {
      assert.equal((await stateOf(client, scene.seeding)).activity, 'stopped');
    }
    await scene.mount();
    await seed();

    await scene.server.stop('SIGKILL');
    await scene.mount();
    for (const name of ['rtorrent', String.raw`transmission \(client-second\)`]) {
      const told = new RegExp(`${name}: 1 torrent\\(s\\) that had lost the mount use it again`);
      await waitUntil('it has recovered', async () => told.test(scene.server.output()));
    }
    await seed();
  });

  it('a torrent that does not need the mount goes on without it', async () => {
    scene = await AbsenceScene.make(transmission, { general: ['scan_mode = exact', 'exact_target = original'] });
    await scene.unmount();
    assert.equal(await scene.activity(scene.seeding), 'seeding');
    assert.deepEqual(scene.recorded(), []);
    await scene.member.client.recheck([scene.seeding]);
    await sleep(500);
    assert.equal((await reaches(scene.member.client, scene.seeding, 'seeding')).progress, 1);
  });

  it('a torrent that lacks bytes waits behind a read-only mount for one that can be written to', async () => {
    scene = await AbsenceScene.make(transmission, { general: ['add_limit_percent = 60', 'add_limit_size = 10 MiB'] });
    const half = await scene.addHalf();
    await reaches(scene.member.client, half, 'downloading');
    await scene.unmount();

    await scene.mount('--read-only');
    await waitUntil('it says so', async () =>
      /1 torrent\(s\) stay stopped: they lack bytes/.test(scene.server.output()),
    );
    await reaches(scene.member.client, scene.seeding, 'seeding');
    assert.equal(await scene.activity(half), 'stopped');
    await waitUntil('the other is started', async () => scene.recorded().length === 1);
    assert.deepEqual(scene.recorded(), [half]);
    await scene.unmount();
    assert.deepEqual(scene.recorded().toSorted(), [half, scene.seeding].toSorted());

    await scene.mount();
    await reaches(scene.member.client, half, 'downloading');
    await scene.seeds();
  });

  it('a server that ends between what it records and what the client does leaves that to the next mount', async () => {
    scene = await AbsenceScene.make(rtorrent, { proxied: true });
    const goOn = scene.hangOnceRecorded();
    process.kill(scene.server.pid, 'SIGTERM');
    await waitUntil('it is told to stop', async () => scene.hangs);
    process.kill(scene.server.pid, 'SIGTERM');
    await scene.serverEnds();
    assert.deepEqual(scene.recorded(), [scene.seeding]);
    goOn();
    await scene.mount();
    await scene.seeds();
  });
});

describe('an unmount', () => {
  let scene: AbsenceScene;
  afterEach(() => scene.end());

  const unmount = async (): Promise<string> => {
    const begun = performance.now();
    const { code, stderr } = await scene.autotorrent.run('unmount');
    assert.equal(code, 0, stderr);
    assert.ok(performance.now() - begun < SOON_MS, `${performance.now() - begun} ms`);
    await scene.serverEnds();
    return stderr;
  };

  it('takes a moment where the client has ended or hangs, and says so; it recovers when it answers again', async () => {
    scene = await AbsenceScene.make(rtorrent);
    const goOn = scene.hang();
    assert.match(await unmount(), /rtorrent: its torrents were not stopped.*did not answer within 5 s/);
    await scene.mount();
    await waitUntil('it says so', async () =>
      scene.server.output().includes('its torrents will be started when it answers'),
    );
    goOn();
    await scene.seeds();

    await scene.isServing();
    await scene.member.daemon.stop();
    assert.equal(await unmount(), '');
    assert.match(scene.server.output(), /rtorrent is not running, so there is nothing to stop: .*has no socket there/);
    assert.equal(scene.needs(), 'look');
  });
});
