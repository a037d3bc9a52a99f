/** Behaviour that real clients do not show on demand; test/e2e/absence.test.ts tests the others. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import type { TorrentActivity, TorrentClient, TorrentState } from '../../../../src/clients/client.ts';
import type { ServedEntry, ServerStatus } from '../../../../src/control/served.ts';
import { AutotorrentError } from '../../../../src/errors.ts';
import type { Scope } from '../../../../src/server/children/absence/lost.ts';
import { type Obstacle, Recovery } from '../../../../src/server/children/absence/recovery.ts';
import type { Work } from '../../../../src/server/children/absence/sections.ts';
import type { Section } from '../../../../src/server/children/sections.ts';
import { AbsenceRecord } from '../../../../src/server/processes/absence-record.ts';
import { temporaryFolder } from '../../../harness/folder.ts';

type Call = 'start' | 'stop' | 'recheck';

/** Does at once what it is asked, except for set failures; a check ends at the second look. */
class PretendedClient implements TorrentClient {
  readonly #torrents = new Map<string, TorrentState>();
  readonly #looks = new Map<string, number>();
  readonly said: string[] = [];
  readonly failing = new Map<Call, string>();
  /** Called before each list. */
  onList: () => void = () => {};

  has(infoHash: string, activity: TorrentActivity, progress = 1): void {
    this.#torrents.set(infoHash, { infoHash, name: infoHash, activity, progress });
  }

  forgets(infoHash: string): void {
    this.#torrents.delete(infoHash);
    this.#looks.delete(infoHash);
  }

  /** Torrents that wait in the client's queue when they are started. */
  readonly queues = new Set<string>();

  activity(infoHash: string): TorrentActivity | undefined {
    return this.#torrents.get(infoHash)?.activity;
  }

  takesWord(): boolean {
    return false;
  }

  async describe(): Promise<{ name: string; version: string }> {
    return { name: 'Pretended', version: '1' };
  }

  async list(infoHashes: readonly string[] = [...this.#torrents.keys()]): Promise<TorrentState[]> {
    this.onList();
    for (const hash of infoHashes) {
      if (this.activity(hash) !== 'checking' || !this.#looks.has(hash)) continue;
      const looks = this.#looks.get(hash) ?? 0;
      this.#looks.set(hash, looks + 1);
      if (looks > 0) this.has(hash, 'stopped');
    }
    return infoHashes.map((hash) => this.#torrents.get(hash)).filter((one) => one !== undefined);
  }

  async add(): Promise<never> {
    throw new Error('it is not to add anything');
  }

  start(infoHashes: readonly string[]): Promise<string[]> {
    return this.#act('start', infoHashes, (hash) =>
      this.has(hash, this.queues.has(hash) ? 'queued' : 'seeding', this.#torrents.get(hash)?.progress),
    );
  }

  stop(infoHashes: readonly string[]): Promise<string[]> {
    return this.#act('stop', infoHashes, (hash) => this.has(hash, 'stopped', this.#torrents.get(hash)?.progress));
  }

  recheck(infoHashes: readonly string[]): Promise<string[]> {
    return this.#act('recheck', infoHashes, (hash) => {
      this.has(hash, 'checking', 0.5);
      this.#looks.set(hash, 0);
    });
  }

  async remove(): Promise<never> {
    throw new Error('it is not to remove anything');
  }

  async close(): Promise<void> {}

  async #act(what: Call, infoHashes: readonly string[], act: (infoHash: string) => void): Promise<string[]> {
    this.said.push(`${what} ${infoHashes.toSorted().join(' ')}`);
    const failing = this.failing.get(what);
    for (const hash of infoHashes) if (hash !== failing) act(hash);
    if (failing === undefined || !infoHashes.includes(failing)) return [...infoHashes];
    throw new AutotorrentError('CLIENT', `${failing} does not ${what}`);
  }
}

