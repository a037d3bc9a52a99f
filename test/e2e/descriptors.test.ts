/** A server that may open few files: more of them are open in the mount than it has descriptors for. */
import assert from 'node:assert/strict';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { StatusJson } from '../../src/cli/json.ts';
import { type Autotorrent, autotorrentIn } from '../harness/autotorrent.ts';
import { type Daemon, startDaemon, waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';

const FILES = 600;
const BYTES = 20_000;
/** Two reads of 128 KiB each: of such a file the kernel has read ahead only the beginning. */
const LARGE = 400_000;

describe('a server of 256 descriptors', () => {
  let folder: string;
  let autotorrent: Autotorrent;
  let server: Daemon;
  const names = Array.from({ length: FILES }, (_, i) => `${i}.bin`);
  const bytesOf = (i: number): Buffer => Buffer.alloc(i % 50 === 0 ? LARGE : BYTES, `${i} of many `);

  before(async () => {
    folder = temporaryFolder('descriptors');
    await mkdir(join(folder, 'disk', 'many'), { recursive: true });
    for (const [i, name] of names.entries()) await writeFile(join(folder, 'disk', 'many', name), bytesOf(i));
    autotorrent = await autotorrentIn({ folder, disks: [join(folder, 'disk')] });
    server = await startDaemon(
      'prlimit',
      ['--nofile=256', process.execPath, resolve('dist/src/main.js'), '-c', autotorrent.config, 'mount'],
      { cwd: folder },
    );
    await waitUntil('the server', async () => (await autotorrent.run('status')).code === 0, { daemon: server });
    const torrent = join(folder, 'many.torrent');
    const content = names.map((name, i) => ({ path: [name], data: bytesOf(i) }));
    await writeFile(torrent, makeTorrent({ name: 'many', content }).raw);
    assert.equal((await autotorrent.run('rebuild')).code, 0);
    const added = await autotorrent.run('add', torrent);
    assert.equal(added.code, 0, added.stdout + added.stderr);
  });
  after(async () => await server.stop());

  it('serves 600 files that are open at once, answers status meanwhile, and marks no source broken', async () => {
    const path = join(autotorrent.storePath, 'many', 'many');
    const handles = await Promise.all(names.map(async (name) => await open(join(path, name), 'r')));
    try {
      const read = async (i: number): Promise<void> => {
        const { buffer, bytesRead } = await handles[i]!.read(Buffer.alloc(LARGE), 0, LARGE, 0);
        assert.ok(buffer.subarray(0, bytesRead).equals(bytesOf(i)), names[i]);
      };
      const reading = Promise.all(names.map(async (_, i) => await read(i)));
      const statuses: StatusJson[] = [];
      for (let i = 0; i < 3; i++) statuses.push((await autotorrent.json('status')) as StatusJson);
      await reading;
      await Promise.all(names.map(async (_, i) => await read(FILES - 1 - i)));
      statuses.push((await autotorrent.json('status')) as StatusJson);
      for (const status of statuses) assert.deepEqual([status.broken_sources, status.read_errors], [[], 0]);
      assert.equal(statuses.at(-1)?.open_handles, FILES);
    } finally {
      await Promise.all(handles.map(async (handle) => await handle.close()));
    }
    assert.doesNotMatch(server.output(), /not served|EMFILE|too many/i);
  });
});
