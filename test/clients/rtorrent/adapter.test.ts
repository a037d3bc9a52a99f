import assert from 'node:assert/strict';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type Server } from 'node:http';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import type { FileResume, TorrentActivity, TorrentClient } from '../../../src/clients/client.ts';
import { createClient } from '../../../src/clients/create.ts';
import { connectRtorrent } from '../../../src/clients/rtorrent/rpc.ts';
import { scgiExchange, scgiTarget } from '../../../src/clients/wire/scgi.ts';
import type { Metainfo } from '../../../src/metainfo/metainfo.ts';
import type { ClientDaemon } from '../../harness/client-daemon.ts';
import { waitUntil } from '../../harness/daemon.ts';
import type { TorrentOptions } from '../../harness/make-torrent.ts';
import { startRtorrent } from '../../harness/rtorrent.ts';
import { ANNOUNCE, addOne, bytes, lay, reaches, sample, stateOf } from '../steps.ts';
import { torrentFor } from '../torrent-for.ts';

describe('rTorrent over every transport', () => {
  let tcp: ClientDaemon;
  let unix: ClientDaemon;
  let web: Server;
  before(async () => {
    // SCGI over TCP is what is tested here: it has no password, so this client is within everybody's reach meanwhile.
    tcp = await startRtorrent({ scgi: 'tcp' });
    unix = await startRtorrent();
    // A web server in front of it, like nginx with `scgi_pass`.
    web = createHttpServer((request, response) => {
      void (async () => {
        const authorized = request.headers.authorization === `Basic ${Buffer.from('me:p@ss:wörd').toString('base64')}`;
        if (!authorized) return response.writeHead(401).end();
        if (request.url !== '/RPC2') return response.writeHead(404).end();
        const endpoint = { client: 'rTorrent', shown: '', timeoutMs: 10_000, maxReplyBytes: 1e8 };
        const body = await buffer(request);
        const allowed = { bytes: endpoint.maxReplyBytes, values: 0, lists: 0 };
        const reply = await scgiExchange(scgiTarget(unix.url), endpoint)(body, { 'content-type': 'text/xml' }, allowed);
        return response.writeHead(reply.status, { 'content-type': 'text/xml' }).end(reply.body);
      })();
    });
    await new Promise<void>((resolve) => {
      web.listen(0, '127.0.0.1', resolve);
    });
  });
  after(async () => {
    web?.closeAllConnections();
    web?.close();
    await Promise.all([tcp?.stop(), unix?.stop()]);
  });
  const webUrl = (user: string): string => {
    const address = web.address();
    assert.ok(typeof address === 'object' && address !== null);
    return `http://${user}@127.0.0.1:${address.port}`;
  };

  it('answers on a unix socket, on tcp, and through a web server with a password', async () => {
    for (const url of [tcp.url, unix.url, `${webUrl('me:p%40ss%3Aw%C3%B6rd')}/RPC2`, webUrl('me:p%40ss%3Aw%C3%B6rd')]) {
      const client = createClient({ client: 'rtorrent', url });
      assert.deepEqual(await client.describe(), { name: 'rTorrent', version: '0.9.8' }, url);
      assert.deepEqual(await client.list(), []);
    }
  });

  it('takes a torrent beyond its own limit of 512 KiB, on each', async () => {
    for (const [i, url] of [tcp.url, unix.url, webUrl('me:p%40ss%3Aw%C3%B6rd')].entries()) {
      const content = Array.from({ length: 9000 }, (_, n) => ({
        path: [`a rather long name of a file, number ${n}, of torrent ${i}, ${'x'.repeat(30)}`],
        data: Buffer.from('1'),
      }));
      const metainfo = sample({ name: `large ${i}`, content });
      assert.ok(metainfo.raw.length > 800_000);
      const client = createClient({ client: 'rtorrent', url });
      assert.deepEqual(await addOne(client, { metainfo, directory: tcp.downloads }), { outcome: 'added' });
    }
  });

  it('says that a torrent is too large for it', async () => {
    const metainfo = sample({ name: 'too large', content: bytes(10, 1), info: { filler: Buffer.alloc(13_000_000) } });
    await assert.rejects(addOne(createClient({ client: 'rtorrent', url: tcp.url }), { metainfo, directory: '/tmp' }), {
      code: 'UNSUPPORTED',
      message: /up to 16 MiB/,
    });
  });

  it('says what is wrong with a socket, a password, an address', async () => {
    const cases: readonly (readonly [string, RegExp])[] = [
      [`scgi://${unix.folder}/none.socket`, /has no socket there/],
      [`scgi://${unix.folder}/rtorrent.rc`, /refused the connection|not a socket/],
      [webUrl('me:wrong'), /refused the user name and password \(401\)/],
      [`${webUrl('me:p%40ss%3Aw%C3%B6rd')}/elsewhere`, /has nothing under this path/],
      [tcp.url.replace('scgi:', 'http:'), /not HTTP|closed the connection|did not answer/],
      [tcp.url.replace('scgi:', 'https:'), /closed the connection|does not speak TLS|did not answer/],
    ];
    for (const [url, message] of cases) {
      const client = createClient({ client: 'rtorrent', url }, { timeoutMs: 1000 });
      await assert.rejects(client.describe(), { code: 'CLIENT', message });
    }
    for (const url of ['', 'rtorrent', 'scgi://', 'scgi://host', 'scgi://host:0', 'scgi://host:99999', 'ftp://x/']) {
      assert.throws(() => createClient({ client: 'rtorrent', url }), { code: 'CONFIG' }, url);
    }
  });

  it('stops what the user’s own configuration starts, and erases no .torrent that a torrent is tied to', async () => {
    const rpc = connectRtorrent(unix.url, {});
    const client = createClient({ client: 'rtorrent', url: unix.url });
    await rpc.call('method.set_key', ['', 'event.download.inserted_new', 'auto', 'd.start=']);
    const started = sample({ name: 'started', content: bytes(100, 1) });
    assert.deepEqual(await addOne(client, { metainfo: started, directory: unix.downloads }), { outcome: 'added' });
    assert.equal((await stateOf(client, started.infoHash)).activity, 'stopped');
    const tied = sample({ name: 'tied', content: bytes(100, 2) });
    const file = join(unix.folder, 'tied.torrent');
    await writeFile(file, tied.raw);
    await rpc.call('load.normal', ['', file]);
    await waitUntil('loaded', async () => (await client.list([tied.infoHash])).length === 1);
    assert.deepEqual(await addOne(client, { metainfo: tied, directory: unix.downloads }), { outcome: 'exists' });
    assert.deepEqual(await client.remove([tied.infoHash]), [tied.infoHash]);
    assert.deepEqual(await readFile(file), tied.raw);
    await rpc.call('method.set_key', ['', 'event.download.inserted_new', 'auto', '']);
  });

  it('puts a torrent into its place where the user’s own configuration changes that', async () => {
    const rpc = connectRtorrent(unix.url, {});
    const client = createClient({ client: 'rtorrent', url: unix.url, label: 'ours' });
    const metainfo = sample({ name: 'moved', content: bytes(100, 5) });
    await rpc.call('method.set_key', ['', 'event.download.inserted_new', 'move', 'd.directory.set=/elsewhere']);
    const directory = join(unix.folder, 'its "own", \\ place');
    assert.deepEqual(await addOne(client, { metainfo, directory }), { outcome: 'added' });
    const hash = metainfo.infoHash.toUpperCase();
    assert.equal(await rpc.call('d.directory_base', [hash]), directory);
    assert.equal(await rpc.call('d.custom1', [hash]), 'ours');
    await rpc.call('method.set_key', ['', 'event.download.inserted_new', 'move', '']);
  });

  it('has its place in the session from the first, and is not written whole again by a start', async () => {
    const own = await startRtorrent();
    try {
      const client = createClient({ client: 'rtorrent', url: own.url });
      const directory = join(own.folder, 'own place');
      const metainfo = sample({ name: 'written once', content: bytes(100, 6) });
      await addOne(client, { metainfo, directory });
      const hash = metainfo.infoHash.toUpperCase();
      const saved = join(own.folder, 'session', `${hash}.torrent`);
      assert.ok((await readFile(`${saved}.rtorrent`)).includes(directory));
      const { ino } = await stat(saved);
      await client.start([metainfo.infoHash]);
      assert.equal((await stat(saved)).ino, ino);
      assert.ok((await readFile(`${saved}.rtorrent`, 'latin1')).includes('5:statei1e'));
    } finally {
      await own.stop();
    }
  });

  it('knows where a torrent lies, and that it seeds, when it is killed right after it was added', async () => {
    const own = await startRtorrent();
    try {
      const client = createClient({ client: 'rtorrent', url: own.url });
      const directory = join(own.folder, 'own place');
      const options: TorrentOptions = { name: 'survivor', content: bytes(64_000, 8) };
      await lay(directory, options);
      const metainfo = sample(options);
      await addOne(client, { metainfo, directory });
      await client.start([metainfo.infoHash]);
      await reaches(client, metainfo.infoHash, 'seeding');
      await own.restart('killed');
      assert.equal((await reaches(client, metainfo.infoHash, 'seeding')).progress, 1);
    } finally {
      await own.stop();
    }
  });

  it('is in error where it has stopped what it misses, and stopped where the user has', async () => {
    const client = createClient({ client: 'rtorrent', url: unix.url });
    const options: TorrentOptions = { name: 'missed', content: bytes(100_000, 3) };
    const metainfo = sample(options);
    const directory = join(unix.folder, 'missed');
    await lay(directory, options);
    await addOne(client, { metainfo, directory });
    const { infoHash } = metainfo;
    await client.start([infoHash]);
    await reaches(client, infoHash, 'seeding');

    await rm(join(directory, 'missed'));
    await client.stop([infoHash]);
    assert.equal((await stateOf(client, infoHash)).activity, 'stopped');
    await client.recheck([infoHash]);
    const { message } = await reaches(client, infoHash, 'error');
    assert.match(message ?? '', /registered as completed/);
    await client.stop([infoHash]);
    assert.equal((await stateOf(client, infoHash)).activity, 'stopped');

    // rTorrent creates a file that it opens.
    await rm(join(directory, 'missed'), { force: true });
    await mkdir(join(directory, 'missed'));
    await client.recheck([infoHash]);
    await waitUntil('it says why', async () =>
      /its check failed/.test((await stateOf(client, infoHash)).message ?? ''),
    );
    assert.equal((await stateOf(client, infoHash)).activity, 'stopped', 'it was, when it was told to check');
  });

  it('refuses names that are no UTF-8, which the mount cannot show', async () => {
    const client = createClient({ client: 'rtorrent', url: unix.url });
    const latin = sample({ name: 'latin', content: [{ path: [Buffer.from('caf\xe9', 'latin1')], data: bytes(5, 1) }] });
    await assert.rejects(addOne(client, { metainfo: latin, directory: unix.downloads }), {
      code: 'UNSUPPORTED',
      message: /"café" under bytes that are not UTF-8/,
    });
    assert.deepEqual(await client.list([latin.infoHash]), []);
    assert.equal(client.takesWord(latin, true), false, 'it is not worth hashing');
  });

  it('tells the plain names where a torrent has `path.utf-8`, too', async () => {
    const client = createClient({ client: 'rtorrent', url: unix.url });
    const options: TorrentOptions = {
      name: 'plain',
      content: [{ path: ['cafe'], data: bytes(20_000, 1), extra: { 'path.utf-8': ['café'] } }],
      info: { 'name.utf-8': 'plàin' },
    };
    const metainfo = torrentFor({ announce: ANNOUNCE, ...options }, { name: 'plàin', paths: [['café']] });
    const result = await addOne(client, { metainfo, directory: unix.downloads });
    assert.deepEqual(result, { outcome: 'added', names: [['plain', 'cafe']] });
    await lay(unix.downloads, options, [['plain', 'cafe']]);
    await client.start([metainfo.infoHash]);
    await reaches(client, metainfo.infoHash, 'seeding');
  });

  it('says why a torrent without a tracker may not be taken', async () => {
    const metainfo = torrentFor({ name: 'no tracker', content: bytes(5, 1) });
    await assert.rejects(
      addOne(createClient({ client: 'rtorrent', url: unix.url }), { metainfo, directory: unix.downloads }),
      { code: 'CLIENT', hint: /no tracker/ },
    );
  });
});

