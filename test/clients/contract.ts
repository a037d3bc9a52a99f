/** What every client adapter must do, tried against the real client. An adapter's own test is a few lines. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AddRequest, AddResult, TorrentActivity, TorrentClient, TorrentState } from '../../src/clients/client.ts';
import type { ClientOptions } from '../../src/clients/wire/exchange.ts';
import type { Metainfo } from '../../src/metainfo/metainfo.ts';
import type { ClientDaemon } from '../harness/client-daemon.ts';
import { startCountingProxy } from '../harness/counting-proxy.ts';
import { freePort, waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { bencoded, type TorrentContent, type TorrentOptions } from '../harness/make-torrent.ts';
import { torrentFor } from './torrent-for.ts';

export interface Subject {
  readonly name: string;
  start(): Promise<ClientDaemon>;
  connect(url: string, options?: ClientOptions): TorrentClient;
  /** The same, with a label for what is added. */
  connectLabelled(url: string, label: string): TorrentClient;
  /** The label as the client itself holds it, undone what the adapter does to it. */
  labelOf(url: string, infoHash: string): Promise<string>;
  /** Whether `remove` with `withData` deletes the data: rTorrent has no call for that. */
  readonly deletesData: boolean;
  /** Of the suite, where it is not the name. */
  readonly title?: string;
  /** False where it does not speak HTTP: its own test has what else may answer then. */
  readonly isHttp?: false;
  /** What becomes of a label in it. */
  readonly labelled?: (label: string) => string;
  /** Adds the 5,000 that it is to list at once, where it would take minutes for that itself. */
  readonly filler?: () => TorrentClient;
  /** It takes v2 torrents, which its own test has then. */
  readonly takesV2?: true;
  /** What it says of a torrent whose file is a folder now, or, where it takes no notice of that, has gone. */
  readonly inError: { readonly says: RegExp; readonly file: 'a folder' | 'gone' };
  /** Of which torrents it takes our word for what is there: of none, of whole ones, or also of those with gaps. */
  readonly takesWord: 'never' | 'whole' | 'with gaps';
  /** Names that a torrent may have, with what this client makes of each; no name: as it is. */
  readonly unusualNames: readonly (readonly [own: string, used?: string])[];
}

/** Nothing listens on port 9; a torrent without a tracker is refused by some clients. */
export const ANNOUNCE = 'http://127.0.0.1:9/announce';

export function sample(options: Omit<TorrentOptions, 'announce'>): Metainfo {
  return torrentFor({ announce: ANNOUNCE, ...options });
}

/** Bytes that repeat nowhere within the file, the same for the same seed. */
export function bytes(length: number, seed: number): Buffer {
  const data = Buffer.alloc(length);
  let state = seed * 2_654_435_761 + 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    data[i] = state >>> 24;
  }
  return data;
}

/** Writes the files of a torrent below `directory`, under `names` where the client uses its own. */
export async function lay(
  directory: string,
  options: TorrentOptions,
  names?: readonly (readonly string[])[],
): Promise<void> {
  const { name, content } = options;
  const files = Buffer.isBuffer(content) ? [{ path: [], data: content }] : content;
  for (const [i, file] of files.entries()) {
    const path = join(directory, ...(names?.[i] ?? [name, ...file.path].map(String)));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, file.data);
  }
}

