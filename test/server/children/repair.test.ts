/** Tests each step of a repair, and what a crash after it leaves, with pretended clients and a pretended server. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import type { TorrentClient, TorrentState } from '../../../src/clients/client.ts';
import type { Losses, ServedEntry, ServerStatus } from '../../../src/control/served.ts';
import { AutotorrentError } from '../../../src/errors.ts';
import { Clients } from '../../../src/server/children/repair/clients.ts';
import { Repair, type RepairParts } from '../../../src/server/children/repair/one-repair.ts';
import type { RepairLine } from '../../../src/server/processes/repair.ts';
import { RepairRecord } from '../../../src/server/processes/repair-record.ts';
import { temporaryFolder } from '../../harness/folder.ts';

const HASH = 'a'.repeat(40);
const MB = 1_000_000;
const KILLED = new Error('killed');

/** A client whose torrent does at once what it is told. It finds what the server lacks when it is told to check. */
class PretendedClient {
  activity: TorrentState['activity'] | undefined = 'seeding';
  progress = 1;
  failure: string | undefined;
  /** It says that it stops, or checks, and does not. */
  readonly ignores = new Set<string>();
  readonly told: string[] = [];
  readonly #missing: () => number;

  constructor(missing: () => number) {
    this.#missing = missing;
  }

  #tell(what: string): void {
    if (this.failure !== undefined) throw new AutotorrentError('CLIENT', this.failure);
    this.told.push(what);
  }

  readonly connect = (): TorrentClient => {
    const act = (what: string, then: () => void) => async (hashes: readonly string[]) => {
      this.#tell(what);
      if (!this.ignores.has(what)) then();
      return [...hashes];
    };
    return {
      describe: async () => {
        if (this.failure !== undefined) throw new AutotorrentError('CLIENT', this.failure);
        return { name: 'Pretended', version: '1' };
      },
      list: async () => {
        if (this.failure !== undefined) throw new AutotorrentError('CLIENT', this.failure);
        const { activity, progress } = this;
        return activity === undefined ? [] : [{ infoHash: HASH, name: 'film', activity, progress }];
      },
      start: act('start', () => {
        this.activity = this.progress === 1 ? 'seeding' : 'downloading';
      }),
      stop: act('stop', () => {
        this.activity = 'stopped';
      }),
      recheck: act('recheck', () => {
        this.progress = 1 - this.#missing() / (100 * MB);
      }),
      close: async () => {},
      takesWord: () => false,
      add: async () => [],
      remove: async () => [],
    };
  };
}

