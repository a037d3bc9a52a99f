import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { createClient } from '../../../src/clients/create.ts';
import type { Metainfo } from '../../../src/metainfo/metainfo.ts';
import { accountOf } from '../../harness/account.ts';
import type { ClientDaemon } from '../../harness/client-daemon.ts';
import { bencoded, type TorrentOptions } from '../../harness/make-torrent.ts';
import { startTransmission } from '../../harness/transmission.ts';
import { ANNOUNCE, addOne, bytes, lay, reaches, sample } from '../steps.ts';
import { torrentFor } from '../torrent-for.ts';

describe('Transmission with a password', () => {
  let daemon: ClientDaemon;
  before(async () => {
    daemon = await startTransmission({ account: { username: 'me', password: 'p@ss:wörd' } });
  });
  after(() => daemon?.stop());

  it('answers to the right one, in the keys or in the URL, at any of its addresses', async () => {
    const { url } = accountOf(daemon.url);
    const { origin } = new URL(url);
    const inUrl = origin.replace('//', '//me:p%40ss%3Aw%C3%B6rd@');
    const keys = { username: 'me', password: 'p@ss:wörd' };
    for (const config of [
      { client: 'transmission', url, ...keys },
      { client: 'transmission', url: daemon.url },
      { client: 'transmission', url: origin, ...keys },
      { client: 'transmission', url: `${origin}/transmission/web/`, ...keys },
      { client: 'transmission', url: inUrl },
    ] as const) {
      assert.match((await createClient(config).describe()).version, /^3\.00/, config.url);
    }
  });

  it('says that a wrong one is refused', async () => {
    const { url } = accountOf(daemon.url);
    for (const password of ['', 'wrong']) {
      await assert.rejects(createClient({ client: 'transmission', url, username: 'me', password }).describe(), {
        code: 'CLIENT',
        message: /refused the user name and password \(401\)/,
      });
    }
  });

  it('refuses an address that is not HTTP', () => {
    for (const url of ['', 'localhost:9091', 'scgi://x', 'http://']) {
      assert.throws(() => createClient({ client: 'transmission', url }), { code: 'CONFIG' }, url);
    }
    assert.throws(
      () => createClient({ client: 'transmission', url: 'http://me:hunter/2@host' }),
      (error: Error) => !error.message.includes('hunter') && error.message.includes('http://***@host'),
    );
  });
});

const listing = (torrents: unknown): unknown => ({ result: 'success', arguments: { torrents } });

