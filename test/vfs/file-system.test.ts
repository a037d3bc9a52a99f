import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setImmediate as immediate } from 'node:timers/promises';
import { GAP, ZEROS } from '../../src/extent/extent.ts';
import { createLogger, silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { DescriptorBudget } from '../../src/native/descriptor-budget.ts';
import { type FileCalls, loadFileCalls } from '../../src/native/files.ts';
import type { Hold } from '../../src/source/held-sources.ts';
import { ReadersLook } from '../../src/source/look-at-readers.ts';
import { OwnMounts } from '../../src/source/own-mounts.ts';
import type { StoreLevel } from '../../src/store/records/database.ts';
import { Store } from '../../src/store/store.ts';
import { FileSystem } from '../../src/vfs/file-system.ts';
import { anywhere } from '../harness/anywhere.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { LOCAL_LOOKS } from '../harness/looks.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import { openLevel } from '../harness/volume.ts';

const ino = (files: FileSystem, ...path: readonly string[]): number =>
  path.reduce((parent, name) => files.paths.find(parent, name), 1);

describe('the file system', () => {
  const data = Buffer.from(Array.from({ length: 5000 }, (_, i) => i % 251));
  const log: string[] = [];
  const logger = createLogger('info', (line) => log.push(line));
  let folder: string;
  let level: StoreLevel;
  let store: Store;

  const make = (libc: FileCalls, hold?: Hold): FileSystem =>
    new FileSystem({
      store,
      libc,
      logger,
      access: anywhere(),
      readersLook: new ReadersLook({ ownMounts: new OwnMounts(), ownFolders: [folder] }),
      looks: LOCAL_LOOKS,
      descriptors: DescriptorBudget.ofProcess(),
      statePath: folder,
      owner: { uid: 12, gid: 34 },
      umask: 0o027,
      hold,
    });
  const path = (name: string): string => join(folder, name);

  before(async () => {
    folder = temporaryFolder('vfs');
    level = await openLevel(folder);
    store = await Store.open(level, { logger: silentLogger, statePath: folder });
    await fs.writeFile(path('a'), data);
    await fs.writeFile(path('b'), data);
    await store.createEntry(
      planOf(
        'E',
        [sourceOf(path('a'), [1]), sourceOf(path('b'))],
        [
          fileOf(
            ['T', 'mixed'],
            [
              { length: 1000, source: 0, sourceOffset: 3 },
              { length: 10, source: ZEROS, sourceOffset: 0 },
              { length: 2000, source: 1, sourceOffset: 1 },
              { length: 5, source: GAP, sourceOffset: 0 },
            ],
          ),
          fileOf(['T', 'gap'], [{ length: 5, source: GAP, sourceOffset: 0 }]),
          fileOf(['T', 'link'], [], { symlink: ['gap'] }),
        ],
      ),
    );
  });
  after(async () => {
    await store.close();
    await level.close();
  });

  const mixed = Buffer.concat([data.subarray(3, 1003), Buffer.alloc(10), data.subarray(1, 2001), Buffer.alloc(5)]);

  for (const [name, libc] of [
    ['with preadv2', loadFileCalls(openCLibrary(silentLogger))],
    ['without koffi', {}],
  ] as const) {
    it(`reads over all kinds of extents, ${name}`, async () => {
      const files = make(libc);
      const handle = await files.open(ino(files, 'E', 'T', 'mixed'), constants.O_RDONLY);
      for (const [position, length] of [
        [0, 4000],
        [999, 12],
        [1005, 3],
        [3010, 100],
        [3015, 1],
        [9999, 1],
      ] as const) {
        // Former bytes of the buffer must not show.
        const buffer = Buffer.alloc(length, 0xee);
        const bytes = await files.read(handle, buffer, position);
        assert.deepEqual(buffer.subarray(0, bytes), mixed.subarray(position, position + length));
      }
      await files.release(handle);
      const { openFiles, openSources, heldSources } = await files.status();
      assert.deepEqual([openFiles, openSources, heldSources], [0, 2, 2]);
      assert.throws(() => files.read(handle, Buffer.alloc(1), 0), { code: 'EBADF' });
      assert.throws(() => files.release(handle), { code: 'EBADF' });
    });
  }

  it('answers from the page cache without a promise', async (t) => {
    const libc = loadFileCalls(openCLibrary(silentLogger));
    if (libc.preadCached === undefined) return t.skip('not on this kernel');
    const files = make(libc);
    const handle = await files.open(ino(files, 'E', 'T', 'mixed'), constants.O_RDONLY);
    assert.equal(files.read(handle, Buffer.alloc(50), 0), 50);
    await files.release(handle);
    assert.equal(typeof files.open(ino(files, 'E', 'T', 'gap'), 0), 'number', 'nothing to look at');
  });

  it('knows folders, files and symlinks apart', async () => {
    const files = make({});
    const folder = ino(files, 'E', 'T');
    const [file, link] = [files.paths.find(folder, 'gap'), files.paths.find(folder, 'link')];
    assert.throws(() => files.open(folder, 0), { code: 'EISDIR' });
    assert.throws(() => files.lookup(file, 'x'), { code: 'ENOTDIR' });
    assert.throws(() => files.lookup(folder, 'x'), { code: 'ENOENT' });
    assert.throws(() => files.getattr(99_999), { code: 'ENOENT' });
    assert.throws(() => files.readlink(file), { code: 'EINVAL' });
    assert.equal(files.readlink(link), 'gap');
    assert.throws(() => files.opendir(file), { code: 'ENOTDIR' });
    const { uid, gid, mode } = files.getattr(file);
    assert.deepEqual([uid, gid, mode], [12, 34, 0o640]);
    assert.equal(files.getattr(folder).mode, 0o750);
    assert.equal(files.getattr(link).mode, 0o777);
  });

  it('serves many readers of one source through one descriptor, and another when it was replaced', async () => {
    const files = make({}, { most: 0 });
    const file = ino(files, 'E', 'T', 'mixed');
    const handles = await Promise.all(Array.from({ length: 20 }, async () => await files.open(file, 0)));
    assert.equal((await files.status()).openSources, 2);
    await fs.rename(path('a'), path('elsewhere'));
    await fs.writeFile(path('a'), Buffer.alloc(5000, 0xaa));
    try {
      const buffer = Buffer.alloc(100);
      assert.equal(await files.read(handles[0] ?? 0, buffer, 0), 100);
      assert.ok(buffer.equals(data.subarray(3, 103)), 'an open file keeps the file that was verified');
      for (const handle of handles) await files.release(handle);
      await immediate();
      log.length = 0;
      const handle = await files.open(file, 0);
      assert.equal(await files.read(handle, buffer, 0), 100);
      assert.ok(buffer.equals(data.subarray(3, 103)), 'the spare has the same bytes');
      await files.release(handle);
      assert.equal(log.length, 1);
      assert.match(log[0] ?? '', /is not served: .*; .*\/b is served instead/);
      assert.equal((await files.status()).broken[0]?.spare?.toString(), path('b'));
    } finally {
      await fs.rename(path('elsewhere'), path('a'));
    }
    await files.release(await files.open(file, 0));
    assert.deepEqual((await files.status()).broken, []);
    await immediate();
    assert.equal((await files.status()).openSources, 0);
  });

  it('waits for no FIFO that took the place of a source', async () => {
    const { execFileSync } = await import('node:child_process');
    await fs.writeFile(path('c'), 'x');
    await store.createEntry(
      planOf('F', [sourceOf(path('c'))], [fileOf(['f'], [{ length: 1, source: 0, sourceOffset: 0 }])]),
    );
    await fs.unlink(path('c'));
    execFileSync('mkfifo', [path('c')]);
    const files = make({});
    await assert.rejects(async () => await files.open(ino(files, 'F', 'f'), 0), { code: 'EIO' });
    assert.equal((await files.status()).broken[0]?.reason, 'it is not a regular file any more');
    await store.removeEntry(planOf('F', [], []).infoHash);
    assert.deepEqual((await files.status()).broken, [], 'no entry uses it any more');
  });
});