describe('Recovery', () => {
  let folder: string;
  let record: AbsenceRecord;
  let client: PretendedClient;
  let recovery: Recovery;
  let missing: Map<string, number>;
  let readOnly: boolean;
  const told: string[] = [];

  const listed = (): readonly string[] => record.of('').stopped.toSorted();
  const turn = (scope: Scope): Promise<Obstacle | undefined> => recovery.turn(client, scope);

  beforeEach(async () => {
    folder = temporaryFolder('recovery');
    record = await AbsenceRecord.read(join(folder, 'absence.json'), assert.fail);
    client = new PretendedClient();
    missing = new Map(['a', 'b', 'c', 'user'].map((hash) => [hash, 0]));
    readOnly = false;
    told.length = 0;
    const work: Work = {
      configOf: assert.fail,
      say: (_, message) => told.push(message),
      record,
      recover: true,
      repairing: new Set(),
      server: {
        entries: async () =>
          [...missing].map(
            ([hash, bytes]) =>
              ({ infoHash: hash, kind: 'mount', state: 'added', missingBytes: bytes }) as unknown as ServedEntry,
          ),
        status: async () => ({ readOnly }) as unknown as ServerStatus,
      },
    };
    const section: Section = {
      name: '',
      shown: 'pretended',
      config: { client: 'rtorrent', url: 'scgi://127.0.0.1:9' },
    };
    recovery = new Recovery(work, section, new Set(missing.keys()));
    for (const hash of missing.keys()) client.has(hash, hash === 'user' ? 'stopped' : 'seeding');
  });

  for (const what of ['start', 'stop'] as const) {
    it(`of all: one that fails to ${what} does not keep the others, and they are not touched again`, async () => {
      client.failing.set(what, 'b');
      const obstacle = await turn('all');
      assert.match(obstacle?.why ?? '', new RegExp(`b does not ${what}`));
      assert.equal(client.activity('a'), 'seeding');
      assert.deepEqual(listed(), ['b']);
      assert.ok(recovery.gotOn());
      assert.deepEqual(told, ['pretended: 2 torrent(s) that had lost the mount use it again']);

      // A torrent that the user stops meanwhile stays stopped.
      client.has('a', 'stopped');
      client.said.length = 0;
      await turn('all');
      assert.ok(!recovery.gotOn());
      assert.deepEqual(new Set(client.said.flatMap((call) => call.split(' ').slice(1))), new Set(['b']));
      assert.equal(client.activity('a'), 'stopped');

      client.failing.clear();
      assert.equal(await turn('all'), undefined);
      assert.ok(recovery.gotOn());
      assert.equal(client.activity('b'), 'seeding');
      assert.deepEqual(listed(), []);
      assert.equal(client.activity('user'), 'stopped');
    });
  }

  it('one that is not to be checked does not keep those that are', async () => {
    for (const hash of ['a', 'b']) client.has(hash, 'error', 0);
    client.failing.set('recheck', 'b');
    assert.match((await turn('errors'))?.why ?? '', /b does not recheck/);
    assert.deepEqual(listed(), ['a', 'b']);
    await turn('errors');
    assert.deepEqual(listed(), ['b']);
    assert.equal(client.activity('a'), 'seeding');
    assert.equal(client.activity('b'), 'stopped');
  });

  it('what the client has not loaded yet stays in the list until it has', async () => {
    await record.set('', { needs: 'resume', stopped: ['a', 'later', 'gone'] });
    client.has('a', 'stopped');
    missing.set('later', 0);
    const obstacle = await turn('none');
    assert.equal(obstacle?.level, 'info');
    assert.match(
      obstacle.what,
      /^1 torrent\(s\) that were stopped for the mount will be started when the client has loaded them$/,
    );
    assert.equal(client.activity('a'), 'seeding');
    assert.deepEqual(listed(), ['later'], 'the entry of the third is gone');

    client.has('later', 'stopped');
    assert.equal(await turn('none'), undefined);
    assert.equal(client.activity('later'), 'seeding');
    assert.deepEqual(listed(), []);
  });

  it('what it loads while it is asked is waited for', async () => {
    await record.set('', { needs: 'resume', stopped: ['late', 'later'] });
    for (const hash of ['late', 'later']) missing.set(hash, 0);
    let looks = 0;
    client.onList = () => {
      looks++;
      if (looks === 2) client.has('late', 'stopped');
      if (looks === 3) client.has('later', 'stopped');
    };
    assert.equal(await turn('none'), undefined);
    assert.deepEqual(client.said, ['start late later']);
  });

  it('of errors: also what it takes to be incomplete where nothing is missing, unless it looks', async () => {
    client.has('a', 'downloading', 0);
    client.has('b', 'downloading', 0.5);
    missing.set('b', 1);
    client.has('c', 'checking', 0.3);
    assert.equal(await turn('errors'), undefined);
    assert.deepEqual(client.said, ['stop a', 'recheck a', 'start a']);
  });

  it('what a client that went away was checking is checked again, unless it still is', async () => {
    for (const hash of ['a', 'b', 'c']) client.has(hash, 'error', 0);
    let looks = 0;
    client.onList = () => {
      if (++looks === 2) throw new AutotorrentError('CLIENT', 'it is away');
    };
    await assert.rejects(turn('all'), { message: 'it is away' });
    recovery.lostClient();
    assert.deepEqual(listed(), ['a', 'b', 'c']);
    client.has('a', 'stopped', 0.2);
    client.has('b', 'stopped', 1);
    client.said.length = 0;
    assert.equal(await turn('all'), undefined);
    assert.deepEqual(client.said, ['recheck a b', 'start c', 'start a b']);
  });

  it('a client that was restarted between two looks is waited for, and what it has given up is checked again', async () => {
    client.has('a', 'error', 0);
    client.has('b', 'error', 0);
    let looks = 0;
    client.onList = () => {
      looks++;
      if (looks === 2) client.forgets('a');
      // It is back, not checking, with its earlier progress; the other was present at every look.
      if (looks === 2) client.has('b', 'stopped', 0.3);
      if (looks === 3) client.has('a', 'stopped', 0.3);
    };
    let obstacle = await turn('errors');
    assert.equal(obstacle?.level, 'info');
    assert.deepEqual(listed(), ['a', 'b']);
    obstacle = await turn('errors');
    assert.equal(obstacle, undefined);
    assert.deepEqual(client.said, ['stop a b', 'recheck a b', 'recheck a b', 'start a b']);
    assert.deepEqual(listed(), []);
  });

  it('a check that ends with too little is made once more', async () => {
    client.has('a', 'error', 0);
    let looks = 0;
    client.onList = () => {
      if (++looks >= 2) client.has('a', 'stopped', 0.9);
    };
    assert.equal(await turn('errors'), undefined);
    assert.deepEqual(client.said, ['stop a', 'recheck a', 'recheck a', 'start a']);
  });

  it('a client that has loaded nothing yet is not taken for one that has nothing', async () => {
    for (const hash of ['a', 'b', 'c']) client.forgets(hash);
    let looks = 0;
    client.onList = () => {
      looks++;
      if (looks === 2) client.has('a', 'seeding');
      if (looks === 4) for (const hash of ['b', 'c']) client.has(hash, 'downloading', 0.5);
    };
    assert.equal(await turn('all'), undefined);
    assert.deepEqual(client.said, ['stop a b c', 'start a', 'recheck b c', 'start b c']);
  });

  it('what a client that is loading still looks at is waited for', async () => {
    for (const hash of ['a', 'b', 'c']) client.forgets(hash);
    let looks = 0;
    client.onList = () => {
      looks++;
      if (looks === 2) for (const hash of ['a', 'b', 'c']) client.has(hash, 'checking', 0);
      // Longer than the wait for further torrents.
      if (looks === 12) for (const hash of ['a', 'b', 'c']) client.has(hash, 'seeding');
    };
    assert.equal(await turn('all'), undefined);
    assert.deepEqual(client.said, ['stop a b c', 'start a b c']);
  });

  it('a start that fails after a check does not make it check again', async () => {
    client.has('a', 'error', 0.5);
    client.failing.set('start', 'a');
    await turn('errors');
    await turn('errors');
    assert.deepEqual(client.said, ['stop a', 'recheck a', 'start a', 'start a']);
  });

  it('what waits in the queue of its client was started', async () => {
    client.queues.add('a');
    client.failing.set('start', 'b');
    await turn('all');
    assert.deepEqual(listed(), ['b']);
    client.said.length = 0;
    await turn('all');
    assert.deepEqual(client.said, ['start b']);
  });

  it('what is to be checked still is when the server has ended in between', async () => {
    client.has('a', 'error', 1);
    client.failing.set('recheck', 'a');
    await turn('errors');
    assert.deepEqual(record.of(''), { needs: 'recover', stopped: ['a'], unchecked: ['a'] });
    assert.equal(client.activity('a'), 'stopped');
    client.failing.clear();
    client.said.length = 0;
    await record.update('', { needs: 'resume' });
    assert.equal(await turn('none'), undefined);
    assert.deepEqual(client.said, ['recheck a', 'start a']);
    assert.deepEqual(record.of(''), { needs: 'recover', stopped: [] });
  });

  it('what is added while it goes on is left alone', async () => {
    client.failing.set('start', 'b');
    await turn('all');
    missing.set('new', 0);
    client.has('new', 'checking', 0.4);
    client.failing.clear();
    client.said.length = 0;
    assert.equal(await turn('all'), undefined);
    assert.deepEqual(client.said, ['start b']);
    assert.equal(client.activity('new'), 'checking');
  });

  it('a mount that is read-only does not start what lacks bytes', async () => {
    readOnly = true;
    missing.set('a', 1);
    assert.equal(await turn('all'), undefined);
    assert.deepEqual(listed(), ['a']);
    assert.equal(client.activity('a'), 'stopped');
    assert.match(told.join('\n'), /1 torrent\(s\) stay stopped/);
  });
});
