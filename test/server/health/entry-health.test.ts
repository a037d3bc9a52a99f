/** The health of entries follows the conditions of their sources, and costs no look at each. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { healthText } from '../../../src/app/health.ts';
import { GAP } from '../../../src/extent/extent.ts';
import { silentLogger } from '../../../src/logger.ts';
import { EntryHealths } from '../../../src/server/health/entry-health.ts';
import type { Store } from '../../../src/store/store.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { file, hashOf, plan, source, withStore } from '../../store/fixture.ts';

const DISKS = ['/disk', '/disk/two', '/else'];

async function textOf(healths: EntryHealths, store: Store, name: string, broken?: string): Promise<string> {
  await healths.settled();
  const entry = store.entry(name);
  assert.ok(entry);
  return healthText(await healths.of(entry, { missing: entry.missingBytes, broken, deleted: 0, overwritten: 0 }));
}

/** The id of the source `/disk/NAME`. */
function idOf(store: Store, name: string): number {
  const [id] = store.living.sourcesAt(Buffer.from(`/disk/${name}`));
  assert.ok(id !== undefined);
  return id;
}

describe('the health of an entry', () => {
  it('is the worst state of its sources, in the words of docs/sources.md', async () => {
    await withStore(temporaryFolder('health'), async (store) => {
      const names = ['a', 'bb', 'two/ccc', 'dddd'];
      await store.createEntry(
        plan(
          'A',
          names.map((_, i) => file(`t/${i}`, i)),
          names.map((name) => source(name)),
        ),
      );
      await store.createEntry(plan('B', [file('t/x')], [source('a')]));
      await store.createEntry(plan('C', [file('t/x')], [source('other')]));
      const healths = new EntryHealths({ store, disks: DISKS, hasClient: true, logger: silentLogger });
      const set = (name: string, state: 'doubted' | 'healing' | 'waiting' | 'lost'): void =>
        void store.living.setCondition(idOf(store, name), { state, reason: 'was modified' });
      assert.equal(await textOf(healths, store, 'A'), 'ok');
      set('a', 'doubted');
      assert.equal(await textOf(healths, store, 'A'), 'checking');
      assert.equal(await textOf(healths, store, 'A', '/x was modified'), 'broken: /x was modified');
      set('bb', 'healing');
      assert.equal(await textOf(healths, store, 'A', '/x was modified'), 'healing 1 of 4');
      set('two/ccc', 'waiting');
      assert.equal(await textOf(healths, store, 'A'), 'waiting for /disk/two');
      set('dddd', 'lost');
      assert.equal(await textOf(healths, store, 'A'), 'lost 10 bytes');
      assert.equal(await textOf(healths, store, 'B'), 'checking');
      assert.equal(await textOf(healths, store, 'C'), 'ok');
      assert.deepEqual(healths.totals(), {
        doubted: 1,
        healing: 1,
        lost: 1,
        waiting: [{ disk: '/disk/two', sources: 1 }],
      });
      store.living.trust(idOf(store, 'dddd'));
      store.living.trust(idOf(store, 'two/ccc'));
      store.living.trust(idOf(store, 'bb'));
      assert.equal(await textOf(healths, store, 'A'), 'checking');
      store.living.trust(idOf(store, 'a'));
      assert.equal(await textOf(healths, store, 'A'), 'ok');
      assert.equal(healths.allTrusted, true);
      healths.close();
    });
  });

  it('counts a source for an entry that was added later, and no more once its entries are removed', async () => {
    await withStore(temporaryFolder('health'), async (store) => {
      await store.createEntry(plan('A', [file('t/x')], [source('a')]));
      store.living.setCondition(idOf(store, 'a'), { state: 'healing', reason: 'is gone' });
      const healths = new EntryHealths({ store, disks: DISKS, hasClient: true, logger: silentLogger });
      assert.equal(await textOf(healths, store, 'A'), 'healing 1 of 1');
      const later = await store.createEntry(plan('B', [file('t/x')], [source('a')]));
      await healths.entryMade(later);
      assert.equal(await textOf(healths, store, 'B'), 'healing 1 of 1');
      await store.removeEntry(hashOf('A'));
      await store.removeEntry(hashOf('B'));
      await healths.settled();
      assert.deepEqual(healths.totals(), { doubted: 0, healing: 0, lost: 0, waiting: [] });
      await store.createEntry(plan('A', [file('t/x')], [source('a')]));
      assert.equal(await textOf(healths, store, 'A'), 'ok', 'an entry of the same torrent is another');
      healths.close();
    });
  });

  it('says what was lost and became a gap, until a client has downloaded it', async () => {
    await withStore(temporaryFolder('health'), async (store) => {
      const made = await store.createEntry(plan('A', [file('t/x')], [source('a')]));
      const healths = new EntryHealths({ store, disks: DISKS, hasClient: true, logger: silentLogger });
      const before = await store.file(made.infoHash, 0);
      const since = await store.verificationBegun(made.infoHash);
      assert.ok(before);
      const gap = { offset: 0, length: 10, source: GAP, sourceOffset: 0 };
      const remap = { was: before.version, extents: [gap], sources: [], proven: [], since, epoch: 0, how: 'lost' };
      assert.equal(await store.living.remapFile(made.infoHash, 0, remap), true);
      assert.equal(await textOf(healths, store, 'A'), 'lost 10 bytes, downloading');
      const entry = store.entry('A');
      assert.ok(entry);
      assert.deepEqual(await healths.of(entry, { missing: 0, broken: undefined, deleted: 0, overwritten: 0 }), {
        health: 'ok',
      });
      healths.close();
    });
  });

  it('does not call an entry lost of which only a spare is', async () => {
    await withStore(temporaryFolder('health'), async (store) => {
      await store.createEntry(plan('A', [file('t/x')], [source('a', [1]), source('spare')]));
      const healths = new EntryHealths({ store, disks: DISKS, hasClient: true, logger: silentLogger });
      store.living.setCondition(idOf(store, 'spare'), { state: 'lost', reason: 'is gone' });
      assert.equal(await textOf(healths, store, 'A'), 'ok');
      healths.close();
    });
  });

  it('of 1,000 entries with 10,000 conditions is listed in a moment, and follows one change at once', async (t) => {
    await withStore(temporaryFolder('health'), async (store) => {
      const SOURCES = 10;
      const ENTRIES = 1000;
      for (let entry = 0; entry < ENTRIES; entry += 100) {
        await Promise.all(
          Array.from({ length: 100 }, async (_, i) => {
            const names = Array.from({ length: SOURCES }, (_, at) => `${entry + i}/${at}`);
            const files = names.map((_, at) => file(`t/${at}`, at));
            await store.createEntry(
              plan(
                `E${entry + i}`,
                files,
                names.map((name) => source(name)),
              ),
            );
          }),
        );
      }
      let conditions = 0;
      for await (const page of store.sources()) {
        for (const { id } of page) {
          store.living.setCondition(id, { state: 'doubted', reason: 'was modified' });
          conditions++;
        }
      }
      assert.equal(conditions, ENTRIES * SOURCES);
      const began = performance.now();
      const healths = new EntryHealths({ store, disks: DISKS, hasClient: true, logger: silentLogger });
      await healths.settled();
      const built = performance.now();
      let checking = 0;
      for await (const entry of store.entries()) {
        if (
          (await healths.of(entry, { missing: 0, broken: undefined, deleted: 0, overwritten: 0 })).health === 'checking'
        )
          checking++;
      }
      const listed = performance.now();
      assert.equal(checking, ENTRIES);
      store.living.setCondition(idOf(store, '77/3'), { state: 'healing', reason: 'is gone' });
      assert.equal(await textOf(healths, store, 'E77'), 'healing 1 of 10');
      const changed = performance.now();
      t.diagnostic(
        `built in ${Math.round(built - began)} ms, listed in ${Math.round(listed - built)} ms, ` +
          `one change in ${(changed - listed).toFixed(1)} ms`,
      );
      healths.close();
    });
  });
});