describe('a repair', () => {
  let folder: string;
  let lost: number;
  let missing: number;
  let losses: Partial<Losses>;
  let entry: Partial<ServedEntry> | undefined;
  let status: Partial<ServerStatus>;
  let clients: Map<string, PretendedClient>;
  /** What has happened, in its order: gaps, and what clients were told. */
  let config: RepairParts['config'];
  /** Throws after this step was recorded, as often as given. */
  let killAfter: string | undefined;
  let killBeforeGapsEnd = false;
  /** Bytes of gaps that have come back. */
  let back: number;

  beforeEach(() => {
    folder = temporaryFolder('repair');
    [lost, missing, losses, killAfter, killBeforeGapsEnd] = [2 * MB, 0, {}, undefined, false];
    back = 0;
    status = { pid: 7, readOnly: false };
    entry = { name: 'film', infoHash: HASH, kind: 'mount', state: 'added', size: 100 * MB, directory: folder };
    config = { onLoss: 'repair', addLimitSize: 64 * MB, addLimitPercent: 5, repairLimit: 1000 * MB };
    clients = new Map([['', new PretendedClient(() => missing)]]);
  });
  const client = (name = ''): PretendedClient => clients.get(name) ?? assert.fail();
  const path = (): string => join(folder, 'repair.json');
  const record = (): RepairRecord => RepairRecord.read(path(), (message) => assert.fail(message));

  /** Runs what one child does. */
  const run = async (asked = false, came?: 'found' | 'mapped'): Promise<RepairLine[]> => {
    const lines: RepairLine[] = [];
    const kept = record();
    const set = kept.set.bind(kept);
    kept.set = async (infoHash, job, ...more) => {
      await set(infoHash, job, ...more);
      if (job.next === killAfter) throw KILLED;
    };
    const sections = [...clients.keys()].map((name) => ({
      name,
      shown: `pretended ${name}`.trim(),
      config: { client: 'transmission', url: name } as const,
    }));
    const server = {
      entry: async () => (entry === undefined ? undefined : ({ missingBytes: missing, ...entry } as ServedEntry)),
      status: async () => status as ServerStatus,
      losses: async () => ({ lostBytes: lost, downloadBytes: lost, unsettled: 0, doubted: [], ...losses }),
      makeGaps: async () => {
        for (const one of clients.values()) {
          assert.ok(one.activity === 'stopped' || one.activity === undefined, 'no client runs when the gap is made');
        }
        const made = lost;
        missing += lost;
        lost = 0;
        if (killBeforeGapsEnd) throw KILLED;
        return made;
      },
    };
    const returned = {
      find: async () => back > 0,
      map: async () => {
        for (const one of clients.values()) {
          assert.ok(one.activity === 'stopped' || one.activity === undefined, 'no client runs when bytes are mapped');
        }
        const bytes = back;
        missing -= bytes;
        back = 0;
        return bytes;
      },
    };
    const connect = ((section: { url: string }) => client(section.url).connect()) as never;
    const parts = { config, server, record: kept, clients: new Clients(sections, connect), skipped: [], returned };
    await new Repair(parts, HASH, (line) => lines.push(line)).run(asked, came);
    return lines;
  };
  const outcome = async (asked = false): Promise<string | undefined> => (await run(asked)).at(-1)?.outcome;

  it('stops the torrent, makes the gap, has the client check, and starts it', async () => {
    const [line] = await run();
    assert.equal(line?.outcome, 'repaired');
    assert.equal(line?.message, '2.0 MB of "film" were lost and are missing now: pretended downloads them');
    assert.deepEqual(client().told, ['stop', 'recheck', 'start']);
    assert.deepEqual([client().activity, client().progress, missing], ['downloading', 0.98, 2 * MB]);
    assert.deepEqual(record().infoHashes, []);
    assert.equal(await outcome(), 'nothing');
  });

  it('leaves a torrent stopped that the user had stopped, and has it checked', async () => {
    client().activity = 'stopped';
    assert.equal(await outcome(), 'repaired');
    assert.deepEqual(client().told, ['stop', 'recheck']);
    assert.deepEqual([client().activity, client().progress], ['stopped', 0.98]);
  });

  it('makes gaps alone for an entry that no client has, and without clients', async () => {
    client().activity = undefined;
    assert.match((await run())[0]?.message ?? '', /missing now: no client has the torrent$/);
    assert.deepEqual([client().told, missing], [[], 2 * MB]);
    clients.clear();
    lost = MB;
    assert.equal(await outcome(), 'repaired');
    assert.equal(missing, 3 * MB);
  });

  it('does it in every client that has the torrent, and not while one of them cannot be asked', async () => {
    clients.set('laptop', new PretendedClient(() => missing));
    client('laptop').failure = 'nothing listens there';
    const [line] = await run();
    assert.equal(line?.outcome, 'later');
    assert.match(
      line?.message ?? '',
      /2\.0 MB of "film" are lost, and cannot be downloaded yet: pretended laptop: nothing listens/,
    );
    assert.deepEqual([missing, client().told, client().activity, record().infoHashes], [0, [], 'seeding', []]);
    client('laptop').failure = undefined;
    assert.equal(await outcome(), 'repaired');
    for (const name of clients.keys()) assert.deepEqual(client(name).told, ['stop', 'recheck', 'start'], name);
  });

  it('makes no gap while a client does not stop, and goes on when it does', async () => {
    client().ignores.add('stop');
    assert.equal(await outcome(), 'later');
    assert.deepEqual([missing, client().activity], [0, 'seeding']);
    client().ignores.clear();
    assert.equal(await outcome(), 'repaired');
    assert.deepEqual([client().activity, missing], ['downloading', 2 * MB]);
  });

  it('takes a check that runs for a torrent that is not stopped', async () => {
    client().activity = 'checking';
    client().ignores.add('stop');
    assert.equal(await outcome(), 'later');
    assert.equal(missing, 0);
  });

  it('does not start what still takes itself for complete', async () => {
    client().ignores.add('recheck');
    const [line] = await run();
    assert.equal(line?.outcome, 'later');
    assert.match(line?.message ?? '', /still takes the torrent for complete after 3 checks/);
    assert.deepEqual(client().told, ['stop', 'recheck', 'recheck', 'recheck']);
    assert.equal(client().activity, 'stopped');
    client().ignores.clear();
    assert.equal(await outcome(), 'repaired');
    assert.equal(client().activity, 'downloading');
  });

  for (const step of ['stop', 'gaps', 'make', 'check', 'wait', 'start']) {
    it(`goes on after a crash before the step "${step}"`, async () => {
      killAfter = step;
      await assert.rejects(run(), KILLED);
      assert.deepEqual(record().infoHashes, [HASH]);
      killAfter = undefined;
      // A server that was started again.
      status = { ...status, pid: 8 };
      assert.equal(await outcome(), 'repaired');
      assert.deepEqual([client().activity, client().progress, missing], ['downloading', 0.98, 2 * MB]);
      assert.ok(client().told.includes('recheck'));
      assert.deepEqual(record().infoHashes, []);
    });
  }

  it('has the clients check after a crash in the middle of making gaps, though nothing is lost any more', async () => {
    killBeforeGapsEnd = true;
    await assert.rejects(run(), KILLED);
    killBeforeGapsEnd = false;
    assert.deepEqual([lost, client().progress], [0, 1]);
    assert.equal(await outcome(), 'repaired');
    assert.deepEqual([client().activity, client().progress], ['downloading', 0.98]);
  });

  it('checks again if an unmount may have ended the check', async () => {
    killAfter = 'wait';
    client().ignores.add('recheck');
    // It lacks something already, so its progress says nothing.
    missing = MB;
    client().progress = 0.98;
    await assert.rejects(run(), KILLED);
    [killAfter, status] = [undefined, { ...status, pid: 8 }];
    client().ignores.clear();
    assert.equal(await outcome(), 'repaired');
    assert.deepEqual(client().told, ['stop', 'recheck', 'recheck', 'start']);
    assert.equal(client().progress, 0.97);
  });

  it('stops again what the user started meanwhile, and starts it in the end', async () => {
    client().activity = 'stopped';
    killAfter = 'gaps';
    await assert.rejects(run(), KILLED);
    killAfter = undefined;
    client().activity = 'seeding';
    assert.equal(await outcome(), 'repaired');
    assert.deepEqual(client().told, ['stop', 'stop', 'recheck', 'start']);
  });

  it('starts the torrent, and makes no gap, if the bytes are there again', async () => {
    killAfter = 'gaps';
    await assert.rejects(run(), KILLED);
    [killAfter, lost] = [undefined, 0];
    assert.equal(await outcome(), 'nothing');
    assert.deepEqual([client().told, client().activity, missing], [['stop', 'start'], 'seeding', 0]);
  });

  it('waits while other sources of the entry are not settled, and while the mount takes no writes', async () => {
    losses = { unsettled: 2 };
    assert.match((await run())[0]?.message ?? '', /2 other source\(s\) of it are waiting or being looked for$/);
    losses = {};
    status = { ...status, readOnly: true };
    assert.match((await run())[0]?.message ?? '', /the mount is read-only$/);
    assert.deepEqual(client().told, []);
  });

  it('makes gaps of what was lost meanwhile before it has a client check, within the limits', async () => {
    killAfter = 'check';
    await assert.rejects(run(), KILLED);
    [killAfter, lost] = [undefined, 10 * MB];
    assert.match((await run())[0]?.message ?? '', /12\.00% would be missing.*; the torrent stays stopped$/);
    assert.deepEqual(client().told, ['stop']);
    lost = MB;
    assert.equal(await outcome(), 'repaired');
    assert.deepEqual([client().told, missing], [['stop', 'recheck', 'start'], 3 * MB]);
    assert.equal(record().spent(Date.now()), 3 * MB);
  });

  it('reads what is doubted before it has a client check, and waits if that fails', async () => {
    losses = { doubted: [{ path: 'film/a.mkv', offset: 0, length: 10 }] };
    const [line] = await run();
    assert.equal(line?.outcome, 'later');
    assert.match(line?.message ?? '', /^film\/a\.mkv cannot be read, so the torrent stays stopped: ENOENT/);
    assert.deepEqual([client().told, client().activity, missing], [['stop'], 'stopped', 2 * MB]);
    mkdirSync(join(folder, 'film'));
    writeFileSync(join(folder, 'film/a.mkv'), Buffer.alloc(10));
    assert.equal(await outcome(), 'repaired');
  });

  for (const [what, change, why] of [
    ['on_loss = tell', { onLoss: 'tell' }, 'on_loss = tell'],
    [
      'a loss beyond add_limit_size',
      { addLimitSize: MB },
      '2.0 MB would be missing, more than add_limit_size (1.0 MB)',
    ],
    [
      'a loss beyond add_limit_percent',
      { addLimitPercent: 1 },
      '2.00% would be missing, more than add_limit_percent (1%)',
    ],
    ['a loss beyond repair_limit', { repairLimit: MB }, '2.0 MB to download are more than repair_limit (1.0 MB) alone'],
  ] as const) {
    it(`only tells of ${what}, and repairs when asked`, async () => {
      config = { ...config, ...change };
      const [line] = await run();
      assert.equal(line?.outcome, 'told');
      assert.equal(
        line?.message,
        `2.0 MB of "film" are lost: ${why}; autotorrent verify --repair ${HASH} has them downloaded`,
      );
      assert.deepEqual([client().told, missing, record().infoHashes], [[], 0, []]);
      assert.equal(await outcome(true), 'repaired');
      assert.equal(record().spent(Date.now()), 0);
    });
  }

  it('counts what is missing already', async () => {
    missing = 4 * MB;
    assert.equal(await outcome(), 'told');
  });

  it('spends no more than repair_limit in a day, over restarts', async () => {
    config = { ...config, repairLimit: 5 * MB };
    assert.equal(await outcome(), 'repaired');
    [lost, missing] = [2 * MB, 0];
    assert.equal(await outcome(), 'repaired');
    [lost, missing] = [2 * MB, 0];
    assert.equal(await outcome(), 'limited');
    assert.equal(record().spent(Date.now()), 4 * MB);
    assert.equal(record().spent(Date.now() + 24 * 60 * 60_000), 0);
    // It is written for the next server.
    assert.match(await readFile(path(), 'utf8'), /"bytes": 4000000/);
  });

  describe('of bytes that come back', () => {
    beforeEach(() => {
      [lost, missing, back] = [0, 4 * MB, 3 * MB];
      [client().activity, client().progress] = ['downloading', 0.96];
    });

    it('stops the torrent, maps them, has the client check, and starts it, whatever the limits', async () => {
      config = { onLoss: 'tell', addLimitSize: 0, addLimitPercent: 0, repairLimit: 0 };
      const [line] = await run(false, 'found');
      assert.equal(line?.message, '3.0 MB of "film" that were missing are there again: pretended checked the torrent');
      assert.deepEqual(client().told, ['stop', 'recheck', 'start']);
      assert.deepEqual([client().activity, client().progress, missing], ['downloading', 0.99, MB]);
      assert.deepEqual([record().infoHashes, record().spent(Date.now())], [[], 0]);
    });

    it('leaves a torrent stopped that the user had stopped, and has it checked', async () => {
      client().activity = 'stopped';
      const [line] = await run(false, 'found');
      assert.match(line?.message ?? '', /there again: the torrent is stopped in its client, as it was$/);
      assert.deepEqual([client().told, client().progress], [['stop', 'recheck'], 0.99]);
    });

    it('tells no client anything if nothing is found, or something of the entry is not settled', async () => {
      losses = { unsettled: 1 };
      assert.equal((await run(false, 'found'))[0]?.outcome, 'later');
      [losses, back] = [{}, 0];
      assert.equal((await run(false, 'found'))[0]?.outcome, 'nothing');
      assert.deepEqual([client().told, record().infoHashes], [[], []]);
    });

    it('waits for a client that is away', async () => {
      client().failure = 'nothing listens there';
      assert.equal((await run(false, 'found'))[0]?.outcome, 'later');
      assert.deepEqual([missing, record().infoHashes], [4 * MB, [HASH]]);
      client().failure = undefined;
      // Another server's child: nobody notes it again.
      assert.equal(await outcome(), 'repaired');
      assert.deepEqual([client().told, client().activity, missing], [['stop', 'recheck', 'start'], 'downloading', MB]);
    });

    it('has clients check what verify or rebuild have mapped', async () => {
      [missing, back] = [MB, 0];
      const [line] = await run(false, 'mapped');
      assert.match(line?.message ?? '', /^bytes of "film" that were missing are there again: pretended checked/);
      assert.deepEqual([client().told, client().progress], [['stop', 'recheck', 'start'], 0.99]);
    });

    it('starts the torrent without a check if something is lost meanwhile: a check would meet EIO', async () => {
      killAfter = 'check';
      await assert.rejects(run(false, 'found'), KILLED);
      [killAfter, lost] = [undefined, MB];
      const [line] = await run();
      assert.match(line?.message ?? '', /there again: pretended was not told to check, and downloads them still$/);
      assert.deepEqual([client().told, client().activity], [['stop', 'start'], 'downloading']);
    });

    it('stops again what the user started meanwhile', async () => {
      client().activity = 'stopped';
      killAfter = 'make';
      await assert.rejects(run(false, 'found'), KILLED);
      killAfter = undefined;
      client().activity = 'downloading';
      assert.equal(await outcome(), 'repaired');
      assert.deepEqual(client().told, ['stop', 'stop', 'recheck', 'start']);
    });

    for (const step of ['ask', 'stop', 'make', 'check', 'wait', 'start']) {
      it(`goes on after a crash before the step "${step}"`, async () => {
        killAfter = step;
        await assert.rejects(run(false, 'found'), KILLED);
        killAfter = undefined;
        status = { ...status, pid: 8 };
        assert.equal(await outcome(), 'repaired');
        assert.deepEqual([client().activity, client().progress, missing], ['downloading', 0.99, MB]);
        assert.deepEqual(record().infoHashes, []);
      });
    }
  });

  it('forgets an entry that was removed', async () => {
    killAfter = 'gaps';
    await assert.rejects(run(), KILLED);
    killAfter = undefined;
    entry = undefined;
    assert.equal(await outcome(), 'gone');
    assert.deepEqual(record().infoHashes, []);
  });

  it('reports a record that is damaged, and begins anew', () => {
    writeFileSync(path(), '{"version": 1, "spent": [], "repairs": {"x": {"next": "dance"}}}');
    let said = '';
    const read = RepairRecord.read(path(), (message) => {
      said = message;
    });
    assert.match(said, /repair\.json is damaged: check and start the torrents/);
    assert.deepEqual(read.infoHashes, []);
  });
});
