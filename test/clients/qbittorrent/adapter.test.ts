import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createClient } from '../../../src/clients/create.ts';
import { connectQbittorrent } from '../../../src/clients/qbittorrent/rpc.ts';
import { parseMetainfo } from '../../../src/metainfo/parse.ts';
import { accountOf } from '../../harness/account.ts';
import type { ClientDaemon } from '../../harness/client-daemon.ts';
import { waitUntil } from '../../harness/daemon.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { libtorrentOf } from '../../harness/libtorrent.ts';
import type { TorrentOptions } from '../../harness/make-torrent.ts';
import { startQbittorrent } from '../../harness/qbittorrent.ts';
import { addOne, bytes, lay, reaches, sample, stateOf } from '../steps.ts';
import { infoOf } from './subject.ts';

describe('qBittorrent with a password', () => {
  let daemon: ClientDaemon;
  before(async () => {
    daemon = await startQbittorrent();
  });
  after(() => daemon?.stop());

  it('answers to the right one, in the keys or in the URL', async () => {
    const { url, username, password } = accountOf(daemon.url);
    for (const config of [
      { client: 'qbittorrent', url, username, password },
      { client: 'qbittorrent', url: daemon.url },
    ] as const) {
      assert.match((await createClient(config).describe()).version, /^\d+\.\d+/);
    }
  });

  it('logs in again when its session has ended', async () => {
    const client = createClient({ client: 'qbittorrent', url: daemon.url });
    await client.describe();
    await daemon.restart('in order');
    assert.deepEqual(await client.list(), []);
  });

  it('says what is wrong: no password, a wrong one, and a ban', async () => {
    const wrong = (password?: string) =>
      createClient({
        client: 'qbittorrent',
        url: accountOf(daemon.url).url,
        ...(password === undefined ? {} : { username: 'admin', password }),
      });
    await assert.rejects(wrong().describe(), {
      code: 'CLIENT',
      message: /forbids the access \(403\).*wants a user name/,
    });
    await assert.rejects(wrong('hunter2').describe(), (error: Error) => {
      assert.match(error.message, /refused the user name and password$/);
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    });
    for (let i = 0; i < 5; i++)
      await wrong('hunter2')
        .describe()
        .catch(() => undefined);
    await assert.rejects(wrong('hunter2').describe(), { code: 'CLIENT', message: /has banned this address/ });
  });

  it('says of a host name that it does not know what could be wrong', async () => {
    const strict = await startQbittorrent({ conf: { Preferences: ['WebUI\\ServerDomains=films.example'] } });
    try {
      const url = strict.url.replace('127.0.0.1', 'localhost');
      await assert.rejects(createClient({ client: 'qbittorrent', url }).describe(), {
        code: 'CLIENT',
        message: /\(401\)/,
        hint: /Server domains/,
      });
    } finally {
      await strict.stop();
    }
  });

  it('refuses an address that is not HTTP', () => {
    for (const url of ['', 'localhost:8080', 'scgi://x']) {
      assert.throws(() => createClient({ client: 'qbittorrent', url }), { code: 'CONFIG' }, url);
    }
  });
});

/** Tests that run at once: most of each is waiting for states, which qBittorrent renews every 1.5 s. */
const AT_ONCE = 4;

