/** Downloads of clients: they count when their pieces agree, go to the pool when whole, and serve other torrents. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { access, lstat, mkdir, mkdtemp, open, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { EntryJson, FileJson, VerifiedJson } from '../../src/cli/json.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

type Shown = EntryJson & { readonly file_list: readonly FileJson[] };

const video = randomBytes(400_000);
const nfo = randomBytes(5000);
const subs = randomBytes(90_000);

describe('what clients download', () => {
  let folder: string;
  let autotorrent: Autotorrent;
  const undo: (() => Promise<unknown>)[] = [];

  beforeEach(async () => {
    folder = temporaryFolder('downloads');
    await mkdir(join(folder, 'disk'));
    await writeFile(join(folder, 'disk', 'video.mkv'), video);
    autotorrent = await autotorrentIn({
      folder,
      disks: [join(folder, 'disk')],
      general: ['add_limit_percent = 50'],
    });
    assert.equal((await autotorrent.run('rebuild')).code, 0);
  });
  afterEach(async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  });

  const mount = async (one: Autotorrent = autotorrent): Promise<void> => {
    const server = await one.mount();
    undo.push(() => server.stop());
  };
  /** The video is there; the text and the subtitles, which share pieces with it and each other, are missing. */
  const addPartial = async (one: Autotorrent = autotorrent, name = 'Partial'): Promise<void> => {
    const path = join(folder, `${name}.torrent`);
    const content = [
      { path: ['a.nfo'], data: nfo },
      { path: ['b.srt'], data: subs },
      { path: ['video.mkv'], data: video },
    ];
    await writeFile(path, makeTorrent({ name, content }).raw);
    const added = await one.run('add', path);
    assert.equal(added.code, 0, added.stdout + added.stderr);
  };
  const write = async (path: string, data: Buffer, position = 0): Promise<void> => {
    const file = await open(path, 'r+');
    try {
      await file.write(data, 0, data.length, position);
      await file.sync();
    } finally {
      await file.close();
    }
  };
  const listed = async (one: Autotorrent = autotorrent): Promise<EntryJson> => {
    const [entry] = (await one.json('list', '--no-client')) as EntryJson[];
    assert.ok(entry);
    return entry;
  };
  const show = async (one: Autotorrent = autotorrent): Promise<Shown> => (await one.json('show', 'Partial')) as Shown;
  const overlayFiles = async (): Promise<string[]> =>
    (await readdir(join(autotorrent.statePath, 'overlay'), { recursive: true })).filter((name) => /\/\d+$/.test(name));

  it('counts when its pieces agree, and goes to the pool when it is whole', async () => {
    await mount();
    await addPartial();
    const before = await listed();
    assert.deepEqual([before.downloaded_bytes, before.missing_bytes], [0, 95_000]);
    const entry = join(autotorrent.storePath, 'Partial', 'Partial');
    // Wrong bytes do not count, although they are there.
    await write(join(entry, 'b.srt'), randomBytes(90_000));
    await write(join(entry, 'a.nfo'), nfo);
    await waitUntil(
      'the text counts as far as its pieces are its own',
      async () => (await listed()).verified_pieces > 0,
    );
    assert.equal((await listed()).downloaded_bytes, 0);
    await write(join(entry, 'b.srt'), subs);
    await waitUntil('all is there', async () => (await listed()).missing_bytes === 0);
    assert.equal((await listed()).downloaded_bytes, 95_000);
    await waitUntil('nothing is left in the overlay', async () => (await overlayFiles()).length === 0);
    const { file_list: files, pieces, verified_pieces: verified } = await show();
    assert.equal(verified, pieces);
    assert.deepEqual(
      files.map((file) => [file.path, file.mode, file.extents.map(({ kind }) => kind)]),
      [
        ['Partial/a.nfo', 'downloaded', ['source']],
        ['Partial/b.srt', 'downloaded', ['source']],
        ['Partial/video.mkv', 'normal', ['source']],
      ],
    );
    assert.ok(nfo.equals(await readFile(join(entry, 'a.nfo'))));
    assert.ok(subs.equals(await readFile(join(entry, 'b.srt'))));
    // Another torrent with the same text finds it, also after the first one was removed.
    assert.equal((await autotorrent.run('remove', 'Partial')).code, 0);
    const other = join(folder, 'Other.torrent');
    const content = [
      { path: ['a.nfo'], data: nfo },
      { path: ['b.srt'], data: subs },
    ];
    await writeFile(other, makeTorrent({ name: 'Other', content }).raw);
    const added = await autotorrent.run('add', other);
    assert.equal(added.code, 0, added.stdout + added.stderr);
    assert.ok(nfo.equals(await readFile(join(autotorrent.storePath, 'Other', 'Other', 'a.nfo'))));
    // A later write copies over it.
    const [, source] = /← (.*)/.exec((await autotorrent.run('show', 'Other')).stdout) ?? [];
    await write(join(autotorrent.storePath, 'Other', 'Other', 'a.nfo'), Buffer.from('changed'));
    assert.ok(nfo.equals(await readFile(source ?? '')));
    assert.ok(video.equals(await readFile(join(folder, 'disk', 'video.mkv'))), 'the collection is as it was');
  });

  it('serves stores that share the index, and each link counts', async () => {
    await mount();
    await addPartial();
    const entry = join(autotorrent.storePath, 'Partial', 'Partial');
    await write(join(entry, 'a.nfo'), nfo);
    await write(join(entry, 'b.srt'), subs);
    await waitUntil('all is there', async () => (await overlayFiles()).length === 0);
    const second = await autotorrentIn({
      folder: await mkdtemp(join(folder, 'second-')),
      disks: [join(folder, 'disk')],
      db: join(folder, 'index'),
      general: ['add_limit_percent = 0'],
    });
    await mount(second);
    await addPartial(second, 'Partial');
    assert.equal((await listed(second)).missing_bytes, 0);
    const [pooled] = await pooledFiles(join(folder, 'index.pool'), 'a.nfo');
    assert.equal((await lstat(pooled ?? '')).nlink, 3, 'the pool, and a link in each store');
    assert.equal((await second.run('remove', 'Partial')).code, 0);
    assert.equal((await lstat(pooled ?? '')).nlink, 2);
    assert.ok(nfo.equals(await readFile(join(entry, 'a.nfo'))));
  });

  it('is taken back when a client writes something else', async () => {
    await mount();
    await addPartial();
    const verified = (await autotorrent.json('verify', 'Partial')) as VerifiedJson[];
    assert.equal(verified[0]?.broken, false);
    assert.equal(verified[0]?.missing_pieces, 6);
    const before = await listed();
    const path = join(autotorrent.storePath, 'Partial', 'Partial', 'video.mkv');
    await write(path, video.subarray(100_000, 200_000), 100_000);
    assert.equal((await listed()).verified_pieces, before.verified_pieces, 'identical bytes change nothing');
    assert.deepEqual(await overlayFiles(), []);
    await write(path, Buffer.from('something else'), 200_000);
    assert.equal((await listed()).verified_pieces, before.verified_pieces - 1);
    const { code, stdout } = await autotorrent.run('verify');
    assert.equal(code, 3, stdout);
    assert.match(stdout, /1 wrong/);
    await write(path, video.subarray(200_000, 200_014), 200_000);
    assert.equal((await autotorrent.run('verify')).code, 0);
    assert.equal((await listed()).verified_pieces, before.verified_pieces);
  });

  it('is verified when its client has ended the check, and not before', async () => {
    const client = await pretendedTransmission();
    undo.push(() => client.close());
    const checked = await autotorrentIn({
      folder,
      disks: [join(folder, 'disk')],
      general: ['add_limit_percent = 50'],
      client: ['client = transmission', `url = ${client.url}`],
    });
    await mount(checked);
    const content = [{ path: ['a.nfo'], data: nfo }];
    const { raw, infoHash } = makeTorrent({
      name: 'Checked',
      content: [...content, { path: ['video.mkv'], data: video }],
    });
    const path = join(folder, 'Checked.torrent');
    await writeFile(path, raw);
    assert.equal((await checked.run('add', '--no-client', path)).code, 0);
    client.torrents.set(infoHash, 'checking');
    await write(join(checked.storePath, 'Checked', 'Checked', 'a.nfo'), nfo);
    const asked = client.questions();
    await waitUntil('the client to be asked twice more', async () => client.questions() >= asked + 2);
    assert.equal((await listed(checked)).downloaded_bytes, 0);
    client.torrents.set(infoHash, 'seeding');
    await waitUntil('its pieces to count', async () => (await listed(checked)).downloaded_bytes === nfo.length);
  });

  it('is not scanned where the state lies on a disk', async () => {
    await mount();
    await addPartial();
    await write(join(autotorrent.storePath, 'Partial', 'Partial', 'b.srt'), randomBytes(90_000));
    const wide = await autotorrentIn({ folder, disks: [folder] });
    const { stderr } = await wide.run('rebuild', '--full');
    assert.match(stderr, /skipped 5 × of autotorrent itself/, 'state, mount, index, its process, cache of hashes');
  });
});

