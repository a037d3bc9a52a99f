import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { GAP } from '../../src/extent/extent.ts';
import { silentLogger } from '../../src/logger.ts';
import type { Plan } from '../../src/plan/plan.ts';
import { Ballast } from '../../src/store/ballast.ts';
import { Store } from '../../src/store/store.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { fileOf, planOf } from '../harness/plans.ts';
import { fileSystemOver, openLevel } from '../harness/volume.ts';
import { listed } from '../vfs/volume.ts';

const isRoot = process.getuid?.() === 0;

describe('the ballast', { skip: !isRoot && 'a file system of its own takes root' }, () => {
  let disk: string;
  beforeEach(() => {
    disk = join(temporaryFolder('ballast'), 'disk');
    fs.mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', disk]);
  });
  afterEach(() => {
    execFileSync('umount', ['-l', disk]);
  });

  const ballastBytes = (): number => fs.lstatSync(join(disk, 'ballast'), { throwIfNoEntry: false })?.size ?? 0;
  /** Runs `work` on a store that is opened as by a server. */
  const withStore = async (work: (store: Store) => Promise<void>): Promise<void> => {
    const ballast = new Ballast(disk, silentLogger);
    ballast.makeRoom();
    const level = await openLevel(disk);
    try {
      const store = await Store.open(level, { logger: silentLogger, statePath: disk, ballast });
      await store.recovered;
      await ballast.settled();
      await work(store);
      await store.close();
    } finally {
      await level.close();
    }
  };
  /** Fills the disk to the last byte. */
  const fill = (): void => {
    const fd = fs.openSync(join(disk, 'hog'), 'w');
    for (const chunk of [65_536, 4096, 1]) {
      try {
        for (;;) fs.writeSync(fd, Buffer.alloc(chunk, 1));
      } catch {
        // The disk is full.
      }
    }
    fs.closeSync(fd);
    assert.equal(fs.statfsSync(disk).bavail, 0);
  };

  it('lets a store open on a disk without a free byte, and files be deleted there, and is made again', async () => {
    await withStore(async (store) => {
      const files = fileSystemOver(store, disk);
      const { handle } = await files.create(1, 'large', 0o644, 2);
      for (let at = 0; at < 6; at++) await files.write(handle, Buffer.alloc(2 ** 20, 'x'), at * 2 ** 20);
      await files.release(handle);
      files.close();
    });
    assert.equal(ballastBytes(), 3 * 2 ** 20);
    fill();
    await withStore(async (store) => {
      assert.equal(ballastBytes(), 0);
      const files = fileSystemOver(store, disk);
      assert.equal((await listed(files, 1)).length, 1, 'it is served');
      await files.unlink(1, 'large');
      await store.overlayFilesGone();
      assert.ok(fs.statfsSync(disk).bavail > 0, 'there is room again');
      fs.rmSync(join(disk, 'hog'));
      // Not at once, since the operation that made room needs it.
      await new Promise((resolve) => setTimeout(resolve, 1100));
      await files.mkdir(1, 'folder', 0o755);
      files.close();
    });
    assert.equal(ballastBytes(), 3 * 2 ** 20);
  });

  it('is let go of for what frees room, while the store is open', async () => {
    await withStore(async (store) => {
      const files = fileSystemOver(store, disk);
      const { handle } = await files.create(1, 'large', 0o644, 2);
      await files.write(handle, Buffer.alloc(2 ** 20, 'x'), 0);
      await files.release(handle);
      fill();
      await assert.rejects(files.mkdir(1, 'no room', 0o755), { code: 'ENOSPC' });
      assert.ok(ballastBytes() > 0, 'what takes room does not get it');
      await files.unlink(1, 'large');
      assert.equal(ballastBytes(), 0);
      await store.overlayFilesGone();
      files.close();
    });
  });

  it('is let go of for what takes back what was written over an entry', async () => {
    await withStore(async (store) => {
      const files = fileSystemOver(store, disk);
      const { infoHash } = await store.createEntry(planWithGap());
      const { ino } = files.lookup(files.lookup(1, 'E').ino, 'file');
      const handle = await files.open(ino, 2);
      await files.write(handle, Buffer.alloc(2 ** 20, 'x'), 0);
      await files.release(handle);
      await store.checkpoint();
      fill();
      assert.equal((await store.discard(infoHash, undefined, files.quiet)).bytes, 2 ** 20);
      assert.ok(fs.statfsSync(disk).bavail > 0, 'there is room again');
      files.close();
    });
  });

  it('need not be there for an entry to be removed, with the names that its client asked for', async () => {
    await withStore(async (store) => {
      const { infoHash } = await store.createEntry(planWithGap());
      await store.addNames(infoHash, [['renamed']]);
      fs.rmSync(join(disk, 'ballast'));
      fill();
      fs.truncateSync(join(disk, 'hog'), fs.statSync(join(disk, 'hog')).size - 400_000);
      await store.removeEntry(infoHash);
      assert.equal(store.entry(infoHash), undefined);
    });
  });
});

function planWithGap(): Plan {
  return planOf('E', [], [fileOf(['file'], [{ length: 2 ** 20, source: GAP, sourceOffset: 0 }])]);
}
