/** The control socket between its client and its server, with a pretended store. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ControlClient } from '../../src/control/client.ts';
import type { ServedDifference, ServedEntry, ServedFile, ServerStatus, Verified } from '../../src/control/served.ts';
import { type ControlServer, startControlServer } from '../../src/control/server.ts';
import { silentLogger } from '../../src/logger.ts';
import type { ServedStore } from '../../src/server/served-store.ts';
import { temporaryFolder } from '../harness/folder.ts';

const HASH = 'a'.repeat(40);

const STATUS: ServerStatus = {
  version: '2.0.0',
  pid: 1,
  driver: 'x',
  driverDetail: undefined,
  driverReason: 'it was asked for',
  mountPoint: '/store',
  visibleTo: 'owner',
  owner: { uid: 115, gid: 118, from: 'client' },
  readOnly: false,
  uptimeSeconds: 1,
  entries: 1,
  adding: 0,
  deleted: { entries: 1, files: 2 },
  overwritten: { entries: 3, files: 4 },
  opens: 1,
  openHandles: 2,
  reads: 3,
  bytesRead: 4,
  readErrors: 5,
  brokenSources: [
    { path: '/a', reason: 'changed' },
    { path: '/b', reason: 'gone', servedFrom: '/c' },
  ],
  brokenEntries: ['x'],
  scrub: { when: 'idle', state: 'paused', provenPieces: 5, badPieces: 6, asleep: ['uuid:1'] },
  watch: {
    fileSystems: [
      { mountPoint: '/mnt/disk1', kind: 'fanotify-filesystem', marks: 1, unwatched: 0, overflows: 0 },
      { mountPoint: '/mnt/pool', kind: 'inotify', marks: 3, unwatched: 2, why: 'are too many', overflows: 1 },
    ],
    asleep: [{ disk: 'uuid:2', folders: 5 }],
  },
  healer: { open: 3, urgent: 1, settled: 9, oldest: new Date('2026-11-24T00:03:30.724Z') },
  repair: { onLoss: 'repair', queued: 2, spentBytes: 300, limitBytes: 1000 },
  leases: { held: 12, awaited: 1 },
  passthrough: { files: 7, changed: 2 },
  kept: [{ folder: '/mnt/disk', files: 2, bytes: 12_345 }],
  pins: [{ folder: '/mnt/disk', files: 5, bytes: 99_999 }],
  sources: { doubted: 1, healing: 2, lost: 3, waiting: [{ disk: '/mnt/disk2', sources: 4 }] },
  descriptors: { sources: 3, held: 2, hangingBytes: 4_000_000 },
  writes: 6,
  bytesWritten: 7,
  overlayBytes: undefined,
  overlayProblems: [{ path: 'y', problem: 'z' }],
};

const ENTRY: ServedEntry = {
  name: 'Film',
  infoHash: HASH,
  infoHashV2: 'b'.repeat(64),
  state: 'added',
  kind: 'mount',
  directory: '/store/Film',
  torrentName: 'Film',
  created: new Date('2026-11-24T00:03:30.724Z'),
  size: 10,
  mappedBytes: 5,
  downloadedBytes: 1,
  missingBytes: 4,
  files: 2,
  deletedFiles: 0,
  overwrittenFiles: 3,
  pieces: 2,
  verifiedPieces: 1,
  verify: 'probe',
  health: 'ok',
};

const FILE: ServedFile = {
  path: 'Film/a',
  length: 10,
  status: 'partial',
  state: 'present',
  mode: 'normal',
  extents: [
    { offset: 0, length: 5, sourceOffset: 7, kind: 'source', source: Buffer.from([0x2f, 0xff, 0x61]) },
    { offset: 5, length: 1, sourceOffset: 5, kind: 'overlay', source: Buffer.from('/state/1') },
    { offset: 6, length: 4, sourceOffset: 0, kind: 'gap' },
  ],
  writtenBytes: 1,
  writtenRanges: 1,
};

const DIFFERENCE: ServedDifference = {
  path: 'Film/a',
  type: 'file',
  changes: ['written'],
  size: 10,
  plannedSize: undefined,
  baseSize: 10,
  writtenBytes: 8192,
  ranges: [[0, 4096]],
  named: [],
};

describe('the control socket', () => {
  let socket: string;
  let server: ControlServer;
  let client: ControlClient;
  /** The calls to the store, with their arguments. */
  const asked: unknown[] = [];
  /** Bytes of the longest chunk of a plan. */
  let longest = 0;

  const store = {
    status: async () => STATUS,
    entries: async () => each([ENTRY]),
    entry: async (id: string) => (id === 'many' ? { ...ENTRY, files: 200_000 } : ENTRY),
    files: async () => each([FILE, FILE]),
    differences: async () => each([DIFFERENCE, { moreRanges: [[8192, 12_288]] }, { ...DIFFERENCE, path: 'b' }]),
    async create(plan: AsyncIterable<Buffer>) {
      let length = 0;
      let last = Buffer.alloc(0);
      for await (const chunk of plan) {
        longest = Math.max(longest, chunk.length);
        length += chunk.length;
        last = Buffer.concat([last, chunk]).subarray(-4);
      }
      asked.push(length, last.toString());
      return ENTRY;
    },
    addNames: async (_: string, names: unknown) => void asked.push(names),
    endVerification: async (_: string, found: Verified) => {
      asked.push(found);
      return ENTRY;
    },
    discard: async (_: string, paths: unknown) => {
      asked.push(paths);
      return { discarded: 1, bytes: 2, kept: [] };
    },
  } as Partial<Record<keyof ServedStore, unknown>> as unknown as ServedStore;

  beforeEach(async () => {
    asked.length = 0;
    socket = join(temporaryFolder('socket'), 'socket');
    server = await startControlServer(store, socket, silentLogger);
    const connected = await ControlClient.connect(socket);
    assert.ok(connected);
    client = connected;
  });
  afterEach(async () => await server.close());

  it('carries what a server says as it is', async () => {
    assert.deepEqual(await client.status(), STATUS);
    assert.deepEqual(await client.entries(), [ENTRY]);
    assert.deepEqual(await client.entry(HASH), ENTRY);
    assert.deepEqual(await all(client.files(HASH)), [FILE, FILE]);
    assert.deepEqual(await all(client.differences(HASH)), [
      {
        ...DIFFERENCE,
        ranges: [
          [0, 4096],
          [8192, 12_288],
        ],
      },
      { ...DIFFERENCE, path: 'b' },
    ]);
  });

  it('carries what a server is asked as it is', async () => {
    const found = { since: 3, good: Buffer.from([0x80]), bad: Buffer.from([0x40]) };
    await client.endVerification(HASH, found);
    await client.discard(HASH, undefined);
    await client.discard(HASH, ['a', 'b/c']);
    await client.addNames(HASH, [['Film_', 'a\n"'], undefined]);
    await client.addNames(HASH, []);
    assert.deepEqual(asked, [found, undefined, ['a', 'b/c'], [['Film_', 'a\n"'], undefined], []]);
  });

  it('takes the names of 200,000 files in pieces', async () => {
    const names = Array.from({ length: 200_000 }, (_, i) => ['Torrent', 'x'.repeat(80), `${i}`]);
    const { parse } = JSON;
    let longest = 0;
    // A mock would keep 200,000 calls.
    JSON.parse = (text: string): unknown => {
      longest = Math.max(longest, text.length);
      return parse(text);
    };
    try {
      await client.addNames('many', names);
    } finally {
      JSON.parse = parse;
    }
    assert.ok(longest < 200, `${longest} characters were parsed at once`);
    assert.deepEqual((asked[0] as string[][]).length, names.length);
  });

  it('takes a plan as it comes, whether or not its length is known', async () => {
    const block = Buffer.alloc(64_000, 'x');
    function* blocks(count: number): Generator<Buffer> {
      for (let i = 0; i < count; i++) yield block;
      yield Buffer.from('last');
    }
    for (const count of [0, 10, 1000]) {
      await client.create(blocks(count));
      assert.deepEqual(asked.splice(0), [count * 64_000 + 4, 'last']);
    }
    assert.ok(longest <= 2 ** 20, `${longest} bytes were in memory`);
  });

  const refused: readonly [string, string, Record<string, string>, string, RegExp][] = [
    ['a body of no known length', 'POST /v1/added', { 'transfer-encoding': 'chunked' }, 'x', /no Content-Length/],
    ['a body that is too long', `POST /v1/entries/x/discard`, { 'content-length': '2000000' }, '', /more than 1048576/],
    ['nested JSON', 'POST /v1/entries/x/discard', {}, '['.repeat(1000), /nested over 8 deep/],
    ['more names than files', 'PUT /v1/entries/x/names', {}, 'null\n'.repeat(3), /more than 2 lines/],
    ['no JSON', 'POST /v1/entries/x/discard', {}, '{', /not JSON/],
    ['a discard that is none', 'POST /v1/entries/x/discard', {}, '3', /a discard must be an object/],
    ['a discard of what are no paths', 'POST /v1/entries/x/discard', {}, '{"files": [1]}', /array of paths/],
    ['a discard of deleted ones or not', 'POST /v1/entries/x/discard', {}, '{"deleted": false}', /"deleted" \(true\)/],
    ['a discard of two kinds', 'POST /v1/entries/x/discard', {}, '{"deleted": true, "files": []}', /or neither/],
    ['a verification that is none', 'PUT /v1/entries/x/verification', {}, '{"since": "1"}', /"since"/],
    ['hashes that are none', 'POST /v1/added', {}, '{"info_hashes": 1}', /must be an array of text/],
    ['names that are none', 'PUT /v1/entries/x/names', {}, '[1]\n', /must be a path/],
    ['an empty name', 'PUT /v1/entries/x/names', {}, '[]\n', /must be a path/],
    ['names that are cut off', 'PUT /v1/entries/x/names', {}, 'null\n["a"]', /cut off/],
    ['a name that is too long', 'PUT /v1/entries/x/names', {}, `["${'a'.repeat(300_000)}"]`, /more than 65536 bytes/],
  ];
  for (const [what, route, headers, body, message] of refused) {
    it(`refuses ${what}, and goes on`, async () => {
      const reply = await send(socket, route, headers, body);
      assert.equal(reply.status, 400, reply.body);
      const { error } = JSON.parse(reply.body) as { error: { code: string; message: string } };
      assert.equal(error.code, 'USAGE');
      assert.match(error.message, message);
      assert.deepEqual(asked, []);
      assert.deepEqual(await client.status(), STATUS);
    });
  }

  it('says after how long the client gave up', async () => {
    const silent = join(temporaryFolder('silent'), 'socket');
    const hanging = createServer((request, reply) => {
      if (request.url === '/v1/status') reply.end('{"broken_sources": []}');
    });
    hanging.listen(silent);
    await once(hanging, 'listening');
    try {
      const waiting = await ControlClient.connect(silent, { usual: 200, long: 400 });
      assert.ok(waiting);
      await assert.rejects(waiting.entries(), /no answer within 0\.2 s/);
      await assert.rejects(waiting.create([Buffer.from('plan')]), /no answer within 0\.4 s/);
      await assert.rejects(waiting.remove(HASH), /no answer within 0\.4 s/);
    } finally {
      hanging.closeAllConnections();
      hanging.close();
    }
  });

  for (const [what, answer] of [
    ['nothing', ''],
    ['no JSON', 'hello'],
    ['another list', '[]'],
    ['another object', '{"version": "1"}'],
    ['null', 'null'],
  ] as const) {
    it(`says that another program listens where it answers ${what}`, async () => {
      const other = createServer((_, response) => response.end(answer));
      const path = join(temporaryFolder('foreign'), 'socket');
      await new Promise<void>((resolve) => {
        other.listen(path, resolve);
      });
      try {
        await assert.rejects(ControlClient.connect(path), {
          code: 'SERVER',
          message: 'the program on the control socket is not an autotorrent server',
        });
      } finally {
        other.close();
      }
    });
  }
});

async function* each<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values;
}

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const value of values) found.push(value);
  return found;
}

async function send(
  socketPath: string,
  route: string,
  headers: Record<string, string>,
  body: string,
): Promise<{ readonly status: number | undefined; readonly body: string }> {
  const [method, path] = route.split(' ');
  return await new Promise((resolve, reject) => {
    const call = httpRequest({ socketPath, method, path, headers, agent: false }, (reply) => {
      let text = '';
      reply.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      reply.once('end', () => {
        resolve({ status: reply.statusCode, body: text });
        call.destroy();
      });
    });
    call.once('error', reject);
    if (body !== '') call.end(body);
    else call.flushHeaders();
  });
}