/** Answers as Transmission does; the test sets the state of its torrents. */
async function pretendedTransmission(): Promise<{
  readonly url: string;
  readonly torrents: Map<string, 'checking' | 'seeding' | 'stopped'>;
  /** Requests for the state of a torrent. */
  questions(): number;
  close(): Promise<void>;
}> {
  const STATUS = { stopped: 0, checking: 2, seeding: 6 } as const;
  const torrents = new Map<string, keyof typeof STATUS>();
  let questions = 0;
  const answer = async (request: IncomingMessage, reply: ServerResponse): Promise<void> => {
    const body = await buffer(request);
    const { method, arguments: args } = JSON.parse(body.toString()) as {
      method: string;
      arguments: { ids?: string[]; fields?: string[] };
    };
    if (method === 'torrent-stop') for (const id of args.ids ?? []) torrents.set(id, 'stopped');
    if (method === 'torrent-get' && args.fields?.includes('recheckProgress') === true) questions++;
    const known = [...torrents].filter(([hash]) => args.ids?.includes(hash) ?? true);
    const listed = known.map(([hashString, state]) => ({
      hashString,
      name: 'Checked',
      status: STATUS[state],
      error: 0,
      errorString: '',
      percentDone: 1,
      leftUntilDone: 0,
      recheckProgress: 0.5,
    }));
    reply.end(JSON.stringify({ result: 'success', arguments: { version: '3.00', torrents: listed } }));
  };
  const server = createServer((request, reply) => void answer(request, reply));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/transmission/rpc`,
    torrents,
    questions: () => questions,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function pooledFiles(pool: string, name: string): Promise<string[]> {
  await access(pool);
  return (await readdir(pool, { recursive: true }))
    .filter((path) => path.endsWith(name))
    .map((path) => join(pool, path));
}
