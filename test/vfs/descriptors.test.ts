import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import { silentLogger } from '../../src/logger.ts';
import { DescriptorBudget } from '../../src/native/descriptor-budget.ts';
import { Store } from '../../src/store/store.ts';
import { temporaryFolder } from '../harness/folder.ts';
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
    // One without a name keeps its descriptor: nothing else leads to it.
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
