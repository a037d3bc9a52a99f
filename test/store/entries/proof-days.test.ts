import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { temporaryFolder } from '../../harness/folder.ts';
import { sourceOf } from '../../harness/plans.ts';
import { file, plan, source, withStore } from '../fixture.ts';

const bits = (byte: number): Buffer => Buffer.from([byte]);
const TODAY = Math.floor(Date.now() / 86_400_000);

describe('the days on which pieces were hashed', () => {
  const made = plan('A', [file('t/x')], [source('x')]);

  it('count from when the entry was made for what was verified then, and survive a restart', async () => {
    const folder = temporaryFolder('proof-days');
    await withStore(folder, async (store) => {
      await store.createEntry(made);
      assert.deepEqual([...store.proofDays(made.infoHash)], [TODAY, 0, TODAY]);
      const since = await store.verificationBegun(made.infoHash);
      await store.verificationEnded(made.infoHash, { since, good: bits(0b0100_0000), bad: bits(0) });
    });
    await withStore(folder, async (store, level) => {
      assert.deepEqual([...store.proofDays(made.infoHash)], [TODAY, TODAY, TODAY]);
      assert.equal((await level.keys().all()).filter((key) => key.toString('latin1', 0, 1) === 'h').length, 1);
    });
  });

  it('are recorded of a piece that did not agree, which is then not verified', async () => {
    await withStore(temporaryFolder('proof-days'), async (store) => {
      await store.createEntry(made);
      const since = await store.verificationBegun(made.infoHash);
      await store.verificationEnded(made.infoHash, { since, good: bits(0), bad: bits(0b0100_0000) });
      assert.deepEqual([...store.proofDays(made.infoHash)], [TODAY, TODAY, TODAY]);
      assert.equal(store.entry(made.infoHash)?.verifiedPieces, 2);
    });
  });

  it('go with the entry, so that one that is added anew has none of its own', async () => {
    await withStore(temporaryFolder('proof-days'), async (store, level) => {
      await store.createEntry(made);
      const since = await store.verificationBegun(made.infoHash);
      await store.verificationEnded(made.infoHash, { since, good: bits(0b1110_0000), bad: bits(0) });
      await store.removeEntry(made.infoHash);
      assert.deepEqual(
        (await level.keys().all()).map((key) => key.toString('latin1', 0, 1)).filter((l) => l === 'h'),
        [],
      );
      await store.createEntry(made);
      assert.deepEqual([...store.proofDays(made.infoHash)], [TODAY, 0, TODAY]);
    });
  });

  it('are forgotten of pieces that are mapped anew, which scrub then hashes at once', async () => {
    await withStore(temporaryFolder('proof-days'), async (store) => {
      await store.createEntry(made);
      const begun = await store.verificationBegun(made.infoHash);
      await store.verificationEnded(made.infoHash, { since: begun, good: bits(0), bad: bits(0b1000_0000) });
      assert.equal(store.proofDays(made.infoHash)[0], TODAY);
      const before = await store.file(made.infoHash, 0);
      assert.ok(before);
      const since = await store.verificationBegun(made.infoHash);
      const extents = [{ offset: 0, length: 10, source: 0, sourceOffset: 0 }];
      const sources = [sourceOf(process.execPath)];
      const remap = { was: before.version, extents, sources, proven: [], since, epoch: 0, how: 'another copy' };
      assert.equal(await store.living.remapFile(made.infoHash, 0, remap), true);
      assert.equal(store.proofDays(made.infoHash)[0], 0);
    });
  });
});
