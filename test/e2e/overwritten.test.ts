/** Files that a client cuts off or writes over in the mount: what is said of them, and how they come back. */
import assert from 'node:assert/strict';
import { mkdir, open, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { AddOutcome } from '../../src/app/add-outcome.ts';
import type { EntryJson, ListedJson, StatusJson } from '../../src/cli/json.ts';
import type { TorrentClient } from '../../src/clients/client.ts';
import { createClient } from '../../src/clients/create.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { type Daemon, waitUntil } from '../harness/daemon.ts';
import { hashTree, temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { startTransmission } from '../harness/transmission.ts';

const SIZE = 300_000;
const ONE = 200_000;
const BLOCK = 4096;

describe('files that a client overwrites in the mount', () => {
  let folder: string;
  let autotorrent: Autotorrent;
  let server: Daemon;
  let client: TorrentClient;
  let infoHash: string;
  let sources: Map<string, string>;
  const content = [
    { path: ['one.bin'], data: Buffer.alloc(ONE, 'content one ') },
    { path: ['two.bin'], data: Buffer.alloc(SIZE - ONE, 'content two ') },
  ];
  const undo: (() => Promise<unknown>)[] = [];
  const shown = (name: string): string => join(autotorrent.storePath, 'Album', 'Album', name);
  const add = async (...flags: readonly string[]): Promise<unknown[]> => {
    const { code, stdout } = await autotorrent.run('--json', 'add', ...flags, 'Album.torrent');
    const [outcome] = JSON.parse(stdout) as AddOutcome[];
    return [code, outcome?.status, outcome?.reason];
  };
  const listed = async (): Promise<ListedJson> =>
    ((await autotorrent.json('list')) as ListedJson[])[0] ?? assert.fail('there is no entry');
  const counts = (entry: EntryJson): unknown[] => [
    entry.mapped_bytes,
    entry.missing_bytes,
    entry.overwritten_files,
    entry.health,
    entry.health_detail,
  ];
  const seeds = async (): Promise<void> =>
    await waitUntil('the client has all of it', async () => {
      const [state] = await client.list([infoHash]);
      return state?.activity === 'seeding' && state.progress === 1;
    });
  const writeOver = async (name: string, position: number, data: Buffer): Promise<void> => {
    const file = await open(shown(name), 'r+');
    await file.write(data, 0, data.length, position);
    await file.close();
  };

  before(async () => {
    folder = temporaryFolder('overwritten');
    const daemon = await startTransmission();
    undo.push(() => daemon.stop());
    client = createClient({ client: 'transmission', url: daemon.url });
    await mkdir(join(folder, 'disk', 'Album'), { recursive: true });
    for (const { path, data } of content) await writeFile(join(folder, 'disk', 'Album', ...path), data);
    const torrent = makeTorrent({
      name: 'Album',
      announce: 'http://127.0.0.1:1/announce',
      pieceLength: 32_768,
      content,
    });
    infoHash = torrent.infoHash;
    await writeFile(join(folder, 'Album.torrent'), torrent.raw);
    sources = await hashTree(join(folder, 'disk'));
    autotorrent = await autotorrentIn({
      folder,
      disks: [join(folder, 'disk')],
      client: ['client = transmission', `url = ${daemon.url}`],
    });
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    server = await autotorrent.mount();
    undo.push(() => server.stop());
    assert.deepEqual((await add()).slice(0, 2), [0, 'OK']);
    await seeds();
  });
  after(async () => {
    assert.deepEqual(await hashTree(join(folder, 'disk')), sources, 'no source was touched');
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  });

  it('count as missing, as far as they are, also after a restart of the server', async () => {
    assert.deepEqual(counts(await listed()), [SIZE, 0, 0, 'ok', undefined]);
    await client.stop([infoHash]);
    await truncate(shown('one.bin'), ONE - 50_000);
    await writeOver('two.bin', 0, Buffer.alloc(BLOCK, 'x'));
    const gone = [SIZE - 50_000 - BLOCK, 50_000 + BLOCK, 2, 'overwritten', '2 files overwritten'];
    assert.deepEqual(counts(await listed()), gone);
    await server.stop();
    server = await autotorrent.mount();
    assert.deepEqual(counts(await listed()), gone);
    assert.deepEqual(((await autotorrent.json('status')) as StatusJson).overwritten, { entries: 1, files: 2 });
    const { stdout } = await autotorrent.run('status');
    assert.match(stdout, /^overwritten 2 files of 1 entry in the mount: autotorrent add --force/m);
    assert.match(
      (await autotorrent.run('show', 'Album')).stdout,
      /^ {2}overwritten {2}2 files in the mount \(autotorrent add/m,
    );
  });

  it('are named by add, and come back with --force', async () => {
    await client.stop([infoHash]);
    assert.deepEqual(await add(), [3, 'Exists', '2 files were overwritten in the mount: --force brings them back']);
    assert.deepEqual(await add('--force'), [0, 'OK', 'Its files are back, the client checks them']);
    await seeds();
    assert.deepEqual(counts(await listed()), [SIZE, 0, 0, 'ok', undefined]);
    for (const { path, data } of content) assert.deepEqual(await readFile(shown(path[0] ?? '')), data);
    assert.deepEqual((await add()).slice(1), ['Seeded', 'Already seeded']);
  });

  it('are right where what was written is verified, and stay so', async () => {
    await client.remove([infoHash]);
    // Not all of the file, which would go to the pool.
    const right = content[0]?.data.subarray(0, 120_000) ?? assert.fail();
    await writeOver('one.bin', 0, Buffer.alloc(right.length, 'x'));
    await writeOver('one.bin', 0, right);
    await waitUntil('it is verified', async () => (await listed()).missing_bytes === 0);
    const entry = await listed();
    assert.deepEqual([entry.health, entry.overwritten_files], ['ok', 0]);
    assert.ok(entry.downloaded_bytes > 0 && entry.mapped_bytes + entry.downloaded_bytes === SIZE);
    // A part of the file is verified and a part is not: nothing is thrown away.
    await writeOver('one.bin', 0, Buffer.alloc(10, 'y'));
    await waitUntil('it is found', async () => (await listed()).overwritten_files === 1);
    const [code, status, reason] = await add('--force');
    assert.deepEqual([code, status], [3, 'Failed']);
    assert.match(String(reason), /"Album\/one\.bin" cannot be brought back: clients downloaded a part of it/);
    assert.deepEqual((await readFile(shown('one.bin'))).subarray(10), content[0]?.data.subarray(10));
  });
});
