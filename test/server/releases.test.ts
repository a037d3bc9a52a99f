/** A released disk that is mounted again at once, on real file systems. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { Unmounts } from '../../src/native/unmounts.ts';
import { Releases } from '../../src/server/releases.ts';
import { ReleasedFolders } from '../../src/source/released-folders.ts';
import { waitUntil } from '../harness/daemon.ts';
import { makeFileSystem, type TestFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';

const ROUNDS = { ext4: 20, mergerfs: 5 } as const;
/** A source on each disk. */
const SOURCE = 7;

for (const kind of ['ext4', 'mergerfs'] as const) {
  describe(`a released ${kind} that is mounted again without a pause`, { skip: NEEDS_ROOT }, () => {
    const library = openCLibrary(silentLogger);
    let disk: TestFileSystem;
    let remount: string;
    const back: number[] = [];
    const released = new ReleasedFolders();
    let releases: Releases;

    before(async () => {
      const folder = temporaryFolder('released');
      mkdirSync(join(folder, 'disk'));
      disk = await makeFileSystem(kind, join(folder, 'disk'));
      const mount =
        kind === 'ext4'
          ? `mount -o loop '${join(folder, 'disk', 'image')}'`
          : `mergerfs -o allow_other,fsname=pool '${disk.branches.join(':')}'`;
      remount = `umount '${disk.path}' && ${mount} '${disk.path}'`;
      releases = new Releases({
        store: {
          source: () => undefined,
          living: {
            async *sourcesBelow() {
              yield [{ id: SOURCE }];
            },
            condition: () => ({ state: 'waiting' }),
            setCondition() {},
          },
        },
        released,
        letGo() {},
        leave: () => Promise.resolve(),
        unmounts: () => Unmounts.open(library),
        onBack: (ids) => back.push(...ids),
        logger: silentLogger,
      });
    });
    after(async () => {
      await releases?.close();
      await disk?.close();
    });

    it(`is back each time of ${ROUNDS[kind]}`, async () => {
      const file = Buffer.from(join(disk.path, 'film.mkv'));
      for (let round = 1; round <= ROUNDS[kind]; round++) {
        const { open } = await releases.release([Buffer.from(disk.path)], []);
        assert.deepEqual([open, released.holds(file), back.length], [0, true, round - 1]);
        // This process does nothing between the unmount and the mount: it sees the same mount table before and after.
        execFileSync('sh', ['-c', remount]);
        await waitUntil(`it is gone, round ${round}`, async () => !released.holds(file), { limitMs: 20_000 });
        await waitUntil('its sources are looked at', async () => back.length === round, { limitMs: 20_000 });
      }
      assert.deepEqual(new Set(back), new Set([SOURCE]));
    });

    it('holds nothing back while it is not mounted: it may be mounted elsewhere', async () => {
      const file = Buffer.from(join(disk.path, 'film.mkv'));
      const before = back.length;
      await releases.release([Buffer.from(disk.path)], []);
      await disk.umount();
      await waitUntil('it is gone', async () => !released.holds(file), { limitMs: 20_000 });
      const elsewhere = temporaryFolder('mounted-elsewhere');
      await disk.mount(elsewhere);
      await disk.umount();
      assert.equal(back.length, before, 'it is not back in its place');
      await disk.mount();
      await waitUntil('its sources are looked at', async () => back.length > before, { limitMs: 20_000 });
    });

    it('stays released while it is not unmounted', async () => {
      const file = Buffer.from(join(disk.path, 'film.mkv'));
      await releases.release([Buffer.from(disk.path)], []);
      // Another mount comes and goes.
      const other = temporaryFolder('other-mount');
      execFileSync('sh', ['-c', `mount -t tmpfs none '${other}' && umount '${other}'`]);
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.equal(released.holds(file), true);
    });
  });
}
