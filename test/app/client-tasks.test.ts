/** Cases that real clients do not produce on demand: a torrent that fails after it was added, a client that goes away. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addToClient, type ClientTask } from '../../src/app/client-tasks.ts';
import type { TorrentClient } from '../../src/clients/client.ts';
import type { ServedEntry } from '../../src/control/served.ts';
import { AutotorrentError } from '../../src/errors.ts';
import { createLogger } from '../../src/logger.ts';
import { bytes, sample } from '../clients/steps.ts';

const tasks = [1, 2, 3].map((i): ClientTask => {
  const metainfo = sample({ name: `torrent ${i}`, content: bytes(10, i) });
  const entry: ServedEntry = {
    name: metainfo.name,
    infoHash: metainfo.infoHash,
    state: 'adding',
    kind: 'mount',
    directory: `/store/${metainfo.name}`,
    torrentName: metainfo.name,
    created: new Date('2026-11-25T00:00:00.000Z'),
    size: 10,
    mappedBytes: 10,
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
  return { metainfo, entry, resume: undefined, stopped: false };
});
const hashes = tasks.map(({ metainfo }) => metainfo.infoHash);
const [, second = ''] = hashes;
const refused = new AutotorrentError('CLIENT', 'refused');

/** Holds the torrents that it gets, in `has`, until `own` intervenes. */
function clientWith(own: Partial<TorrentClient>): { client: TorrentClient; has: Set<string> } {
  const has = new Set<string>();
  const client: TorrentClient = {
    takesWord: () => false,
    describe: async () => ({ name: 'x', version: '1' }),
    list: async () => [],
    add: async (requests) => {
      for (const { metainfo } of requests) has.add(metainfo.infoHash);
      return requests.map(({ metainfo: { name } }) => ({ outcome: 'added', names: [[`_${name}`]] }));
    },
    start: async (infoHashes) => [...infoHashes],
    stop: async () => [],
    recheck: async () => [],
    remove: async (infoHashes) => infoHashes.filter((hash) => has.delete(hash)),
    close: async () => {},
    ...own,
  };
  return { client, has };
}

const run = (client: TorrentClient, addNames: (id: string) => Promise<void> = async () => {}) =>
  addToClient({ client, server: { addNames }, logger: createLogger('info', () => {}), pathMap: [] }, tasks);

describe('a batch in the client', () => {
  it('loses alone what does not start', async () => {
    const { client, has } = clientWith({
      start: async (infoHashes) => {
        if (infoHashes.includes(second)) throw refused;
        return [...infoHashes];
      },
    });
    assert.deepEqual(await run(client), ['added', refused, 'added']);
    assert.deepEqual([...has], [hashes[0], hashes[2]]);
  });

  it('loses alone what the client has no more, and whose names the store cannot show', async () => {
    const { client, has } = clientWith({ start: async (infoHashes) => infoHashes.slice(1) });
    const outcomes = await run(client, async (id) => {
      if (id === hashes[2]) throw refused;
    });
    assert.match(String(outcomes[0]), /lost the torrent right after/);
    assert.deepEqual(outcomes.slice(1), ['added', refused]);
    assert.deepEqual([...has], [second]);
  });

  it('is taken out as a whole where the client goes away, or the server', async () => {
    const gone = new AutotorrentError('CLIENT', 'gone');
    const fail = async (): Promise<never> => {
      throw gone;
    };
    const away = clientWith({ start: fail, describe: fail });
    assert.deepEqual(await run(away.client), [gone, gone, gone]);
    assert.deepEqual([...away.has], []);
    const { client, has } = clientWith({});
    const serverless = run(client, async (id) => {
      if (id === second) throw new AutotorrentError('SERVER', 'away');
    });
    await assert.rejects(serverless, { code: 'SERVER' });
    assert.deepEqual([...has], []);
  });
});
