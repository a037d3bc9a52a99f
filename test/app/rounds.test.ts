/** Rounds of `add` with a pretended server and client: the state that a failure in the middle leaves. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AddOutcome } from '../../src/app/add-outcome.ts';
import type { Ready } from '../../src/app/pipeline.ts';
import type { Planned } from '../../src/app/planning.ts';
import { type RoundServer, Rounds } from '../../src/app/rounds.ts';
import type { TorrentClient } from '../../src/clients/client.ts';
import type { ServedEntry } from '../../src/control/served.ts';
import { AutotorrentError } from '../../src/errors.ts';
import { silentLogger } from '../../src/logger.ts';
import { decodePlan } from '../../src/plan/codec.ts';
import type { Plan } from '../../src/plan/plan.ts';
import { bytes, sample } from '../clients/steps.ts';

const SIZE = 10;
const ready = [1, 2, 3].map((i) => {
  const metainfo = sample({ name: `t${i}`, content: bytes(SIZE, i) });
  const torrent = { path: `/t${i}.torrent`, name: `t${i}`, metainfo };
  const plan: Plan = {
    name: torrent.name,
    infoHash: metainfo.infoHash,
    metainfo: metainfo.raw,
    pieceCount: 1,
    pieceLength: metainfo.pieceLength,
    verified: Buffer.of(0x80),
    verify: 'full',
    totalLength: SIZE,
    missingBytes: 0,
    sources: [
      { path: Buffer.from('/s'), dev: 1, ino: BigInt(i), size: SIZE, mtimeNs: 1000n, ctimeNs: 1000n, spares: [] },
    ],
    files: [
      {
        path: [metainfo.name],
        length: SIZE,
        status: 'mapped',
        mode: 'normal',
        code: 'believed',
        mtimeMs: 1000,
        executable: false,
        extents: [{ offset: 0, length: SIZE, source: 0, sourceOffset: 0 }],
      },
    ],
  };
  const verdict = { accepted: true, foundBytes: SIZE, missingBytes: 0, missingPercent: 0 };
  const planned: Planned = { ...torrent, plan, verdict, reason: '' };
  return { torrent, planned };
});
const hashes = ready.map(({ torrent }) => torrent.metainfo.infoHash);

interface Scene {
  readonly entries: Map<string, ServedEntry>;
  readonly inClient: Set<string>;
  readonly settled: Map<string, AddOutcome>;
  readonly turns: string[];
  enter(plan: Plan): ServedEntry;
  wanted(): Promise<ReadonlySet<unknown>>;
  run(torrents?: readonly Ready<Planned>[]): Promise<void>;
}

function scene(own: {
  readonly server?: Partial<RoundServer>;
  readonly client?: Partial<TorrentClient>;
  readonly signal?: AbortSignal;
  readonly force?: boolean;
}): Scene {
  const entries = new Map<string, ServedEntry>();
  const inClient = new Set<string>();
  const settled = new Map<string, AddOutcome>();
  const turns: string[] = [];
  const enter = ({ infoHash, name }: Plan): ServedEntry => {
    const entry: ServedEntry = {
      name,
      infoHash,
      state: 'adding',
      kind: 'mount',
      directory: `/store/${name}`,
      torrentName: name,
      created: new Date('2026-11-25T00:00:00.000Z'),
      size: SIZE,
      mappedBytes: SIZE,
      downloadedBytes: 0,
      missingBytes: 0,
      files: 1,
      deletedFiles: 0,
      overwrittenFiles: 0,
      pieces: 1,
      verifiedPieces: 1,
      verify: 'full',
      health: 'ok',
    };
    entries.set(infoHash, entry);
    return entry;
  };
  const server: RoundServer = {
    entries: async () => [...entries.values()],
    entry: async (id) => entries.get(id),
    async turn() {
      turns.push('begun');
      return () => turns.push('ended');
    },
    create: async (encoded) => enter(decodePlan(Buffer.concat([...encoded]))),
    async addNames() {},
    async markAdded(infoHashes) {
      for (const hash of infoHashes) {
        const entry = entries.get(hash);
        if (entry !== undefined) entries.set(hash, { ...entry, state: 'added' });
      }
      return infoHashes.filter((hash) => entries.has(hash));
    },
    async remove(id) {
      entries.delete(id);
    },
    discard: async () => ({ discarded: 0, bytes: 0, kept: [] }),
    ...own.server,
  };
  const client: TorrentClient = {
    takesWord: () => true,
    describe: async () => ({ name: 'x', version: '1' }),
    list: async () => [],
    async add(requests) {
      for (const { metainfo } of requests) inClient.add(metainfo.infoHash);
      return requests.map(() => ({ outcome: 'added' }));
    },
    start: async (infoHashes) => [...infoHashes],
    stop: async () => [],
    recheck: async () => [],
    remove: async (infoHashes) => infoHashes.filter((hash) => inClient.delete(hash)),
    close: async () => {},
    ...own.client,
  };
  const rounds = new Rounds({
    config: { fastResume: 'verified', pathMap: [{ own: '/store', client: '/seen' }] },
    server,
    mountPoint: '/store',
    readOnly: false,
    client,
    stopped: false,
    force: own.force ?? false,
    logger: silentLogger,
    signal: own.signal ?? new AbortController().signal,
  });
  const wanted = async () => await rounds.wanted(ready.map(({ torrent }) => torrent));
  const run = async (torrents: readonly Ready<Planned>[] = ready): Promise<void> =>
    await rounds.run(torrents, (torrent, outcome) => settled.set(torrent.metainfo.infoHash, outcome));
  return { entries, inClient, settled, turns, enter, wanted, run };
}

const words = ({ settled }: Scene): (string | undefined)[] => hashes.map((hash) => settled.get(hash)?.status);

describe('a round of add', () => {
  it('is one turn, and ends with entries that are added', async () => {
    const one = scene({ server: { entries: async () => assert.fail('three entries are asked for one by one') } });
    await one.run();
    assert.deepEqual(words(one), ['OK', 'OK', 'OK']);
    assert.deepEqual(
      [...one.entries.values()].map(({ state }) => state),
      ['added', 'added', 'added'],
    );
    assert.deepEqual(one.turns, ['begun', 'ended']);
  });

  it('creates several entries at once, but those of one name one after the other', async () => {
    const running: string[] = [];
    let most = 0;
    const together: boolean[] = [];
    const twins = ready.map((one, i) => {
      const torrent = { ...one.torrent, name: i === 2 ? 't1' : one.torrent.name };
      return { torrent, planned: { ...one.planned, plan: { ...one.planned.plan, name: torrent.name } } };
    });
    const one = scene({
      server: {
        async create(encoded) {
          const plan = decodePlan(Buffer.concat([...encoded]));
          together.push(running.includes(plan.name));
          running.push(plan.name);
          most = Math.max(most, running.length);
          await new Promise(setImmediate);
          running.splice(running.indexOf(plan.name), 1);
          return one.enter(plan);
        },
      },
    });
    await one.run(twins);
    assert.deepEqual(words(one), ['OK', 'OK', 'OK']);
    assert.equal(most, 2);
    assert.deepEqual(together, [false, false, false]);
  });

  it('takes back its entries when it is stopped before the client has any', async () => {
    const stop = new AbortController();
    const one = scene({ signal: stop.signal, client: { add: async () => assert.fail('it was stopped') } });
    const { entries } = one;
    const set = entries.set.bind(entries);
    entries.set = (hash, entry) => {
      stop.abort(new Error('stopped by SIGINT'));
      return set(hash, entry);
    };
    await assert.rejects(one.run(), /stopped by SIGINT/);
    assert.equal(entries.size, 0);
    assert.deepEqual(words(one), [undefined, undefined, undefined]);
    assert.deepEqual(one.turns, ['begun', 'ended']);
  });

  it('ends by itself when it is stopped after the client has them', async () => {
    const stop = new AbortController();
    const one = scene({
      signal: stop.signal,
      client: {
        async start(infoHashes) {
          stop.abort(new Error('stopped by SIGINT'));
          return [...infoHashes];
        },
      },
    });
    await one.run();
    assert.deepEqual(words(one), ['OK', 'OK', 'OK']);
  });

  it('lets one fail alone for which the store has no room', async () => {
    const full = new AutotorrentError('STORE', 'no space is left');
    let calls = 0;
    const one = scene({
      server: {
        async create(encoded) {
          if (++calls === 2) throw full;
          return one.enter(decodePlan(Buffer.concat([...encoded])));
        },
      },
    });
    await one.run();
    assert.deepEqual(words(one), ['OK', 'Failed', 'OK']);
    assert.match(one.settled.get(hashes[1] ?? '')?.reason ?? '', /no space is left/);
    assert.equal(one.entries.size, 2);
  });

  it('leaves nothing of what a client that goes away did not take', async () => {
    const one = scene({
      client: {
        async add() {
          throw new AutotorrentError('CLIENT', 'gone');
        },
      },
    });
    await one.run();
    assert.deepEqual(words(one), ['Failed', 'Failed', 'Failed']);
    assert.equal(one.entries.size, 0);
  });

  it('settles nothing that it cannot mark as added, since the next add takes it up', async () => {
    const away = new AutotorrentError('SERVER', 'away');
    const one = scene({
      server: {
        async markAdded() {
          throw away;
        },
      },
    });
    await assert.rejects(one.run(), { code: 'SERVER' });
    assert.equal(one.settled.size, 0);
    assert.deepEqual(
      [...one.entries.values()].map(({ state }) => state),
      ['adding', 'adding', 'adding'],
    );
    assert.deepEqual(one.turns, ['begun', 'ended']);
  });

  describe('of torrents whose files were deleted in the mount', () => {
    const begun = (own: Parameters<typeof scene>[0]): Scene => {
      const one = scene(own);
      for (const [i, { planned }] of ready.entries()) {
        const entry = one.enter(planned.plan);
        one.entries.set(entry.infoHash, { ...entry, state: 'added', deletedFiles: i });
      }
      return one;
    };
    const reasons = ({ settled }: Scene): (string | undefined)[] => hashes.map((hash) => settled.get(hash)?.reason);

    it('says so, whether the client has them or not', async () => {
      const state = { name: 't2', activity: 'seeding', progress: 1 } as const;
      const one = begun({ client: { list: async () => [{ ...state, infoHash: hashes[2] ?? '' }] } });
      await one.run();
      assert.deepEqual(words(one), ['Exists', 'Exists', 'Exists']);
      assert.deepEqual(reasons(one).slice(1), [
        '1 file was deleted in the mount: --force brings it back',
        '2 files were deleted in the mount: --force brings them back',
      ]);
      assert.equal(one.inClient.size, 0);
    });

    it('adds with force those whose files came back, and says why others do not', async () => {
      const one = begun({
        force: true,
        server: {
          async discard(id, what) {
            assert.equal(what, 'deleted');
            if (id === hashes[1]) throw new AutotorrentError('CONFLICT', 'a file is open in the mount: "x"');
            return { discarded: 0, bytes: 0, kept: [{ path: 'x', reason: 'its name belongs to another file now' }] };
          },
        },
      });
      await one.run();
      assert.deepEqual(words(one), ['OK', 'Failed', 'Failed']);
      assert.match(reasons(one)[1] ?? '', /a file is open/);
      assert.match(reasons(one)[2] ?? '', /"x" cannot be brought back: its name belongs to another file now/);
      assert.deepEqual([...one.inClient], hashes.slice(0, 1));
    });
  });

  describe('of torrents that the client has, and the store has not', () => {
    const states = [
      { infoHash: hashes[0] ?? '', name: 't1', activity: 'error', progress: 0, directory: '/seen/t1', message: 'gone' },
      { infoHash: hashes[1] ?? '', name: 't2', activity: 'error', progress: 0, directory: '/else', message: 'gone' },
      { infoHash: hashes[2] ?? '', name: 't3', activity: 'seeding', progress: 1, directory: '/store/t3' },
    ] as const;
    const list = async (): Promise<(typeof states)[number][]> => [...states];
    const unplanned = ready.map(({ torrent }) => ({ torrent, planned: undefined }));

    it('says which it has from the mount, and which are in error', async () => {
      const one = scene({ client: { list } });
      assert.equal((await one.wanted()).size, 0);
      await one.run(unplanned);
      assert.deepEqual(words(one), ['Exists', 'Seeded', 'Seeded']);
      assert.deepEqual(
        hashes.map((hash) => one.settled.get(hash)?.reason),
        [
          'The client has it from the mount, the store has no entry: --force makes it',
          'Already seeded, but it is in error in the client: gone',
          'Already seeded',
        ],
      );
      assert.equal(one.entries.size, 0);
    });

    it('makes an entry with force, and adds it anew', async () => {
      const calls: string[] = [];
      const one = scene({
        force: true,
        client: {
          list,
          async remove(infoHashes) {
            calls.push(`remove ${infoHashes.length} with ${one.entries.size} entry`);
            return [...infoHashes];
          },
          async add(requests) {
            calls.push(`add to ${requests.map(({ directory }) => directory).join(' ')}`);
            return requests.map(() => ({ outcome: 'added' }));
          },
        },
      });
      assert.deepEqual([...(await one.wanted())], [ready[0]?.torrent]);
      await one.run([...ready.slice(0, 1), ...unplanned.slice(1)]);
      assert.deepEqual(words(one), ['OK', 'Seeded', 'Seeded']);
      assert.deepEqual(calls, ['remove 1 with 1 entry', 'add to /seen/t1']);
    });

    it('leaves in the client what lacks too much', async () => {
      const one = scene({ force: true, client: { list, remove: async () => assert.fail('it stays') } });
      const [first] = ready;
      assert.ok(first);
      const verdict = { accepted: false, foundBytes: 0, missingBytes: SIZE, missingPercent: 100 };
      await one.run([{ ...first, planned: { ...first.planned, verdict, reason: 'lacks' } }]);
      assert.deepEqual(words(one)[0], 'Missing');
    });
  });
});
