/**
 * Tests that "seeding" is true after `kill -9` of the server: fresh clients download everything from a client that had its files
 * open in the mount that went away. And clients that come up late or hang. Not part of `npm test`: `npm run test:absence`.
 */
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { reaches } from '../clients/steps.ts';
import { waitUntil } from '../harness/daemon.ts';
import { exchange, startMember } from '../harness/swarm.ts';
import { AbsenceScene, CLIENTS } from './absence/scene.ts';

const LIMIT_MS = 90_000;

let scene: AbsenceScene;
afterEach(() => scene?.end());

/** All of what `scene` seeds, by an rTorrent that has nothing; gives whether it had it before the limit. */
async function downloads(address: string, limitMs = LIMIT_MS): Promise<boolean> {
  const fresh = await startMember('rtorrent', address);
  try {
    const directory = join(scene.folder, `downloaded by ${address}`);
    await mkdir(directory);
    const metainfo = parseMetainfo(await readFile(join(scene.folder, 'seeds.bin.torrent')));
    await fresh.client.add([{ metainfo, directory }]);
    await fresh.client.start([scene.seeding]);
    await reaches(fresh.client, scene.seeding, 'downloading');
    const came = await exchange(scene.member, fresh, [scene.seeding], limitMs).then(
      () => true,
      () => false,
    );
    if (!came) return false;
    const [original, copy] = [join(scene.folder, 'disk', 'seeds.bin'), join(directory, 'seeds.bin')];
    assert.deepEqual(await readFile(copy), await readFile(original));
    return true;
  } finally {
    await fresh.daemon.stop();
  }
}

for (const [i, client] of CLIENTS.entries()) {
  const fresh = (n: number): string => `127.0.0.${80 + i * 4 + n}`;

  it(`others download from ${client.kind} again after kill -9, as before it`, async () => {
    scene = await AbsenceScene.make(client);
    assert.ok(await downloads(fresh(0)), 'before');
    await scene.server.stop('SIGKILL');
    await scene.mount();
    await waitUntil('it has recovered', async () => scene.server.output().includes('had lost the mount use it again'));
    assert.ok(await downloads(fresh(1)), 'behind the next mount');
    await scene.seeds();
  });

  it(`${client.kind} is left as it is by recover = off, but for what unmount stopped`, async () => {
    scene = await AbsenceScene.make(client, { general: ['recover = off'] });
    assert.equal((await scene.autotorrent.run('unmount')).code, 0);
    await scene.serverEnds();
    await scene.mount();
    // No check in between: a client that is called while it checks is not called again for ten minutes.
    await reaches(scene.member.client, scene.seeding, 'seeding');
    assert.ok(await downloads(fresh(0)), 'before');
    await scene.server.stop('SIGKILL');
    await scene.mount();
    const came = await downloads(fresh(1), 15_000);
    assert.doesNotMatch(scene.server.output(), /use it again/);
    // The reason for the recovery: rTorrent still has the file of the mount that went away.
    if (client.kind === 'rtorrent') assert.ok(!came, 'it recovered by itself');
  });

  it(`${client.kind} is told when it comes up after the mount`, async () => {
    scene = await AbsenceScene.make(client);
    assert.equal((await scene.autotorrent.run('unmount')).code, 0);
    await scene.serverEnds();
    await scene.mount();
    await scene.seeds();
    const goOn = scene.hang();
    await scene.server.stop('SIGKILL');
    await scene.mount();
    await waitUntil('it says so', async () => scene.server.output().includes('started when it answers'), {
      limitMs: LIMIT_MS,
    });
    goOn();
    await waitUntil('it has recovered', async () => scene.server.output().includes('use it again'), {
      limitMs: LIMIT_MS,
    });
    await scene.seeds();
  });
}

const [rtorrent, , qbittorrent, deluge] = CLIENTS;
assert.ok(rtorrent && qbittorrent && deluge);

for (const client of [qbittorrent, deluge]) {
  it(`${client.kind} whose check hangs since it lost the mount is named, and seeds once it was restarted`, async () => {
    scene = await AbsenceScene.make(client);
    await scene.checksInVain();
    await scene.mount();
    const told = /1 torrent\(s\) are stuck in a check .*: "seeds.bin"/;
    await waitUntil('it says so', async () => told.test(scene.server.output()), { limitMs: 180_000 });
    await scene.member.daemon.restart('in order');
    await scene.seeds();
  });
}

it('a client that hangs when it is told to stop does not keep the mount for longer than a minute', async () => {
  scene = await AbsenceScene.make(rtorrent, { proxied: true });
  const goOn = scene.hangOnceRecorded();
  const begun = performance.now();
  const { code, stderr } = await scene.autotorrent.run('unmount');
  assert.equal(code, 0, stderr);
  assert.match(stderr, /rtorrent: its torrents were not stopped.*did not answer within 30 s/);
  await scene.serverEnds();
  assert.ok(performance.now() - begun < 75_000, `${performance.now() - begun} ms`);
  assert.deepEqual(scene.recorded(), [scene.seeding]);
  goOn();
  await scene.mount();
  await scene.seeds();
});

describe('a second signal', () => {
  it('does not wait for a client that hangs', async () => {
    scene = await AbsenceScene.make(rtorrent);
    scene.hang();
    process.kill(scene.server.pid, 'SIGTERM');
    const begun = performance.now();
    await new Promise((resolve) => {
      setTimeout(resolve, 1000);
    });
    assert.equal(scene.server.exited(), undefined, 'it waits');
    process.kill(scene.server.pid, 'SIGTERM');
    await scene.serverEnds();
    assert.match(scene.server.output(), /not waiting for clients/);
    assert.ok(performance.now() - begun < 4500, `${performance.now() - begun} ms`);
  });
});
