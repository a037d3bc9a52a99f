/** Large bodies on the control socket of a real server: each took its announced length in memory, and the server kept it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ControlClient } from '../../src/control/client.ts';
import { GAP } from '../../src/extent/extent.ts';
import { encodedPlan } from '../../src/plan/codec.ts';
import type { Plan } from '../../src/plan/plan.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import type { Daemon } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { beginPlan, fakeMetainfo, planBeginning } from '../harness/raw-plan.ts';

const MB = 1e6;

describe('a large plan', { timeout: 300_000 }, () => {
  let autotorrent: Autotorrent;
  let daemon: Daemon;
  let socket: string;
  let server: ControlClient;

  before(async () => {
    const folder = temporaryFolder('large-plan');
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

  const memory = (name: 'VmRSS' | 'VmHWM'): number => {
    const status = readFileSync(`/proc/${daemon.pid}/status`, 'utf8');
    return Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024;
  };
  /** Resolves when the server's memory has come back near to what it was. */
  const returned = async (was: number, within: number): Promise<void> => {
    for (let tries = 0; memory('VmRSS') > was + within; tries++) {
      assert.ok(tries < 100, `${(memory('VmRSS') - was) / MB} MB are kept`);
      await sleep(100);
    }
  };

  it('that is only announced takes no memory', async () => {
    const was = memory('VmRSS');
    const calls = Array.from({ length: 8 }, () => beginPlan(socket, 500 * MB));
    for (const { call } of calls) call.write('ATPLAN');
    await sleep(500);
    assert.ok(memory('VmRSS') - was < 40 * MB, `${(memory('VmRSS') - was) / MB} MB`);
    for (const { call } of calls) call.destroy();
  });

  it('that goes on without an end is refused while it comes, and its memory returns', async () => {
    const was = memory('VmRSS');
    const { call, reply } = beginPlan(socket);
    const block = randomBytes(1 << 20);
    call.write(planBeginning({ metainfo: fakeMetainfo(10), fileCount: 3 }));
    let sent = 0;
    const answered = reply.then(() => true);
    while (sent < 600 * MB) {
      sent += block.length;
      const more = call.write(block);
      const ended = await Promise.race([answered, more ? sleep(0) : new Promise((next) => call.once('drain', next))]);
      if (ended === true) break;
    }
    const { status, message } = await reply;
    assert.ok(status !== undefined && status >= 400, message);
    assert.ok(sent < 100 * MB, `${sent / MB} MB were taken`);
    await returned(was, 30 * MB);
    assert.deepEqual(await server.entries(), []);
  });

  it('is made while it comes, one of 40 MB of metainfo and of 30,000 files, and its memory returns', async () => {
    const files = Array.from({ length: 30_000 }, (_, i) => ({
      path: ['T', `folder ${i % 300}`, `${i} ${'x'.repeat(150)}`],
      length: 1000,
      status: 'missing' as const,
      mode: 'none',
      code: 'no-candidate' as const,
      mtimeMs: 0,
      executable: false,
      extents: [{ offset: 0, length: 1000, source: GAP, sourceOffset: 0 }],
    }));
    const plan: Plan = {
      name: 'large',
      infoHash: 'cd'.repeat(20),
      metainfo: fakeMetainfo(30_000, 40 * MB),
      pieceCount: 2000,
      pieceLength: 16_384,
      verified: Buffer.alloc(250),
      verify: 'none',
      totalLength: 30_000_000,
      missingBytes: 30_000_000,
      sources: [],
      files,
    };
    const was = memory('VmRSS');
    const { files: count } = await server.create(encodedPlan(plan));
    assert.equal(count, 30_000);
    let listed = 0;
    for await (const file of server.files('large')) if (file.status === 'missing') listed++;
    assert.equal(listed, 30_000);
    await server.remove('large');
    // LevelDB keeps what was written last, until it writes more.
    await returned(was, 150 * MB);
  });
});