describe('rTorrent’s fast resume', () => {
  let daemon: ClientDaemon;
  let client: TorrentClient;
  let count = 0;
  before(async () => {
    daemon = await startRtorrent();
    client = createClient({ client: 'rtorrent', url: daemon.url });
  });
  after(() => daemon?.stop());

  const PIECE = 16_384;
  type Layout = readonly {
    readonly state: FileResume['state'];
    readonly length: number;
    /** The file on the disk: the right bytes, others of that length, or no file. */
    readonly disk: 'right' | 'wrong' | 'none';
    /** The time that the client is given, where it is not the true one. */
    readonly mtimeMs?: number;
  }[];

  /**
   * Adds and starts a torrent of these files. A file with wrong bytes that is called known shows whether the client
   * looked at it: if it did, it would miss its pieces.
   */
  async function run(
    layout: Layout,
    { unverified = [], missing = [] }: { unverified?: readonly number[]; missing?: readonly number[] } = {},
  ): Promise<Metainfo> {
    const directory = join(daemon.folder, 'data', String(++count));
    const content = layout.map(({ length }, i) => ({ path: [`file ${i}`], data: bytes(length, count * 10 + i) }));
    const metainfo = sample({ name: `resume ${count}`, content });
    const disk = layout.map(({ disk, length }, i) => (disk === 'right' ? content[i]?.data : bytes(length, 999)));
    const resume: FileResume[] = [];
    for (const [i, { state, disk: what, mtimeMs }] of layout.entries()) {
      const path = join(directory, metainfo.name, `file ${i}`);
      await mkdir(dirname(path), { recursive: true });
      if (what !== 'none') await writeFile(path, disk[i] ?? '');
      const shown = what === 'none' ? 0 : (await stat(path)).mtimeMs;
      resume.push({ state, mtimeMs: mtimeMs ?? shown });
    }
    const verified = Buffer.alloc(Math.ceil(metainfo.pieceCount / 8));
    for (const [i, file] of metainfo.files.entries()) {
      if (resume[i]?.state !== 'known') continue;
      const end = Math.ceil((file.offset + file.length) / PIECE);
      for (let p = Math.floor(file.offset / PIECE); p < end; p++) verified[p >> 3]! |= 0x80 >> (p & 7);
    }
    const gaps = Buffer.alloc(verified.length);
    for (const p of [...unverified, ...missing]) verified[p >> 3]! &= ~(0x80 >> (p & 7));
    for (const p of missing) gaps[p >> 3]! |= 0x80 >> (p & 7);
    assert.deepEqual(await addOne(client, { metainfo, directory, resume: { files: resume, verified, gaps } }), {
      outcome: 'added',
    });
    await client.start([metainfo.infoHash]);
    return metainfo;
  }
  const share = async ({ infoHash }: Metainfo, activity: TorrentActivity): Promise<number> =>
    (await reaches(client, infoHash, activity)).progress;

  it('known: active without a look at the data', async () => {
    const metainfo = await run([
      { state: 'known', length: 4 * PIECE, disk: 'wrong' },
      { state: 'known', length: 100, disk: 'wrong' },
      { state: 'known', length: 0, disk: 'right' },
    ]);
    assert.equal(await share(metainfo, 'seeding'), 1);
  });

  it('a gap: downloads that alone', async () => {
    const metainfo = await run([
      { state: 'known', length: 4 * PIECE, disk: 'wrong' },
      { state: 'missing', length: 4 * PIECE, disk: 'none' },
    ]);
    assert.equal(await share(metainfo, 'downloading'), 0.5);
  });

  it('a gap that the mount shows as zeros: downloads that alone', async () => {
    const metainfo = await run([
      { state: 'known', length: 4 * PIECE, disk: 'wrong' },
      { state: 'missing', length: 4 * PIECE, disk: 'wrong' },
    ]);
    assert.equal(await share(metainfo, 'downloading'), 0.5);
  });

  it('a piece across a known file and a gap: is not believed', async () => {
    const metainfo = await run([
      { state: 'known', length: 3.5 * PIECE, disk: 'wrong' },
      { state: 'missing', length: 4.5 * PIECE, disk: 'none' },
    ]);
    assert.equal(await share(metainfo, 'downloading'), 3 / 8);
  });

  it('a gap within a file: downloads that piece alone, without a look at the rest', async () => {
    const layout = [{ state: 'known', length: 8 * PIECE, disk: 'wrong' }] as const;
    const metainfo = await run(layout, { missing: [3] });
    assert.equal(await share(metainfo, 'downloading'), 7 / 8);
  });

  it('unchecked beside known: checks that alone, and does not download what is there', async () => {
    const right = await run([
      { state: 'known', length: 4 * PIECE, disk: 'wrong' },
      { state: 'unchecked', length: 4 * PIECE, disk: 'right' },
    ]);
    assert.equal(await share(right, 'seeding'), 1);
    const wrong = await run([
      { state: 'unchecked', length: 4 * PIECE, disk: 'wrong' },
      { state: 'known', length: 4 * PIECE, disk: 'wrong' },
    ]);
    assert.equal(await share(wrong, 'downloading'), 0.5);
  });

  it('all unchecked: checks everything', async () => {
    const metainfo = await run([
      { state: 'unchecked', length: 4 * PIECE, disk: 'wrong' },
      { state: 'unchecked', length: 4 * PIECE, disk: 'right' },
    ]);
    assert.equal(await share(metainfo, 'downloading'), 0.5);
  });

  it('called known with a piece that was not verified: checks the file', async () => {
    const metainfo = await run([{ state: 'known', length: 8 * PIECE, disk: 'right' }], { unverified: [3] });
    assert.equal(await share(metainfo, 'seeding'), 1);
    const damaged = await run([{ state: 'known', length: 8 * PIECE, disk: 'wrong' }], { unverified: [3] });
    assert.equal(await share(damaged, 'downloading'), 0);
  });

  it('changed since, by its time or its size: checks', async () => {
    const metainfo = await run([
      { state: 'known', length: 4 * PIECE, disk: 'right', mtimeMs: 1_000_000_000_000 },
      { state: 'known', length: 4 * PIECE, disk: 'wrong', mtimeMs: 1_000_000_000_000 },
    ]);
    assert.equal(await share(metainfo, 'downloading'), 0.5);
  });
});
