/** Plans that stop in the middle: each held the server's memory, and a half-made entry, for as long as it liked. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ControlClient } from '../../src/control/client.ts';
import { type ControlServer, startControlServer } from '../../src/control/server.ts';
import { GAP } from '../../src/extent/extent.ts';
import { silentLogger } from '../../src/logger.ts';
import { encodePlan } from '../../src/plan/codec.ts';
import { EntryHealths } from '../../src/server/health/entry-health.ts';
import { Returns } from '../../src/server/returns.ts';
import { ServedStore } from '../../src/server/served-store.ts';
import { IndexRenewal } from '../../src/server/settling/index-renewal.ts';
import { CaseQueue } from '../../src/server/settling/queue.ts';
import { ReadersLook } from '../../src/source/look-at-readers.ts';
import { anywhere } from '../harness/anywhere.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { fileOf, planOf } from '../harness/plans.ts';
import { beginPlan, fakeMetainfo } from '../harness/raw-plan.ts';
import { type OpenVolume, openVolume } from '../harness/volume.ts';

describe('a plan that stalls', { timeout: 60_000 }, () => {
  let volume: OpenVolume;
  let socket: string;
  let server: ControlServer;
  let client: ControlClient;

  before(async () => {
    const folder = temporaryFolder('stalled-plan');
    volume = await openVolume(join(folder, 'state'));
    const facts = {
      version: '',
      driver: '',
      driverReason: '',
      mountPoint: folder,
      visibleTo: 'owner',
      readOnly: false,
      startedMs: 0,
    };
    const none = { opens: 0, reads: 0, bytesRead: 0, errors: 0, writes: 0, bytesWritten: 0 };
    const access = anywhere();
    const store = new ServedStore({
      store: volume.store,
      fileSystem: volume.fileSystem,
      counts: () => none,
      access,
      readersLook: new ReadersLook({ ownMounts: access.ownMounts, ownFolders: [folder] }),
      healths: new EntryHealths({ store: volume.store, disks: [], hasClient: false, logger: silentLogger }),
      scrubStatus: () => ({ when: 'off', state: 'off', provenPieces: 0, badPieces: 0, asleep: [] }),
      livingStatus: async () => ({
        watch: { fileSystems: [], asleep: [] },
        healer: { open: 0, urgent: 0, settled: 0 },
        repair: { onLoss: 'tell', queued: 0, spentBytes: 0, limitBytes: 0 },
        leases: { held: 0, awaited: 0 },
        passthrough: { files: 0, changed: 0 },
        kept: [],
        pins: [],
      }),
      logger: silentLogger,
      owner: { now: { uid: 0, gid: 0, from: 'server' }, look: assert.fail },
      repairs: { ask: assert.fail, noteReturned: assert.fail },
      returns: new Returns({ store: volume.store, note: assert.fail }),
      releases: { release: assert.fail },
      queue: new CaseQueue({ sources: volume.store.living, diskOf: () => undefined, onDue: () => {} }),
      renewal: new IndexRenewal({
        use: { look: assert.fail, usedLately: assert.fail, ownWork: assert.fail },
      }),
      facts: facts as ConstructorParameters<typeof ServedStore>[0]['facts'],
      shutdown: () => {},
    });
    socket = join(folder, 'control', 'socket');
    server = await startControlServer(store, socket, silentLogger, { silence: 400, all: 1000 });
    const connected = await ControlClient.connect(socket);
    assert.ok(connected);
    client = connected;
  });
  after(async () => {
    await server.close();
    await volume.close();
  });

  const files = Array.from({ length: 2000 }, (_, i) =>
    fileOf(['T', `${i}`], [{ length: 10, source: GAP, sourceOffset: 0 }], { status: 'missing', mode: 'none' }),
  );
  const bytes = encodePlan({
    ...planOf('T', [], files),
    metainfo: fakeMetainfo(files.length),
    pieceCount: 0,
    verified: Buffer.alloc(0),
  });
  const half = bytes.subarray(0, bytes.length - 20_000);

  it('is refused after a while, and leaves no half entry', async () => {
    const { call, reply } = beginPlan(socket, bytes.length);
    call.write(half);
    const { status, message } = await reply;
    assert.equal(status, 400);
    assert.match(message, /stalled: no bytes for 0\.4 s/);
    assert.deepEqual(await client.entries(), []);
    const rest: unknown[] = [];
    for await (const [key] of volume.level.iterator()) rest.push(key.toString('hex'));
    assert.ok(rest.length < 20, `${rest.length} records are left`);
  });

  it('is refused if it comes byte by byte', async () => {
    const { call, reply } = beginPlan(socket, bytes.length);
    const began = performance.now();
    const ended = reply.then(() => true);
    for (let at = 0; at < half.length; at++) {
      call.write(half.subarray(at, at + 1));
      if ((await Promise.race([ended, sleep(20)])) === true) break;
    }
    const { status, message } = await reply;
    assert.equal(status, 400, message);
    assert.ok(performance.now() - began < 10_000);
  });

  it('does not keep others from being added, however many stall', async () => {
    const stalled = Array.from({ length: 10 }, () => beginPlan(socket));
    for (const { call } of stalled) call.write(half);
    await sleep(50);
    assert.equal((await client.create([bytes])).files, files.length);
    await client.remove('T');
    for (const { call, reply } of stalled) {
      await reply.catch(() => {});
      call.destroy();
    }
    assert.deepEqual(await client.entries(), []);
  });
});
