/** `path_map` with a client that really sees other paths: it runs in a mount namespace of its own. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import type { ListedJson } from '../../src/cli/json.ts';
import { createClient } from '../../src/clients/create.ts';
import { autotorrentIn } from '../harness/autotorrent.ts';
import { waitUntil } from '../harness/daemon.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { makeTorrent } from '../harness/make-torrent.ts';
import { startTransmission } from '../harness/transmission.ts';

/** Shows the folders `$1` and `$3` at `$2` and `$4`, hides the originals, and runs the other arguments. */
const ELSEWHERE = [
  'mount --bind "$1" "$2" && mount --bind "$3" "$4" && mount -t tmpfs none "$1" && mount -t tmpfs none "$3"',
  'shift 4 && exec "$@"',
].join(' && ');

describe('path_map', () => {
  const undo: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
  });

  it('tells the client its own paths, of the mount and of a folder of the user', async () => {
    const folder = temporaryFolder('paths');
    const [disk, store, seenStore, seenDisk] = ['disk', 'store', 'data/store', 'data/disk'].map((p) => join(folder, p));
    assert.ok(disk !== undefined && store !== undefined && seenStore !== undefined && seenDisk !== undefined);
    for (const path of [disk, store, seenStore, seenDisk, join(disk, 'Whole')]) await mkdir(path, { recursive: true });
    const torrent = async (name: string, files: readonly string[]): Promise<string> => {
      const content = files.map((file) => ({ path: [file], data: Buffer.alloc(70_000, file) }));
      const path = join(folder, `${name}.torrent`);
      await writeFile(path, makeTorrent({ announce: 'http://127.0.0.1:9/announce', name, content }).raw);
      return path;
    };
    // By `exact` in its own folder; the other one's file has another name there.
    await writeFile(join(disk, 'Whole', 'a.bin'), Buffer.alloc(70_000, 'a.bin'));
    await writeFile(join(disk, 'b.bin'), Buffer.alloc(70_000, 'b.bin'));
    const whole = await torrent('Whole', ['a.bin']);
    const apart = await torrent('Apart', ['b.bin']);

    const address = '127.0.0.42';
    // The client starts after the mount, which it would not see otherwise; the configuration has its address before.
    const begin = (client: readonly string[]) =>
      autotorrentIn({
        folder,
        disks: [disk],
        client,
        general: [
          'scan_mode = exact, normal',
          'exact_target = original',
          `path_map = ${store} = ${seenStore}, ${disk} = ${seenDisk}`,
        ],
      });
    let autotorrent = await begin(['client = none']);
    const rebuilt = await autotorrent.run('rebuild');
    assert.equal(rebuilt.code, 0, rebuilt.stderr);
    const server = await autotorrent.mount();
    undo.push(() => server.stop());
    const within = ['unshare', '--mount', 'sh', '-c', ELSEWHERE, 'sh', store, seenStore, disk, seenDisk];
    const client = await startTransmission({ address, within });
    undo.push(() => client.stop());
    autotorrent = await begin(['client = transmission', `url = ${client.url}`]);

    const added = await autotorrent.run('add', whole, apart);
    assert.equal(added.code, 0, added.stdout + added.stderr);
    const adapter = createClient({ client: 'transmission', url: client.url });
    await waitUntil('both seed', async () => {
      const states = await adapter.list();
      return states.length === 2 && states.every(({ activity, progress }) => activity === 'seeding' && progress === 1);
    });
    const entries = (await autotorrent.json('list')) as ListedJson[];
    assert.deepEqual(
      entries.map(({ name, kind, directory }) => [name, kind, directory]),
      [
        ['Apart', 'mount', join(store, 'Apart')],
        ['Whole', 'external', disk],
      ],
      'our own paths are shown',
    );
  });
});