/** One torrent's result; throws its error where it is `failed`. */
export async function addOne(client: TorrentClient, request: AddRequest): Promise<AddResult> {
  const results = await client.add([request]);
  assert.equal(results.length, 1);
  const [result] = results;
  assert.ok(result);
  if (result.outcome === 'failed') throw result.error;
  return result;
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

export async function stateOf(client: TorrentClient, infoHash: string): Promise<TorrentState> {
  const [state] = await client.list([infoHash]);
  assert.ok(state, 'the client has the torrent');
  return state;
}

export async function reaches(
  client: TorrentClient,
  infoHash: string,
  activity: TorrentActivity,
  limitMs = 20_000,
): Promise<TorrentState> {
  let last: TorrentState | undefined;
  try {
    await waitUntil(
      activity,
      async () => {
        last = await stateOf(client, infoHash);
        return last.activity === activity;
      },
      { limitMs },
    );
  } catch (cause) {
    throw new Error(`wanted ${activity}, is ${JSON.stringify(last)}`, { cause });
  }
  assert.ok(last);
  return last;
}

/** A torrent whose files are there, and which the client seeds. */
async function seeded(client: TorrentClient, directory: string, options: TorrentOptions): Promise<Metainfo> {
  const metainfo = sample(options);
  await lay(directory, options);
  assert.deepEqual(await addOne(client, { metainfo, directory }), { outcome: 'added' });
  await client.start([metainfo.infoHash]);
  await reaches(client, metainfo.infoHash, 'seeding');
  return metainfo;
}

export function clientContract(subject: Subject): void {
  const title = subject.title ?? subject.name;
  describe(`${title} as a torrent client`, () => {
    let daemon: ClientDaemon;
    let client: TorrentClient;
    let folders = 0;
    /** A new folder for one test's data. */
    const place = async (): Promise<string> => {
      const folder = join(daemon.folder, 'data', `${++folders} 50% ü`);
      await mkdir(folder, { recursive: true });
      return folder;
    };

    before(async () => {
      daemon = await subject.start();
      client = subject.connect(daemon.url);
    });
    after(async () => {
      await client?.close();
      await daemon?.stop();
    });

    it('says what it is', async () => {
      const description = await client.describe();
      assert.equal(description.name, subject.name);
      assert.match(description.version, /^\d+\.\d+/);
    });

    it('adds a folder of files stopped, starts it, and stops it', async () => {
      const directory = await place();
      const options: TorrentOptions = {
        name: 'some folder',
        content: [
          { path: ['a.bin'], data: bytes(40_000, 1) },
          { path: ['sub', 'deep', 'b.bin'], data: bytes(50_000, 2) },
          { path: ['empty'], data: Buffer.alloc(0) },
        ],
      };
      const metainfo = sample(options);
      await lay(directory, options);
      assert.deepEqual(await addOne(client, { metainfo, directory }), { outcome: 'added' });
      const stopped = await reaches(client, metainfo.infoHash, 'stopped');
      assert.equal(stopped.name, 'some folder');
      assert.equal(stopped.infoHash, metainfo.infoHash);
      assert.equal(stopped.message, undefined);
      assert.deepEqual(await client.start([metainfo.infoHash]), [metainfo.infoHash]);
      assert.equal((await reaches(client, metainfo.infoHash, 'seeding')).progress, 1);
      assert.deepEqual(await client.stop([metainfo.infoHash]), [metainfo.infoHash]);
      assert.equal((await reaches(client, metainfo.infoHash, 'stopped')).progress, 1);
      assert.deepEqual(await client.start([metainfo.infoHash]), [metainfo.infoHash]);
      await reaches(client, metainfo.infoHash, 'seeding');
    });

    it('starts what was stopped a moment ago', async () => {
      const directory = await place();
      const options: TorrentOptions = { name: 'stopped and started', content: bytes(50_000, 9) };
      const metainfo = await seeded(client, directory, options);
      for (let i = 0; i < 3; i++) {
        await client.stop([metainfo.infoHash]);
        await client.start([metainfo.infoHash]);
      }
      await sleep(1000);
      await reaches(client, metainfo.infoHash, 'seeding');
    });

    it('adds a single file, with names of every script, into a directory of such a name', async () => {
      const directory = join(await place(), 'путь 路径 😀', 'quo\'te "double" $x, y; \\ z');
      const options: TorrentOptions = { name: 'é ü 日本語 кот.bin', content: bytes(30_000, 3) };
      await seeded(client, directory, options);
    });

    it('adds 10,000 files', async () => {
      const directory = await place();
      const content: TorrentContent[] = Array.from({ length: 10_000 }, (_, i) => ({
        path: [`folder ${i % 20}`, `file ${i}`],
        data: bytes(20, i),
      }));
      await seeded(client, directory, { name: 'many', content });
    });

    it('tells the names it will look for, and looks for them', async () => {
      const directory = await place();
      const content = subject.unusualNames.map(([own], i) => ({ path: [own], data: bytes(20_000, i) }));
      const options: TorrentOptions = { name: 'unusual', content };
      const metainfo = sample(options);
      const result = await addOne(client, { metainfo, directory });
      const used = subject.unusualNames.map(([own, used = own]) => ['unusual', used]);
      const changed = subject.unusualNames.some(([, used]) => used !== undefined);
      assert.deepEqual(result, changed ? { outcome: 'added', names: used } : { outcome: 'added' });
      // Its own check found nothing by now; under these names it must find everything.
      await reaches(client, metainfo.infoHash, 'stopped');
      await lay(directory, options, used);
      await client.start([metainfo.infoHash]);
      await reaches(client, metainfo.infoHash, 'seeding');
    });

    it('labels what it adds', async () => {
      for (const label of ['plain', 'with space / slash & 100% <ü> "日本" 😀']) {
        const labelled = subject.connectLabelled(daemon.url, label);
        const metainfo = sample({ name: `labelled ${label.length}`, content: bytes(100, label.length) });
        assert.deepEqual(await addOne(labelled, { metainfo, directory: await place() }), { outcome: 'added' });
        const wanted = subject.labelled?.(label) ?? label;
        assert.equal(await subject.labelOf(daemon.url, metainfo.infoHash), wanted);
      }
    });

    it('says of a torrent that it is there already, and leaves it as it is', async () => {
      const directory = await place();
      const options: TorrentOptions = { name: 'twice', content: bytes(20_000, 4) };
      const metainfo = await seeded(client, directory, options);
      const again = subject.connectLabelled(daemon.url, 'another');
      assert.deepEqual(await addOne(again, { metainfo, directory: await place() }), { outcome: 'exists' });
      assert.equal((await stateOf(client, metainfo.infoHash)).activity, 'seeding');
      assert.notEqual(await subject.labelOf(daemon.url, metainfo.infoHash), 'another');
    });

    it('removes a torrent and leaves its data', async () => {
      const directory = await place();
      const options: TorrentOptions = { name: 'to remove', content: bytes(20_000, 5) };
      const metainfo = await seeded(client, directory, options);
      assert.deepEqual(await client.remove([metainfo.infoHash]), [metainfo.infoHash]);
      assert.deepEqual(await client.list([metainfo.infoHash]), []);
      assert.deepEqual(await readFile(join(directory, 'to remove')), options.content);
      assert.deepEqual(await addOne(client, { metainfo, directory }), { outcome: 'added' }, 'can be added again');
    });

    it('removes a torrent with its data, where the client can delete that', async () => {
      const directory = await place();
      const options: TorrentOptions = { name: 'to delete', content: [{ path: ['a.bin'], data: bytes(20_000, 15) }] };
      const metainfo = await seeded(client, directory, options);
      assert.deepEqual(await client.remove([metainfo.infoHash], { withData: true }), [metainfo.infoHash]);
      assert.deepEqual(await client.list([metainfo.infoHash]), []);
      const left = async (): Promise<number> => (await readdir(directory)).length;
      if (subject.deletesData) await waitUntil('its data is gone', async () => (await left()) === 0);
      else assert.equal(await left(), 1);
    });

    it('downloads what is missing of a torrent, and nothing else', async () => {
      const directory = await place();
      const content = Array.from({ length: 4 }, (_, i) => ({ path: [`${i}.bin`], data: bytes(65_536, 20 + i) }));
      const metainfo = sample({ name: 'partial', content });
      await lay(directory, { name: 'partial', content: content.slice(0, 3) });
      assert.deepEqual(await addOne(client, { metainfo, directory }), { outcome: 'added' });
      await client.start([metainfo.infoHash]);
      await waitUntil('three quarters are there', async () => {
        const { activity, progress } = await stateOf(client, metainfo.infoHash);
        return activity === 'downloading' && progress === 0.75;
      });
      for (const { path, data } of content.slice(0, 3)) {
        assert.deepEqual(await readFile(join(directory, 'partial', ...path)), data);
      }
      await client.stop([metainfo.infoHash]);
      await lay(directory, { name: 'partial', content });
      await client.recheck([metainfo.infoHash]);
      await waitUntil('all is there', async () => (await stateOf(client, metainfo.infoHash)).progress === 1);
    });

    it('checks again when told to', async () => {
      const directory = await place();
      const options: TorrentOptions = { name: 'to check', content: bytes(64_000, 6) };
      const metainfo = await seeded(client, directory, options);
      await client.stop([metainfo.infoHash]);
      await reaches(client, metainfo.infoHash, 'stopped');
      await writeFile(join(directory, 'to check'), bytes(64_000, 7));
      assert.deepEqual(await client.recheck([metainfo.infoHash]), [metainfo.infoHash]);
      await waitUntil('the damage is found', async () => (await stateOf(client, metainfo.infoHash)).progress === 0);
    });

    it('tells of an error, and what the client says of it', async () => {
      const directory = await place();
      const options: TorrentOptions = { name: 'in error', content: bytes(64_000, 11) };
      const metainfo = await seeded(client, directory, options);
      await client.stop([metainfo.infoHash]);
      await reaches(client, metainfo.infoHash, 'stopped');
      await rm(join(directory, 'in error'));
      if (subject.inError.file === 'a folder') await mkdir(join(directory, 'in error'));
      await client.recheck([metainfo.infoHash]);
      await sleep(1000);
      await client.start([metainfo.infoHash]);
      const { message } = await reaches(client, metainfo.infoHash, 'error');
      assert.match(message ?? '', subject.inError.says);
      await rm(join(directory, 'in error'), { recursive: true, force: true });
      await lay(directory, options);
      await client.start([metainfo.infoHash]);
      assert.equal((await reaches(client, metainfo.infoHash, 'seeding')).progress, 1);
    });

    for (const [what, missing] of [
      ['all of which is verified', undefined],
      ['of which a piece is a gap', 5],
    ] as const) {
      const whole = missing === undefined;
      const believed = subject.takesWord === 'with gaps' || (subject.takesWord === 'whole' && whole);
      it(`${believed ? 'takes' : 'does not take'} our word for a torrent ${what}, and says so`, async () => {
        const options: TorrentOptions = { name: what, content: bytes(8 * 16_384, 4), pieceLength: 16_384 };
        const metainfo = sample(options);
        assert.equal(client.takesWord(metainfo, whole), believed);
        const directory = await place();
        // Other bytes: a check finds nothing.
        await lay(directory, { ...options, content: bytes(8 * 16_384, 5) });
        const { mtimeMs } = await stat(join(directory, what));
        const bit = whole ? 0 : 0x80 >> missing;
        const files = [{ state: 'known' as const, mtimeMs }];
        const resume = { files, verified: Buffer.of(0xff & ~bit), gaps: Buffer.of(bit) };
        assert.deepEqual(await addOne(client, { metainfo, directory, resume }), { outcome: 'added' });
        await client.start([metainfo.infoHash]);
        const { progress } = await reaches(client, metainfo.infoHash, whole && believed ? 'seeding' : 'downloading');
        assert.equal(progress, believed ? (whole ? 1 : 7 / 8) : 0);
        await client.remove([metainfo.infoHash]);
      });
    }

    it('checks a piece that is neither verified nor a gap', async () => {
      const options: TorrentOptions = { name: 'one unverified', content: bytes(8 * 16_384, 4), pieceLength: 16_384 };
      const metainfo = sample(options);
      const directory = await place();
      await lay(directory, { ...options, content: bytes(8 * 16_384, 5) });
      const { mtimeMs } = await stat(join(directory, 'one unverified'));
      const files = [{ state: 'unchecked' as const, mtimeMs }];
      const resume = { files, verified: Buffer.of(0xfb), gaps: Buffer.of(0) };
      assert.deepEqual(await addOne(client, { metainfo, directory, resume }), { outcome: 'added' });
      await client.start([metainfo.infoHash]);
      assert.equal((await reaches(client, metainfo.infoHash, 'downloading')).progress, 0);
      await client.remove([metainfo.infoHash]);
    });

    it('says false of a torrent it does not have', async () => {
      const absent = 'ab'.repeat(20);
      assert.deepEqual(await client.start([absent]), []);
      assert.deepEqual(await client.stop([absent]), []);
      assert.deepEqual(await client.recheck([absent]), []);
      assert.deepEqual(await client.remove([absent]), []);
      assert.deepEqual(await client.list([absent]), []);
      assert.deepEqual(await client.list([]), []);
    });

    it('lists hundreds at once, or those asked for', async () => {
      const directory = await place();
      const all = Array.from({ length: 300 }, (_, i) => sample({ name: `listed ${i}`, content: bytes(10, i) }));
      const added = await client.add(all.map((metainfo) => ({ metainfo, directory })));
      assert.deepEqual(
        added,
        all.map(() => ({ outcome: 'added' })),
      );
      const listed = new Map((await client.list()).map((state) => [state.infoHash, state]));
      for (const { infoHash, name } of all) assert.equal(listed.get(infoHash)?.name, name);
      for (const count of [3, 200]) {
        const asked = all.slice(0, count).map(({ infoHash }) => infoHash);
        const found = await client.list([...asked, 'cd'.repeat(20)]);
        assert.deepEqual(found.map(({ infoHash }) => infoHash).toSorted(), asked.toSorted());
      }
    });

    it('leaves nothing behind of what it refuses, and takes the rest of a batch', async () => {
      const before = (await client.list()).length;
      const good = sample({ name: 'refused', content: bytes(20_000, 8) });
      // A file of a negative length; an info dictionary that is cut off.
      const negative = bencoded({
        announce: ANNOUNCE,
        info: { name: 'refused', 'piece length': 16_384, length: -5, pieces: Buffer.alloc(20) },
      });
      const raws = [Buffer.from('garbage'), Buffer.from('de'), negative, good.raw.subarray(0, -30)];
      const bad = raws.map((raw, i) => ({ ...good, raw, infoHash: `${i}`.repeat(40) }));
      const fine = [1, 2].map((i) => sample({ name: `beside refused ones ${i}`, content: bytes(100, 80 + i) }));
      const [first, second] = fine;
      assert.ok(first && second);
      const directory = await place();
      const results = await client.add([first, ...bad, second].map((metainfo) => ({ metainfo, directory })));
      assert.deepEqual(
        results.map((result) => (result.outcome === 'failed' ? result.error.code : result.outcome)),
        ['added', ...bad.map(() => 'CLIENT'), 'added'],
      );
      assert.equal((await client.list()).length, before + 2);
      const there = fine.map(({ infoHash }) => infoHash);
      assert.deepEqual(await client.remove([...there, 'ef'.repeat(20)]), there);
    });

    it('says that it cannot take a v2 torrent', { skip: subject.takesV2 }, async () => {
      const raw = bencoded({
        announce: ANNOUNCE,
        info: {
          'file tree': { f: { '': { length: 5, 'pieces root': Buffer.alloc(32, 1) } } },
          'meta version': 2,
          name: 'f',
          'piece length': 16_384,
        },
      });
      const metainfo: Metainfo = { ...sample({ name: 'f', content: bytes(5, 1) }), raw, version: 'v2' };
      await assert.rejects(addOne(client, { metainfo, directory: daemon.downloads }), {
        code: 'UNSUPPORTED',
        message: /v2/,
      });
    });

    it('says what is wrong with a connection', async () => {
      const port = await freePort();
      const closed = daemon.url.replace(/:\d+/, `:${port}`);
      await assert.rejects(subject.connect(closed).describe(), { code: 'CLIENT', message: /refused the connection/ });
      const unknown = daemon.url.replace('127.0.0.1', 'no-such-host.invalid');
      await assert.rejects(subject.connect(unknown).describe(), { code: 'CLIENT', message: /host name is not known/ });
    });
  });

  describe(`${title} with many torrents`, () => {
    let daemon: ClientDaemon;
    before(async () => {
      daemon = await subject.start();
    });
    after(() => daemon?.stop());

    const count = 5000;
    it(`lists ${count} in a call, and half of them in two at the most`, async () => {
      const all = Array.from({ length: count }, (_, i) => sample({ name: `many ${i}`, content: bytes(10, i) }));
      const client = subject.filler?.() ?? subject.connect(daemon.url);
      for (let i = 0; i < all.length; i += 500) {
        const some = all.slice(i, i + 500).map((metainfo) => ({ metainfo, directory: daemon.downloads }));
        for (const result of await client.add(some)) assert.equal(result.outcome, 'added');
      }
      const proxy = await startCountingProxy(daemon.url);
      try {
        const proxied = subject.connect(proxy.url);
        await proxied.describe();
        proxy.reset();
        const names = new Map((await proxied.list()).map(({ infoHash, name }) => [infoHash, name]));
        // None where one connection takes all calls.
        assert.ok(proxy.calls <= 1, `${proxy.calls} calls`);
        assert.equal(names.size, all.length);
        for (const { infoHash, name } of all) assert.equal(names.get(infoHash), name);
        const asked = all.slice(0, count / 2).map(({ infoHash }) => infoHash);
        proxy.reset();
        assert.equal((await proxied.list([...asked, 'cd'.repeat(20)])).length, asked.length);
        assert.ok(proxy.calls <= 2, `${proxy.calls} calls`);
        await proxied.close();
      } finally {
        await proxy.stop();
        await client.close();
      }
    });
  });

  if (subject.isHttp === false) return;
  describe(`${title} over TLS`, () => {
    let folder: string;
    let server: Server;
    let port: number;
    before(async () => {
      folder = temporaryFolder('self-signed');
      const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder, name));
      assert.ok(key !== undefined && cert !== undefined);
      const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=127.0.0.1', '-keyout', key];
      execFileSync('openssl', [...args, '-out', cert], { stdio: 'ignore' });
      server = createTlsServer({ key: await readFile(key), cert: await readFile(cert) }, (_, res) => res.end());
      port = await listening(server);
    });
    after(async () => {
      server?.closeAllConnections();
      server?.close();
    });

    it('says that a certificate is not trusted, and how to make it', async () => {
      await assert.rejects(subject.connect(`https://127.0.0.1:${port}/x`).describe(), {
        code: 'CLIENT',
        message: /shows a certificate that is not trusted/,
        hint: /NODE_EXTRA_CA_CERTS/,
      });
    });

    it('says so where one side speaks TLS and the other does not', async () => {
      await assert.rejects(subject.connect(`http://127.0.0.1:${port}/x`).describe(), {
        code: 'CLIENT',
        message: /not HTTP|closed the connection/,
      });
      const plain = createServer((_, res) => res.end());
      try {
        await assert.rejects(subject.connect(`https://127.0.0.1:${await listening(plain)}/x`).describe(), {
          code: 'CLIENT',
          message: /does not speak TLS/,
        });
      } finally {
        plain.close();
      }
    });
  });

  describe(`${title} behind something else that answers`, () => {
    const servers: Server[] = [];
    after(() => {
      for (const server of servers) {
        server.closeAllConnections();
        server.close();
      }
    });
    const answers = async (listener: RequestListener, options: ClientOptions = {}): Promise<TorrentClient> => {
      const server = createServer(listener);
      servers.push(server);
      return subject.connect(`http://user:hunter2@127.0.0.1:${await listening(server)}/some/path`, options);
    };
    const cases: readonly (readonly [string, RegExp, RequestListener, ClientOptions?])[] = [
      ['a web page', /answered with a web page instead of/, (_, res) => res.end('<!DOCTYPE html><html></html>')],
      ['nothing', /answered with nothing instead of/, (_, res) => res.end()],
      ['other text', /answered with something else instead of/, (_, res) => res.end('hello')],
      [
        'a redirect',
        /redirects to https:\/\/elsewhere\.example\/ \(302\), which is not followed/,
        (_, res) => res.writeHead(302, { location: 'https://me:secret@elsewhere.example/' }).end(),
      ],
      ['401', /refused the user name and password \(401\)/, (_, res) => res.writeHead(401).end('<html>')],
      ['403', /forbids the access/, (_, res) => res.writeHead(403).end()],
      ['404', /has nothing under this path \(404\)/, (_, res) => res.writeHead(404).end()],
      ['500', /failed inside \(500\)/, (_, res) => res.writeHead(500).end('<html>')],
      ['418', /unexpected status 418/, (_, res) => res.writeHead(418).end()],
      [
        'an answer that is cut off',
        /closed the connection before its answer was complete/,
        (_, res) => {
          res.writeHead(200, { 'content-length': '1000' });
          res.write('<?xml version="1.0"?>');
          setImmediate(() => res.destroy());
        },
      ],
      ['no answer', /did not answer within 0\.2 s/, () => {}, { timeoutMs: 200 }],
      [
        'an answer that never ends',
        /did not answer within 0\.2 s/,
        (_, res) => void res.write('{'),
        { timeoutMs: 200 },
      ],
      [
        'a flood',
        /answered with more than 100000 bytes/,
        (_, res) => res.end(Buffer.alloc(1_000_000, 0x20)),
        { maxReplyBytes: 100_000 },
      ],
    ];
    for (const [name, message, listener, options] of cases) {
      it(`says so: ${name}`, async () => {
        const client = await answers(listener, options);
        await assert.rejects(client.describe(), (error: Error & { code?: unknown }) => {
          assert.equal(error.code, 'CLIENT');
          assert.match(error.message, message);
          assert.doesNotMatch(error.message, /hunter2|secret/, 'no password in a message');
          return true;
        });
      });
    }
  });
}
