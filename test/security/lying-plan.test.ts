/** Plans that say more than is true: of their length, or of what their torrent needs. Nothing of them may stay. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ControlClient } from '../../src/control/client.ts';
import { GAP } from '../../src/extent/extent.ts';
import { encodePlan } from '../../src/plan/codec.ts';
import type { Plan } from '../../src/plan/plan.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import type { Daemon } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { fileOf, planOf } from '../harness/plans.ts';
import { beginPlan, fakeMetainfo, planBeginning, type RawReply } from '../harness/raw-plan.ts';

describe('a plan that lies', { timeout: 120_000 }, () => {
  let autotorrent: Autotorrent;
  let daemon: Daemon;
  let socket: string;
  let server: ControlClient;

  before(async () => {
    const folder = temporaryFolder('lying-plan');
    await mkdir(join(folder, 'disk'));
    autotorrent = await autotorrentIn({ folder, disks: [join(folder, 'disk')] });
    daemon = await autotorrent.mount();
    socket = join(autotorrent.statePath, 'socket');
    const client = await ControlClient.connect(socket);
    assert.ok(client);
    server = client;
  });
  after(async () => {
    await autotorrent.run('unmount');
    await daemon.stop();
  });

  const metainfo = fakeMetainfo(20);
  const sent = async (bytes: Buffer, length = bytes.length): Promise<RawReply> => {
    const { call, reply } = beginPlan(socket, length);
    call.end(bytes);
    return await reply;
  };
  const files = Array.from({ length: 12 }, (_, i) =>
    fileOf(['T', `${i}`], [{ length: 10, source: GAP, sourceOffset: 0 }], { status: 'missing', mode: 'none' }),
  );
  const plan: Plan = { ...planOf('T', [], files), metainfo, pieceCount: 0, verified: Buffer.alloc(0) };

  const lies: readonly [string, Buffer, RegExp][] = [
    ['of a million files', planBeginning({ metainfo, fileCount: 1_000_000 }), /1000000 files, and no more than \d\d /],
    ['of a billion sources', planBeginning({ metainfo, sourceCount: 1e9 }), /1000000000 sources/],
    ['of four million pieces', planBeginning({ metainfo, pieceCount: 4e6 }), /4000000 pieces/],
    ['of a metainfo of a terabyte', planBeginning({ metainfo }, 1e12), /metainfo is too large/],
    ['of what is no metainfo', planBeginning({ metainfo: Buffer.from('metainfo') }), /not a valid torrent|bencoded/],
    ['of more files than follow', encodePlan({ ...plan, totalLength: 130 }).subarray(0, -40), /cut off/],
    ['of less than follows', Buffer.concat([encodePlan(plan), Buffer.alloc(100)]), /something follows/],
  ];
  for (const [what, bytes, message] of lies) {
    it(`${what} is refused, and leaves nothing`, async () => {
      const { status, message: said } = await sent(bytes);
      assert.ok(status !== undefined && status >= 400, said);
      assert.match(said, message);
      assert.deepEqual(await server.entries(), []);
    });
  }

  it('of its length is given up when the connection ends', async () => {
    const bytes = encodePlan(plan);
    const { call, reply } = beginPlan(socket, bytes.length + 1000);
    call.write(bytes);
    await new Promise((next) => setTimeout(next, 300));
    call.destroy();
    await assert.rejects(reply);
    await new Promise((next) => setTimeout(next, 300));
    assert.deepEqual(await server.entries(), []);
    // The same torrent can be added then: nothing of it is in the way.
    assert.equal((await server.create([bytes])).files, files.length);
    await server.remove('T');
  });
});
