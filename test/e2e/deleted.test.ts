/** Files that a client deletes in the mount: what is said of them, and how they come back. Transmission and the mount are real. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
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

const SIZES = { 'one.bin': 200_000, 'disc/two.bin': 150_000, 'disc/three.bin': 100_000 };
const SIZE = 450_000;

describe('files that a client deletes in the mount', () => {
  let folder: string;
  let autotorrent: Autotorrent;
  let server: Daemon;
  let client: TorrentClient;
  let infoHash: string;
  let sources: Map<string, string>;
  const undo: (() => Promise<unknown>)[] = [];
  const shown = (...path: readonly string[]): string => join(autotorrent.storePath, 'Album', 'Album', ...path);
  const add = async (...flags: readonly string[]): Promise<{ code: number; outcome: AddOutcome }> => {
    const { code, stdout } = await autotorrent.run('--json', 'add', ...flags, 'Album.torrent');
    const [outcome] = JSON.parse(stdout) as AddOutcome[];
    return { code, outcome: outcome ?? assert.fail(stdout) };
  };
  const listed = async (): Promise<ListedJson> =>
    ((await autotorrent.json('list')) as ListedJson[])[0] ?? assert.fail('there is no entry');
  const counts = (entry: EntryJson): unknown[] => [
    entry.mapped_bytes,
    entry.downloaded_bytes,
    entry.missing_bytes,
    entry.deleted_files,
    entry.health,
    entry.health_detail,
  ];
  const seeds = async (): Promise<void> =>
    await waitUntil('the client has all of it', async () => {
      const [state] = await client.list([infoHash]);
      return state?.activity === 'seeding' && state.progress === 1;
    });

  before(async () => {
    folder = temporaryFolder('deleted');
    const daemon = await startTransmission();
    undo.push(() => daemon.stop());
    client = createClient({ client: 'transmission', url: daemon.url });
    const content = Object.entries(SIZES).map(([path, size], i) => ({
      path: path.split('/'),
      data: Buffer.alloc(size, `content ${i} `),
    }));
    for (const { path, data } of content) {
      const file = join(folder, 'disk', 'Album', ...path);
      await mkdir(join(file, '..'), { recursive: true });
      await writeFile(file, data);
    }
    const torrent = makeTorrent({ name: 'Album', announce: 'http://127.0.0.1:1/announce', content });
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
    const { code, outcome } = await add();
    assert.equal(code, 0, outcome.reason);
    await seeds();
  });
  after(async () => {
    assert.deepEqual(await hashTree(join(folder, 'disk')), sources, 'no source was touched');
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  });

  it('are counted as missing', async () => {
    assert.deepEqual(counts(await listed()), [SIZE, 0, 0, 0, 'ok', undefined]);
    await client.remove([infoHash], { withData: true });
    await waitUntil('its data is gone', async () => (await readdir(join(shown(), '..'))).length === 0);
    assert.deepEqual(counts(await listed()), [0, 0, SIZE, 3, 'deleted', '3 files deleted']);
    assert.match((await autotorrent.run('list')).stdout, / 0\.00% .* absent +3 files deleted$/m);
    assert.match(
      (await autotorrent.run('show', 'Album')).stdout,
      /^ {2}deleted {4}3 files in the mount \(autotorrent add --force/m,
    );
    assert.deepEqual(((await autotorrent.json('status')) as StatusJson).deleted, { entries: 1, files: 3 });
    assert.match(
      (await autotorrent.run('status')).stdout,
      /^deleted {2}3 files of 1 entry in the mount: autotorrent add --force/m,
    );
  });

  it('are still counted after a restart of the server', async () => {
    await server.stop();
    server = await autotorrent.mount();
    assert.deepEqual(counts(await listed()), [0, 0, SIZE, 3, 'deleted', '3 files deleted']);
  });

  it('are named by add, and come back with --force', async () => {
    const { code, outcome } = await add();
    assert.deepEqual(
      [code, outcome.status, outcome.reason],
      [3, 'Exists', '3 files were deleted in the mount: --force brings them back'],
    );
    assert.deepEqual(await client.list([infoHash]), []);
    const forced = await add('--force');
    assert.deepEqual([forced.code, forced.outcome.status], [0, 'OK'], forced.outcome.reason);
    await seeds();
    assert.deepEqual(counts(await listed()), [SIZE, 0, 0, 0, 'ok', undefined]);
    assert.equal((await add()).outcome.status, 'Seeded');
  });

  it('come back for a client that has the torrent', async () => {
    await client.stop([infoHash]);
    await rm(shown('disc'), { recursive: true });
    assert.deepEqual(counts(await listed()), [200_000, 0, 250_000, 2, 'deleted', '2 files deleted']);
    const { code, outcome } = await add();
    assert.deepEqual(
      [code, outcome.status, outcome.reason],
      [3, 'Exists', '2 files were deleted in the mount: --force brings them back'],
    );
    // The client finds out.
    await client.recheck([infoHash]);
    await waitUntil('the client misses them', async () => ((await client.list([infoHash]))[0]?.progress ?? 1) < 1);
    const forced = await add('--force');
    assert.deepEqual([forced.code, forced.outcome.status], [0, 'OK'], forced.outcome.reason);
    await seeds();
    assert.deepEqual(counts(await listed()), [SIZE, 0, 0, 0, 'ok', undefined]);
    assert.deepEqual(await readFile(shown('disc', 'two.bin')), Buffer.alloc(150_000, 'content 1 '));
  });

  it('leave no deletion where a client writes them anew', async () => {
    await client.remove([infoHash]);
    await rm(shown('one.bin'));
    await rm(shown('disc', 'two.bin'));
    await writeFile(shown('one.bin'), Buffer.alloc(200_000, 'content 0 '));
    await waitUntil('what was written is verified', async () => (await listed()).downloaded_bytes > 0);
    const entry = await listed();
    assert.equal(entry.deleted_files, 1);
    assert.equal(entry.mapped_bytes + entry.downloaded_bytes + entry.missing_bytes, SIZE);
    assert.ok(entry.missing_bytes >= 150_000);
    const forced = await add('--force', '--no-client');
    assert.deepEqual([forced.code, forced.outcome.reason], [0, 'Its files are back']);
    await waitUntil('all is verified again', async () => (await listed()).missing_bytes === 0);
  });
});
