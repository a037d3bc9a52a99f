/** Honest answers that are long: of clients with very many torrents, or with long names in them. No bound refuses them. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, describe, it } from 'node:test';
import { createClient } from '../../src/clients/create.ts';
import { parseMetainfo } from '../../src/metainfo/parse.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

type Answer = (body: string) => string | Buffer;

describe('a client with a long answer', () => {
  const servers: ReturnType<typeof createServer>[] = [];
  after(() => {
    for (const server of servers) server.close();
  });

  async function clientOf(answer: Answer): Promise<string> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => response.end(answer(Buffer.concat(chunks).toString('utf8'))));
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    return `http://127.0.0.1:${address.port}`;
  }

  it('qBittorrent: all torrents, each with the magnet link of a hundred trackers', async () => {
    const trackers = '&tr=udp%3A%2F%2Ftracker.films.example%3A1337%2Fannounce'.repeat(110);
    const torrents = Array.from({ length: 12_000 }, (_, i) => {
      const hash = i.toString(16).padStart(40, '0');
      const numbers = Object.fromEntries(Array.from({ length: 58 }, (__, n) => [`n${n}`, n]));
      const magnet = `magnet:?xt=urn:btih:${hash}${trackers}`;
      return JSON.stringify({
        hash,
        name: `film ${i}`,
        state: 'stalledUP',
        progress: 1,
        magnet_uri: magnet,
        ...numbers,
      });
    });
    const body = Buffer.from(`[${torrents.join(',')}]`);
    assert.ok(body.length > 70 * 1024 * 1024);
    const url = await clientOf(() => body);
    const client = createClient({ client: 'qbittorrent', url }, { timeoutMs: 120_000 });
    assert.equal((await client.list()).length, torrents.length);
  });

  it('Transmission: its settings with a long list of trackers', async () => {
    const trackers = 'udp://tracker.films.example:1337/announce\n\n'.repeat(3000);
    const settings = { version: '4.1.0', 'default-trackers': trackers };
    const url = await clientOf(() => JSON.stringify({ result: 'success', arguments: settings }));
    assert.equal((await createClient({ client: 'transmission', url }).describe()).version, '4.1.0');
  });

  it('Transmission: the files of a torrent with long names, each letter an escape', async () => {
    const folder = '影'.repeat(80);
    const files = Array.from({ length: 1500 }, (_, i) => ({
      path: [folder, folder, `${'影'.repeat(80)}${i}`],
      data: Buffer.from('x'),
    }));
    const { raw } = makeTorrent({ name: folder, content: files });
    const metainfo = parseMetainfo(raw);
    let added = false;
    const url = await clientOf((body) => {
      const { method } = JSON.parse(body) as { method: string };
      const hashString = metainfo.infoHash;
      const listed = files.map(({ path }) => ({ name: [folder, ...path].join('/'), length: 1, bytesCompleted: 0 }));
      const torrents = added ? [{ hashString, downloadDir: '/mount', status: 0, files: listed }] : [];
      if (method === 'torrent-add') added = true;
      const answer = JSON.stringify({ result: 'success', arguments: { torrents, 'torrent-added': { hashString } } });
      return answer.replaceAll(/[\u0080-\uffff]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16)}`);
    });
    const client = createClient({ client: 'transmission', url });
    const [result] = await client.add([{ metainfo, directory: '/mount' }]);
    assert.equal(result?.outcome, 'added', result?.outcome === 'failed' ? result.error.message : '');
  });
});
