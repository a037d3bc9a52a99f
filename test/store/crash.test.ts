import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../harness/folder.ts';
import { hashOf, letters, tree, withStore } from './fixture.ts';

const killed = (folder: string, what: string, batches: number): string =>
  spawnSync(process.execPath, [fileURLToPath(new URL('killed.js', import.meta.url)), folder, what, `${batches}`], {
    encoding: 'utf8',
  }).stdout;

describe('the store after kill -9', () => {
  let folder: string;
  before(async () => {
    folder = temporaryFolder('store');
  });

  it('has an entry whole or not at all, whichever batch was the last', async () => {
    await withStore(folder, async () => {});
    for (let batches = 1; ; batches++) {
      const finished = killed(folder, 'create', batches) === 'done';
      const shown = await withStore(folder, async (store, level) => {
        const shown = (await tree(store)).length;
        await store.recovered;
        if (store.entry('A') === undefined) assert.equal(await letters(level), 'CIVg');
        else await store.removeEntry(hashOf('A'));
        assert.equal(await letters(level), 'CIVg');
        return shown;
      });
      // The entry, the torrent's folder, 7 folders, 1,100 files.
      assert.ok(shown === 0 || shown === 1109, `${shown} names after ${batches} batches`);
      if (finished) {
        assert.ok(batches > 5);
        return;
      }
    }
  });

  it('finishes a removal, whichever batch was the last', async () => {
    const prepared = join(folder, 'prepared');
    assert.equal(killed(prepared, 'create', 0), 'done');
    // One run for each of the first batches, which make the entry disappear, and ever fewer for the many that clean up.
    for (let batches = 1; ; batches += Math.ceil(batches / 3)) {
      const copy = join(folder, `copy ${batches}`);
      await cp(prepared, copy, { recursive: true });
      const finished = killed(copy, 'remove', batches) === 'done';
      await withStore(copy, async (store, level) => {
        assert.deepEqual(await tree(store), []);
        await store.recovered;
        assert.equal(await letters(level), 'CIVg');
      });
      if (finished) {
        assert.ok(batches > 5);
        return;
      }
    }
  });
});