describe('what qBittorrent does in its own way', { concurrency: AT_ONCE }, () => {
  let daemon: ClientDaemon;
  let folder: string;
  before(async () => {
    folder = temporaryFolder('qbittorrent');
    daemon = await startQbittorrent({ conf: { Preferences: ['Downloads\\UseIncompleteExtension=true'] } });
  });
  after(async () => {
    await daemon?.stop();
  });
  const connect = (more: { category?: string; tags?: string } = {}) =>
    createClient({ client: 'qbittorrent', url: daemon.url, ...more });

  for (const version of ['v2', 'hybrid'] as const) {
    it(`takes ${version} torrents, by the info hash that we know them by`, async () => {
      const client = connect();
      const name = `release ${version}`;
      const files = { 'a.bin': bytes(70_000, 1), 'b.bin': bytes(40_001, 2), 'sub/c.bin': bytes(5, 3) };
      const place = join(folder, version);
      for (const [path, data] of Object.entries(files)) {
        await mkdir(join(place, name, 'sub'), { recursive: true });
        await writeFile(join(place, name, path), data);
      }
      const metainfo = parseMetainfo(libtorrentOf(join(place, name), version, 16_384));
      assert.equal(metainfo.version, version);
      assert.deepEqual(await addOne(client, { metainfo, directory: place }), { outcome: 'added' });
      const { infoHash } = metainfo;
      // Another object has not seen its id yet.
      const other = connect();
      assert.equal((await stateOf(other, infoHash)).infoHash, infoHash);
      assert.deepEqual(await connect().start([infoHash]), [infoHash]);
      await reaches(other, infoHash, 'seeding');
      assert.deepEqual(await addOne(connect(), { metainfo, directory: place }), { outcome: 'exists' });
      assert.deepEqual(await connect().stop([infoHash]), [infoHash]);
      assert.deepEqual(await connect().remove([infoHash]), [infoHash]);
      assert.deepEqual(await client.list([infoHash]), []);
    });
  }

  it('takes no word for a torrent whose files it looks for under other names', () => {
    assert.equal(connect().takesWord(sample({ name: 'back\\slash', content: bytes(5, 1) }), true), false);
  });

  it('sets tags, and a category within another', async () => {
    const client = connect({ category: 'films/ünusual one', tags: 'a tag,ü, auto' });
    const metainfo = sample({ name: 'tagged', content: bytes(100, 6) });
    assert.deepEqual(await addOne(client, { metainfo, directory: folder }), { outcome: 'added' });
    const { category, tags } = await infoOf(daemon.url, metainfo.infoHash);
    assert.equal(category, 'films/ünusual one');
    assert.deepEqual(
      tags
        .split(',')
        .map((tag) => tag.trim())
        .toSorted(),
      ['a tag', 'auto', 'ü'],
    );
  });

  it('says which category it cannot have, and keeps nothing', async () => {
    const metainfo = sample({ name: 'no category', content: bytes(100, 7) });
    const [result] = await connect({ category: '/wrong//' }).add([{ metainfo, directory: folder }]);
    assert.ok(result?.outcome === 'failed');
    assert.match(result.error.message, /did not take the category \/wrong\/\//);
    assert.deepEqual(await connect().list([metainfo.infoHash]), []);
  });

  for (const [how, steps] of [
    ['is told to check twice', ['start', 'recheck', 'recheck']],
    ['is told to check while it checks', ['recheck', 'start', 'recheck']],
    ['is started under its own names', ['start']],
    ['is checked where it is stopped', ['recheck', 'recheck', 'start']],
  ] as const) {
    it(`does not get stuck over a missing file: ${how}`, async () => {
      const client = connect();
      const content = ['a.bin', 'own\\name.bin', 'c.bin'].map((name, i) => ({ path: [name], data: bytes(300_000, i) }));
      const options: TorrentOptions = { name: `stuck ${steps.length} ${how}`, content, pieceLength: 16_384 };
      const metainfo = sample(options);
      const directory = join(folder, 'stuck', how);
      await lay(directory, { ...options, content: content.filter((_, i) => i !== 1) });
      await addOne(client, { metainfo, directory });
      for (const step of steps) assert.deepEqual(await client[step]([metainfo.infoHash]), [metainfo.infoHash], step);
      const { progress } = await reaches(client, metainfo.infoHash, 'downloading');
      assert.ok(Math.abs(progress - 2 / 3) < 0.05, String(progress));
      await client.remove([metainfo.infoHash]);
    });
  }

  it('seeds what is started while a check that it was stopped for goes on', async () => {
    const client = connect();
    const options: TorrentOptions = { name: 'checked and started', content: bytes(3_000_000, 11) };
    const metainfo = sample(options);
    await lay(folder, options);
    await addOne(client, { metainfo, directory: folder });
    await client.start([metainfo.infoHash]);
    await client.stop([metainfo.infoHash]);
    const recheck = new URLSearchParams({ hashes: metainfo.infoHash });
    await connectQbittorrent(daemon, {}).request('/torrents/recheck', 'POST', undefined, recheck, undefined, false);
    await client.start([metainfo.infoHash]);
    await waitUntil('it is checked', async () => (await stateOf(client, metainfo.infoHash)).activity !== 'checking');
    assert.equal((await reaches(client, metainfo.infoHash, 'seeding')).progress, 1);
  });

  it('is told where a torrent lies, and nothing else, whatever its own settings are', async () => {
    const automatic = await startQbittorrent({
      conf: {
        BitTorrent: [
          'Session\\DisableAutoTMMByDefault=false',
          'Session\\TempPathEnabled=true',
          `Session\\TempPath=${join(folder, 'temporary')}`,
          'Session\\TorrentContentLayout=Subfolder',
        ],
      },
    });
    try {
      const client = createClient({ client: 'qbittorrent', url: automatic.url, category: 'films' });
      const options: TorrentOptions = { name: 'single.bin', content: bytes(50_000, 9) };
      const metainfo = sample(options);
      const directory = join(folder, 'automatic');
      await lay(directory, options);
      assert.deepEqual(await addOne(client, { metainfo, directory }), { outcome: 'added' });
      await client.start([metainfo.infoHash]);
      await reaches(client, metainfo.infoHash, 'seeding');
    } finally {
      await automatic.stop();
    }
  });

  it('says of what somebody else adds meanwhile that it is there', async () => {
    const metainfo = sample({ name: 'raced', content: bytes(100, 10) });
    const clients = Array.from({ length: 4 }, () => connect());
    const results = await Promise.all(clients.map((client) => client.add([{ metainfo, directory: folder }])));
    const outcomes = results.flatMap((result) => result.map(({ outcome }) => outcome));
    assert.ok(outcomes.includes('added'), String(outcomes));
    assert.ok(!outcomes.includes('failed'), String(outcomes));
    assert.equal((await connect().list([metainfo.infoHash])).length, 1);
  });

  it('has every torrent of a batch that is added at once', async () => {
    const client = connect();
    const all = Array.from({ length: 60 }, (_, i) => sample({ name: `batch ${i}`, content: bytes(10, i) }));
    const results = await client.add(all.map((metainfo) => ({ metainfo, directory: folder })));
    assert.deepEqual(new Set(results.map(({ outcome }) => outcome)), new Set(['added']));
    const hashes = all.map(({ infoHash }) => infoHash);
    assert.equal((await client.remove(hashes)).length, 60);
    await waitUntil('they are gone', async () => (await client.list(hashes)).length === 0);
  });

  it('is not believed without its version', async () => {
    const server = createServer((_, res) => res.end('Ok.')).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    try {
      const client = createClient({
        client: 'qbittorrent',
        url: `http://127.0.0.1:${address.port}`,
      });
      await assert.rejects(client.describe(), { code: 'CLIENT', message: /something else instead of a version/ });
      await assert.rejects(client.list(), { code: 'CLIENT', message: /something else instead of JSON/ });
    } finally {
      server.close();
    }
  });
});

describe('qBittorrent that comes back without its files', () => {
  it('seeds again what it had marked as missing, when it is started', async () => {
    const daemon = await startQbittorrent();
    try {
      const client = createClient({ client: 'qbittorrent', url: daemon.url });
      const options: TorrentOptions = { name: 'away', content: bytes(100_000, 8) };
      const metainfo = sample(options);
      const directory = join(daemon.folder, 'away');
      await lay(directory, options);
      await addOne(client, { metainfo, directory });
      await client.start([metainfo.infoHash]);
      await reaches(client, metainfo.infoHash, 'seeding');
      await rm(directory, { recursive: true });
      await daemon.restart('in order');
      const missing = await reaches(client, metainfo.infoHash, 'error');
      assert.equal(missing.message, 'its files are missing');
      await lay(directory, options);
      await client.start([metainfo.infoHash]);
      assert.equal((await reaches(client, metainfo.infoHash, 'seeding')).progress, 1);
    } finally {
      await daemon.stop();
    }
  });
});

describe('qBittorrent whose answers are lost', () => {
  it('has nothing of a torrent of which it is said that it failed', async () => {
    const daemon = await startQbittorrent();
    const account = accountOf(daemon.url);
    const target = new URL(account.url);
    // Hands a torrent on, and hangs up in place of the answer.
    const proxy = createServer((req, res) => {
      const onward = request(
        {
          host: target.hostname,
          port: target.port,
          path: req.url,
          method: req.method,
          headers: { ...req.headers, host: target.host, origin: target.origin, referer: target.origin },
        },
        (reply) => {
          if (req.url === '/api/v2/torrents/add') {
            reply.resume().on('end', () => res.destroy());
            return;
          }
          res.writeHead(reply.statusCode ?? 500, reply.headers);
          reply.pipe(res);
        },
      );
      onward.on('error', () => res.destroy());
      req.pipe(onward);
    });
    try {
      await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
      const address = proxy.address();
      assert.ok(typeof address === 'object' && address !== null);
      const client = createClient({
        client: 'qbittorrent',
        url: `http://127.0.0.1:${address.port}`,
        username: account.username,
        password: account.password,
      });
      const metainfo = sample({ name: 'lost answer', content: bytes(100, 1) });
      const [result] = await client.add([{ metainfo, directory: daemon.downloads }]);
      assert.ok(result?.outcome === 'failed');
      assert.match(result.error.message, /closed the connection before its answer was complete/);
      const direct = createClient({ client: 'qbittorrent', url: daemon.url });
      await waitUntil('it is taken out again', async () => (await direct.list()).length === 0);
    } finally {
      proxy.close();
      await daemon.stop();
    }
  });
});
