/** Sources on which another program holds a lease, as Samba does: they are opened a moment later, and never called broken. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { DescriptorBudget } from '../../src/native/descriptor-budget.ts';
import { ReadersLook } from '../../src/source/look-at-readers.ts';
import { openSource, openSourceSync } from '../../src/source/open-source.ts';
import { SourceFiles } from '../../src/source/served-sources.ts';
import { sourceLooks } from '../../src/source/source-looks.ts';
import { anywhere } from '../harness/anywhere.ts';
import { makeFileSystem, type TestFileSystem } from '../harness/file-systems.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { LeaseHolder, NEEDS_BREAK_TIME, withBreakTime } from '../harness/lease-holder.ts';
import { NEEDS_ROOT } from '../harness/other-user.ts';
import { sourceOf } from '../harness/plans.ts';

describe('a source on which another program holds a lease', { skip: NEEDS_ROOT }, () => {
  let disk: TestFileSystem;
  let paths: string[];
  let holder: LeaseHolder | undefined;
  before(async () => {
    disk = await makeFileSystem('ext4', temporaryFolder('leased-elsewhere'));
  });
  beforeEach(async () => {
    paths = Array.from({ length: 12 }, (_, i) => join(disk.path, `file ${i}`));
    for (const path of paths) fs.writeFileSync(path, `the bytes of ${path}`);
  });
  afterEach(async () => {
    await holder?.close();
    holder = undefined;
  });
  after(async () => await disk?.close());

  const served = (): SourceFiles => {
    const access = anywhere();
    const records = paths.map((path) => sourceOf(path));
    return new SourceFiles({
      record: (id) => records[id],
      access,
      readersLook: new ReadersLook({ ownMounts: access.ownMounts, ownFolders: [] }),
      looks: sourceLooks(openCLibrary(silentLogger), access.fileSystems),
      onReaders() {},
      descriptors: DescriptorBudget.ofProcess(),
      logger: silentLogger,
    });
  };

  for (const [name, opens] of [
    ['opened', openSource],
    ['opened synchronously', openSourceSync],
  ] as const) {
    it(`is ${name} as soon as the lease is given back`, async () => {
      const [path = ''] = paths;
      holder = await LeaseHolder.start([path], 0.3);
      const began = performance.now();
      const opened = await opens({ path: Buffer.from(path), recorded: sourceOf(path) }, anywhere());
      assert.equal(opened.state, 'as recorded');
      assert.ok(performance.now() - began >= 290);
      if (opened.state === 'as recorded') fs.closeSync(opened.fd);
    });
  }

  it('is opened when the kernel takes the lease back', { skip: NEEDS_BREAK_TIME }, async () => {
    const [path = ''] = paths;
    holder = await LeaseHolder.start([path]);
    const opened = await withBreakTime(
      1,
      async () => await openSource({ path: Buffer.from(path), recorded: sourceOf(path) }, anywhere()),
    );
    assert.equal(opened.state, 'as recorded');
    if (opened.state === 'as recorded') fs.closeSync(opened.fd);
  });

  it('is not called broken, and keeps no reader of another file waiting', async () => {
    holder = await LeaseHolder.start(paths.slice(1), 1);
    const sources = served();
    let open = 0;
    const leased = paths.slice(1).map(async (_, i) => {
      const file = await sources.serve(i + 1);
      open++;
      return file;
    });
    await sleep(100);
    // More wait than a disk may have calls under way.
    const other = await sources.serve(0);
    assert.equal(open, 0);
    const buffer = Buffer.alloc(9);
    assert.equal(await other.read(buffer, 0, 9, 0), 9);
    assert.deepEqual([open, sources.broken], [0, []]);
    await Promise.all(leased);
    assert.deepEqual(sources.broken, []);
    sources.close();
  });
});