describe('Transmission with rules of its own', () => {
  it('says which list forbids the access', async () => {
    const daemon = await startTransmission({ settings: { 'rpc-whitelist': '10.9.8.7' } });
    try {
      await assert.rejects(createClient({ client: 'transmission', url: daemon.url }).describe(), {
        code: 'CLIENT',
        hint: /rpc-whitelist/,
      });
    } finally {
      await daemon.stop();
    }
  });

  it('is asked again after it restarted, and not for ever', async () => {
    let session = 'first';
    let requests = 0;
    const server = createServer((request, response) => {
      requests++;
      if (request.headers['x-transmission-session-id'] !== session) {
        return response.writeHead(409, { 'x-transmission-session-id': session === 'none' ? 'x' : session }).end();
      }
      return response.end(JSON.stringify({ result: 'success', arguments: { version: '3.00 (x)' } }));
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    try {
      const address = server.address();
      assert.ok(typeof address === 'object' && address !== null);
      const client = createClient({ client: 'transmission', url: `http://127.0.0.1:${address.port}` });
      await client.describe();
      await client.describe();
      assert.equal(requests, 3);
      session = 'second';
      await client.describe();
      assert.equal(requests, 5);
      session = 'none';
      await assert.rejects(client.describe(), { code: 'CLIENT', message: /session id/ });
      assert.equal(requests, 7);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it('is not believed: answers that make no sense', async () => {
    let reply: unknown;
    /** The answer to the first request, where it is another: that it does not have the torrent yet. */
    let first: unknown;
    const server = createServer((_, response) => {
      response.end(JSON.stringify(first ?? reply));
      first = undefined;
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    try {
      const address = server.address();
      assert.ok(typeof address === 'object' && address !== null);
      const client = createClient({ client: 'transmission', url: `http://127.0.0.1:${address.port}` });
      const metainfo = sample({ name: 'x', content: bytes(5, 1) });
      for (const nonsense of [
        [],
        null,
        { result: 5 },
        { result: 'success' },
        listing('many'),
        listing([null]),
        listing([{ hashString: '../x', status: 0 }]),
        listing([{ hashString: metainfo.infoHash, status: 77 }]),
        { result: 'no\u001b[31m way' },
      ]) {
        reply = nonsense;
        await assert.rejects(client.list(), { code: 'CLIENT' }, JSON.stringify(nonsense));
        first = listing([]);
        await assert.rejects(
          addOne(client, { metainfo, directory: '/x' }),
          { code: 'CLIENT' },
          JSON.stringify(nonsense),
        );
      }
      for (const name of ['../x', 'x/../../y', '/etc/passwd', 'x//y', 'a\0b', 'n'.repeat(256), 'n'.repeat(2000)]) {
        first = listing([]);
        reply = {
          result: 'success',
          arguments: {
            'torrent-added': { hashString: metainfo.infoHash },
            torrents: [{ hashString: metainfo.infoHash, downloadDir: '/x', labels: [], files: [{ name, length: 5 }] }],
          },
        };
        await assert.rejects(addOne(client, { metainfo, directory: '/x' }), {
          code: 'CLIENT',
          message: /unusable path/,
        });
      }
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

describe('Transmission and names that only it changes', () => {
  let daemon: ClientDaemon;
  before(async () => {
    daemon = await startTransmission();
  });
  after(() => daemon?.stop());

  it('seeds names that are not UTF-8 under the name it tells', async () => {
    const client = createClient({ client: 'transmission', url: daemon.url });
    const options: TorrentOptions = {
      name: 'latin',
      content: [{ path: [Buffer.from('caf\xe9', 'latin1')], data: bytes(20_000, 1) }],
    };
    const metainfo = torrentFor({ announce: ANNOUNCE, ...options }, { paths: [['café']] });
    await lay(daemon.downloads, options, [['latin', 'café']]);
    assert.deepEqual(await addOne(client, { metainfo, directory: daemon.downloads }), { outcome: 'added' });
    await client.start([metainfo.infoHash]);
    await reaches(client, metainfo.infoHash, 'seeding');
  });

  it('refuses two files that it would look for under one name', async () => {
    const client = createClient({ client: 'transmission', url: daemon.url });
    const content = ['a:b', 'a?b'].map((name, i) => ({ path: [name], data: bytes(10, i) }));
    const metainfo = sample({ name: 'clash', content });
    await assert.rejects(addOne(client, { metainfo, directory: daemon.downloads }), {
      code: 'CLIENT',
      message: /two files of the torrent under one name/,
    });
    assert.deepEqual(await client.list([metainfo.infoHash]), []);
  });

  it('says that it takes no hybrid torrent', async () => {
    const client = createClient({ client: 'transmission', url: daemon.url });
    const content = bytes(5, 1);
    const info = { 'meta version': 2, 'file tree': { h: { '': { length: 5, 'pieces root': Buffer.alloc(32, 1) } } } };
    const metainfo = torrentFor({ name: 'h', announce: ANNOUNCE, content, info }, { version: 'hybrid' });
    await assert.rejects(addOne(client, { metainfo, directory: daemon.downloads }), {
      code: 'UNSUPPORTED',
      message: /hybrid/,
    });
    assert.deepEqual(await client.list([metainfo.infoHash]), []);
  });

  it('takes no torrent whose info hash it computes otherwise', async () => {
    const client = createClient({ client: 'transmission', url: daemon.url });
    // The keys are out of order: 3.00 sorts them when it encodes the dictionary anew, before it hashes it.
    const data = bytes(5, 1);
    const pieces = bencoded(createHash('sha1').update(data).digest());
    const info = Buffer.concat([
      Buffer.from('d4:name8:unsorted6:lengthi5e12:piece lengthi16384e6:pieces'),
      pieces,
      Buffer.from('e'),
    ]);
    const metainfo: Metainfo = {
      ...sample({ name: 'unsorted', content: data }),
      raw: Buffer.concat([Buffer.from('d4:info'), info, Buffer.from('e')]),
      infoHash: createHash('sha1').update(info).digest('hex'),
    };
    await assert.rejects(addOne(client, { metainfo, directory: daemon.downloads }), {
      code: 'CLIENT',
      message: /computes another info hash/,
    });
    assert.equal(
      (await client.list()).some(({ name }) => name === 'unsorted'),
      false,
    );
  });
});
