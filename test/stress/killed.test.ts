/**
 * Kills a server while programs write, and again while it starts: everything that it acknowledged must be there.
 */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DRIVERS } from '../conformance/drivers.ts';
import type { ServeOptions } from '../conformance/messages.ts';
import { Server } from '../conformance/server.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { Fixture } from './fixture.ts';
import { FileHistory, PAGE } from './history.ts';
import { Random } from './random.ts';
import { killSeed, roundsOf } from './setting.ts';
import { Writer } from './writer.ts';

const WRITERS = 3;
const ROUNDS = 8;

describe('the history of a file', () => {
  it('tells what is right, lost and wrong', () => {
    const [old, middle, last] = [1, 2, 3].map((byte) => Buffer.alloc(2 * PAGE, byte)) as [Buffer, Buffer, Buffer];
    const history = new FileHistory(old);
    history.begin(middle);
    history.acknowledge();
    history.begin(last);
    assert.deepEqual(history.judge(middle), { wrong: [], lost: [] });
    assert.deepEqual(history.judge(last), { wrong: [], lost: [] });
    assert.deepEqual(history.judge(Buffer.concat([old.subarray(0, PAGE), last.subarray(PAGE)])).lost, ['page 0']);
    const torn = Buffer.concat([middle.subarray(0, 10), last.subarray(10)]);
    assert.deepEqual(history.judge(torn), { wrong: ['page 0'], lost: [] });
    history.acknowledge();
    history.synced();
    assert.deepEqual(history.judge(old).wrong, ['page 0', 'page 1']);
    assert.deepEqual(history.judge(last.subarray(0, PAGE)).wrong, [`size ${PAGE}`]);
  });
});

for (const driver of DRIVERS)
  describe(`a server that is killed, driver ${driver}`, () => {
    const seed = killSeed();
    const random = new Random(seed);
    const rounds = roundsOf(ROUNDS);
    let folder: string;
    let options: ServeOptions;
    let fixture: Fixture;
    let hash: string;
    let server: Server;
    let writers: Writer[];

    before(async () => {
      folder = temporaryFolder('killed');
      options = { driver, mountPoint: join(folder, 'store'), statePath: join(folder, 'state') };
      fixture = await Fixture.make(join(folder, 'sources'));
      hash = await fixture.hash();
      server = await Server.start(options);
      writers = Array.from({ length: WRITERS }, (_, i) => new Writer(`writer ${i}`, random.seed(), fixture));
      for (const i of writers.keys()) await server.create(fixture.plan(`Entry ${i}`));
    });
    after(async () => {
      for (const writer of writers ?? []) await writer.close();
      await server?.stop();
    });

    const beginAll = async (): Promise<void> => {
      for (const [i, writer] of writers.entries()) await writer.begin(join(options.mountPoint, `Entry ${i}`));
    };

    /** Kills a server before it has read everything back. */
    const killWhileStarting = async (): Promise<void> => {
      const child = fork(fileURLToPath(new URL('../conformance/serve.js', import.meta.url)), {
        serialization: 'advanced',
        stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      });
      const ended = once(child, 'exit');
      child.send(options);
      await sleep(random.between(50, 400));
      child.kill('SIGKILL');
      await ended;
    };

    /** Kills sometimes at the start, mostly in the middle, and in a long run a few times around the regular checkpoint. */
    const delay = (): number => {
      if (rounds > ROUNDS && random.chance(0.03)) return random.between(29_500, 31_000);
      return random.chance(0.2) ? random.between(0, 60) : random.between(60, 800);
    };

    it(`keeps everything through ${rounds} rounds from seed ${seed} on`, { timeout: 3_600_000 }, async (test) => {
      const lost: string[] = [];
      for (let round = 1; round <= rounds; round++) {
        await beginAll();
        const state = { isStopping: false, isKilled: false };
        const cleanly = random.chance(0.1);
        const writing = Promise.all(writers.map(async (writer) => await writer.write(state)));
        await Promise.race([sleep(delay()), writing]);
        if (cleanly) {
          state.isStopping = true;
          await writing;
          await beginAll();
          assert.equal(await server.signal('SIGTERM'), 0);
        } else {
          state.isKilled = true;
          await server.signal('SIGKILL');
          await writing;
          if (random.chance(0.25)) await killWhileStarting();
        }
        server = await Server.start(options);
        await beginAll();
        for (const writer of writers) {
          const judgement = await writer.judge();
          assert.deepEqual(judgement.wrong, [], `round ${round} of seed ${seed}`);
          lost.push(...judgement.lost.map((one) => `round ${round}: ${one}`));
        }
      }
      const acknowledged = writers.reduce((sum, writer) => sum + writer.acknowledged, 0);
      test.diagnostic(
        `${acknowledged} operations acknowledged in ${rounds} rounds, ${lost.length} pages or sizes lost`,
      );
      assert.deepEqual(lost, []);
    });

    it('has touched no source', async () => {
      assert.equal(await fixture.hash(), hash);
    });
  });
