import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { silentLogger } from '../../src/logger.ts';
import { DescriptorBudget } from '../../src/native/descriptor-budget.ts';
import { Journal } from '../../src/store/overlay/journal.ts';
import { OverlayFiles } from '../../src/store/overlay/overlay-files.ts';
import type { StoreLevel } from '../../src/store/records/database.ts';
import { Store } from '../../src/store/store.ts';
import type { FileSystem } from '../../src/vfs/file-system.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { fileOf, planOf, sourceOf } from '../harness/plans.ts';
import { fileSystemOver, openLevel } from '../harness/volume.ts';

const FILES = 300;
const LIMIT = 20;

describe('files that are written at once', () => {
  it('hold no more descriptors than the budget has, and lose nothing', async () => {
    const folder = temporaryFolder('vfs');
    const level = await openLevel(folder);
    const descriptors = new DescriptorBudget(LIMIT);
    const store = await Store.open(level, { logger: silentLogger, statePath: folder, descriptors });
    const files = fileSystemOver(store, folder, { descriptors });
    const held = (): number => readdirSync('/proc/self/fd').length;
    const before = held();
    const handles: number[] = [];
    for (let i = 0; i < FILES; i++) {
      const { handle } = await files.create(1, `f${i}`, 0o644, 2);
      handles.push(handle);
      await files.write(handle, Buffer.from(`first ${i}`), 0);
    }
    assert.ok(held() - before <= LIMIT + 5, `${held() - before}`);
    for (const [i, handle] of handles.entries()) await files.write(handle, Buffer.from(`other ${i}`), 0);
    // A file without a name keeps its descriptor, since nothing else leads to it.
    await files.unlink(1, 'f0');
    await store.overlayFilesGone();
    for (const [i, handle] of handles.entries()) {
      const buffer = Buffer.alloc(100);
      const bytes = await files.read(handle, buffer, 0);
      assert.equal(buffer.toString('latin1', 0, bytes), `other ${i}`);
      await files.fsync(handle);
    }
    assert.ok(held() - before <= LIMIT + 5, `${held() - before}`);
    for (const handle of handles) await files.release(handle);
    assert.equal(descriptors.held, 0);
    files.close();
    await store.close();
    await level.close();
  });
});

describe('an overlay file whose descriptor was closed for others', () => {
  const BLOCK = 4096;

  async function withFiles(
    limit: number,
    work: (parts: {
      readonly folder: string;
      readonly descriptors: DescriptorBudget;
      readonly level: StoreLevel;
      readonly store: Store;
      readonly files: FileSystem;
    }) => Promise<void>,
  ): Promise<void> {
    const folder = temporaryFolder('vfs');
    const level = await openLevel(folder);
    const descriptors = new DescriptorBudget(limit);
    const store = await Store.open(level, { logger: silentLogger, statePath: folder, descriptors });
    const files = fileSystemOver(store, folder, { descriptors });
    await work({ folder, descriptors, level, store, files });
    files.close();
    await store.close();
    await level.close();
  }

  it('is written to itself, also where a checkpoint begins between two runs of a write', async (t) => {
    await withFiles(1, async ({ folder, store, files }) => {
      const source = join(folder, 'source');
      const base = Buffer.alloc(4 * BLOCK, 'b');
      writeFileSync(source, base);
      const extents = [{ length: base.length, source: 0, sourceOffset: 0 }];
      await store.createEntry({
        ...planOf('E', [sourceOf(source)], [fileOf(['other'], extents), fileOf(['file'], extents)]),
        verified: Buffer.alloc(1),
      });
      const top = files.paths.find(1, 'E');
      const write = async (name: string, bytes: Buffer, position: number): Promise<void> => {
        const handle = await files.open(files.paths.find(top, name), 2);
        await files.write(handle, bytes, position);
        await files.release(handle);
      };
      await write('other', Buffer.from('o'), 3 * BLOCK);
      await write('file', Buffer.from('f'), 3 * BLOCK);
      // Both are not recorded yet. The first block and the third are two runs.
      const full = t.mock.method(Journal.prototype, 'isFull', () => full.mock.callCount() === 0, { getter: true });
      const handle = await files.open(files.paths.find(top, 'file'), 2);
      const written = Buffer.alloc(3 * BLOCK, 'x').fill('b', BLOCK, 2 * BLOCK);
      await files.write(handle, written, 0);
      assert.ok(full.mock.callCount() > 1);
      const read = Buffer.alloc(written.length);
      await files.read(handle, read, 0);
      await files.release(handle);
      assert.ok(read.equals(written));
      const other = readFileSync(new OverlayFiles(folder).path(files.paths.find(top, 'other')));
      assert.ok(!other.includes('x'), 'the other file has nothing of it');
    });
  });

  it('does not take back a file that was made', async (t) => {
    await withFiles(8, async ({ descriptors, level, files }) => {
      const batch = level.batch.bind(level);
      const opening = t.mock.method(OverlayFiles.prototype, 'open', () => {
        throw Object.assign(new Error('EMFILE: too many open files, open'), { code: 'EMFILE' });
      });
      t.mock.method(level, 'batch', () => {
        while (descriptors.closeIdle());
        return batch();
      });
      const { handle } = await files.create(1, 'made', 0o644, 2);
      await assert.rejects(async () => await files.write(handle, Buffer.from('bytes'), 0), { code: 'ENFILE' });
      opening.mock.restore();
      await files.write(handle, Buffer.from('bytes'), 0);
      await files.release(handle);
      assert.equal(files.getattr(files.paths.find(1, 'made')).size, 5);
    });
  });
});
