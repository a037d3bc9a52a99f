/** qBittorrent 5.2 by its answers: statuses stand for what 4.x and 5.0 said in words. (The one that is installed is older.) */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { createClient } from '../../../src/clients/create.ts';
import { parseMetainfo } from '../../../src/metainfo/parse.ts';
import { makeTorrent } from '../../harness/make-torrent.ts';

describe('qBittorrent 5.2', () => {
  const { raw } = makeTorrent({ name: 'a film', content: Buffer.alloc(40_000, 'a') });
  const metainfo = parseMetainfo(raw);
  const torrent = { hash: metainfo.infoHash, infohash_v1: metainfo.infoHash, name: 'a film', save_path: '/mount' };
  /** What it is asked to add is: there, refused, or taken. */
  let added: 'there' | 'refused' | 'taken' = 'taken';
  let state: string | undefined;
  let url = '';

  const answers: Readonly<Record<string, () => readonly [status: number, body?: string]>> = {
    '/auth/login': () => [204],
    '/app/version': () => [200, 'v5.2.0'],
    '/torrents/info': () => [200, JSON.stringify(state === undefined ? [] : [{ ...torrent, state, progress: 1 }])],
    '/torrents/files': () => [200, JSON.stringify([{ name: 'a film', size: 40_000, piece_range: [0, 2] }])],
    '/torrents/add': () => {
      if (added !== 'refused') state = 'stoppedUP';
      const counts = { success_count: 1, failure_count: 0, pending_count: 0, added_torrent_ids: [torrent.hash] };
      return added === 'taken' ? [200, JSON.stringify(counts)] : [409, 'Conflict'];
    },
    '/torrents/start': () => ((state = 'stalledUP'), [204]),
    '/torrents/stop': () => ((state = 'stoppedUP'), [204]),
    '/torrents/recheck': () => [204],
    '/torrents/delete': () => ((state = undefined), [204]),
  };
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      const path = (request.url ?? '').replace(/^\/api\/v2/, '').replace(/\?.*/, '');
      const [status, body] = answers[path]?.() ?? [404];
      response.writeHead(status).end(body);
    });
  });
  before(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    url = `http://127.0.0.1:${address.port}`;
  });
  after(() => server.close());

  const connect = () => createClient({ client: 'qbittorrent', url, username: 'admin', password: 'secret' });

  it('adds, starts, stops and removes a torrent', async () => {
    const client = connect();
    added = 'taken';
    const [result] = await client.add([{ metainfo, directory: '/mount' }]);
    assert.equal(result?.outcome, 'added', result?.outcome === 'failed' ? result.error.message : '');
    assert.deepEqual(await client.start([metainfo.infoHash]), [metainfo.infoHash]);
    assert.deepEqual(await client.stop([metainfo.infoHash]), [metainfo.infoHash]);
    assert.deepEqual(await client.remove([metainfo.infoHash]), [metainfo.infoHash]);
    assert.deepEqual(await client.list(), []);
  });

  it('has the torrent that somebody else added meanwhile', async () => {
    added = 'there';
    state = undefined;
    assert.deepEqual(await connect().add([{ metainfo, directory: '/mount' }]), [{ outcome: 'exists' }]);
  });

  it('refuses a torrent', async () => {
    added = 'refused';
    state = undefined;
    const [result] = await connect().add([{ metainfo, directory: '/mount' }]);
    assert.ok(result?.outcome === 'failed');
    assert.match(result.error.message, /refused the torrent/);
  });
});
