import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { array, assert as check, constant, integer, oneof, property } from 'fast-check';
import { proofsKey } from '../../../src/store/records/key.ts';
import { decodeProofs, encodeProofs } from '../../../src/store/sources/proofs.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { file, hashOf, plan, source, withStore } from '../fixture.ts';

describe('proofs of pieces', () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryFolder('proofs');
  });

  it('count at once, are recorded within a second or two, and by the end, and go with the entry', async () => {
    await withStore(folder, async (store, level) => {
      const { living } = store;
      await store.createEntry(plan('A', [file('T/a')], [source('x')]));
      assert.equal(living.provenAt(1, 5), 0);
      living.prove(1, 5, 3);
      living.prove(1, 70, 4);
      assert.deepEqual([living.provenAt(1, 5), living.provenAt(1, 6), living.provenAt(1, 70)], [3, 0, 4]);
      assert.equal(level.getSync(proofsKey(1)), undefined);
      await sleep(1500);
      assert.ok(level.getSync(proofsKey(1)) !== undefined);
      living.prove(1, 6, 4);
    });
    await withStore(folder, async (store) => {
      assert.deepEqual(
        [4, 5, 6, 70, 71].map((piece) => store.living.provenAt(1, piece)),
        [0, 3, 4, 4, 0],
      );
      await store.removeEntry(hashOf('A'));
      assert.equal(store.living.provenAt(1, 5), 0);
    });
  });

  it('of more entries than fit into memory are right', async () => {
    const [entries, pieces] = [40, 300_000];
    await withStore(folder, async (store) => {
      for (let entry = 1; entry <= entries; entry++) {
        await store.createEntry(plan(`E${entry}`, [file('T/a')], [source('x')]));
        store.living.prove(entry, pieces - entry, entry);
        if (entry % 10 === 0) await store.living.settled();
      }
      for (let entry = 1; entry <= entries; entry++) {
        assert.equal(store.living.provenAt(entry, pieces - entry), entry);
        store.living.prove(entry, 0, 99);
      }
    });
    await withStore(folder, async ({ living }) => {
      for (let entry = 1; entry <= entries; entry++) {
        assert.deepEqual([living.provenAt(entry, pieces - entry), living.provenAt(entry, 0)], [entry, 99]);
      }
    });
  });

  it('are recorded as runs', () => {
    assert.ok(encodeProofs(new Uint32Array(100_000).fill(7)).length < 8);
    check(
      property(array(oneof(constant(0), constant(1), integer({ min: 0, max: 2 ** 32 - 1 }))), (list) => {
        const decoded = decodeProofs(encodeProofs(Uint32Array.from(list)));
        assert.deepEqual(
          list.map((_, piece) => decoded[piece] ?? 0),
          list,
        );
      }),
    );
    assert.throws(() => decodeProofs(Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 1])), { code: 'STORE' });
  });
});
