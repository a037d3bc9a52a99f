/** What the server answers to `scrub`: which pieces are due, and what becomes of those that were hashed. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DUE_DOUBTED, DUE_OLD, DUE_UNPROVEN, NOT_DUE } from '../../src/control/served.ts';
import { silentLogger } from '../../src/logger.ts';
import { EntryHealths } from '../../src/server/health/entry-health.ts';
import { ScrubWork } from '../../src/server/scrub-work.ts';
import { identityIn } from '../../src/source/identity.ts';
import type { Entry } from '../../src/store/entries/entry.ts';
import type { Store } from '../../src/store/store.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { file, plan, source, withStore } from '../store/fixture.ts';

const USUAL = { days: 90, all: false, again: false };

interface Scene {
  readonly store: Store;
  readonly entry: Entry;
  readonly work: ScrubWork;
  readonly healths: EntryHealths;
  readonly warnings: string[];
  /** Sources that are to be settled. */
  readonly cases: number[];
  readonly due: (question?: typeof USUAL) => Promise<number[]>;
  readonly id: (name: string) => number;
}

/** Pieces of 10 bytes: 0 and 2 are verified, 0 is of source a, 1 of b, 2 of c. */
async function inScene(run: (scene: Scene) => Promise<void>): Promise<void> {
  await withStore(temporaryFolder('scrub-work'), async (store) => {
    const names = ['a', 'bb', 'ccc'];
    const files = names.map((name, i) => file(`t/${name}`, i));
    const made = {
      ...plan(
        'A',
        files,
        names.map((name) => source(name)),
      ),
      pieceLength: 10,
    };
    const entry = await store.createEntry(made);
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (text: string) => void warnings.push(text) };
    const healths = new EntryHealths({ store, disks: [], hasClient: false, logger });
    const cases: number[] = [];
    const work = new ScrubWork(store, healths, logger, (id) => void cases.push(id));
    await run({
      store,
      entry,
      work,
      healths,
      warnings,
      cases,
      async due(question = USUAL) {
        await healths.settled();
        return [...(await work.pieces(entry, question))];
      },
      id(name) {
        const [id] = store.living.sourcesAt(Buffer.from(`/disk/${name}`));
        assert.ok(id !== undefined);
        return id;
      },
    });
    healths.close();
  });
}

const bits = (...pieces: readonly number[]): Buffer =>
  Buffer.from([pieces.reduce((sum, piece) => sum | (0x80 >> piece), 0)]);

describe('what scrub asks for', () => {
  it('is what was never hashed, and what was hashed long ago', async () => {
    await inScene(async ({ due, work }) => {
      assert.deepEqual(await due(), [NOT_DUE, DUE_UNPROVEN, NOT_DUE]);
      assert.deepEqual(await due({ ...USUAL, days: 0 }), [DUE_OLD, DUE_UNPROVEN, DUE_OLD]);
      assert.deepEqual(await due({ ...USUAL, all: true }), [DUE_OLD, DUE_UNPROVEN, DUE_OLD]);
      const entries = [];
      for await (const one of work.due(USUAL)) entries.push(one);
      assert.deepEqual(
        entries.map(({ doubted, unproven, old }) => [doubted, unproven, old]),
        [[0, 1, 0]],
      );
    });
  });

  it('is first what a source that changed supplies, until it is proven at that doubt', async () => {
    await inScene(async ({ store, due, work, entry, id }) => {
      store.living.setCondition(id('ccc'), { state: 'doubted', reason: 'was modified' });
      assert.deepEqual(await due(), [NOT_DUE, DUE_UNPROVEN, DUE_DOUBTED]);
      const { epoch } = store.living;
      work.proven(entry, { since: 0, good: bits(2), bad: bits(), epoch: epoch - 1 });
      assert.deepEqual(await due(), [NOT_DUE, DUE_UNPROVEN, DUE_DOUBTED], 'hashed before it changed');
      work.proven(entry, { since: 0, good: bits(2), bad: bits(), epoch });
      assert.deepEqual(await due(), [NOT_DUE, DUE_UNPROVEN, NOT_DUE]);
    });
  });

  it('is not again at once what did not agree, unless somebody asks for it', async () => {
    await inScene(async ({ store, due, entry }) => {
      const since = await store.verificationBegun(entry.infoHash);
      await store.verificationEnded(entry.infoHash, { since, good: bits(), bad: bits(1) });
      assert.deepEqual(await due(), [NOT_DUE, NOT_DUE, NOT_DUE]);
      assert.deepEqual(await due({ ...USUAL, again: true }), [NOT_DUE, DUE_UNPROVEN, NOT_DUE]);
    });
  });
});

describe('a report of damage', () => {
  it('has the source healed, and is said once', async () => {
    await inScene(async ({ store, work, entry, warnings, cases, id }) => {
      const reason = 'does not hold the bytes of a piece';
      // Another state of the file than the recorded one was hashed.
      const hashed = { ...identityIn(source('bb')), ctimeNs: 7n };
      const found = [
        { path: Buffer.from('/disk/bb'), reason, hashed: { pieces: [1], file: hashed } },
        // What it has of piece 2 is another source's by now.
        { path: Buffer.from('/disk/a'), reason, hashed: { pieces: [2], file: identityIn(source('a')) } },
      ];
      await work.damaged(entry, found);
      await work.damaged(entry, found);
      assert.deepEqual(
        ['a', 'bb', 'ccc'].map((name) => store.living.condition(id(name))?.state),
        [undefined, 'healing', undefined],
      );
      assert.deepEqual(warnings, ['A: /disk/bb does not hold the bytes of a piece']);
      assert.deepEqual(cases, [id('bb')]);
      // The file that was hashed is not believed again.
      const { failed, observed } = store.living.condition(id('bb')) ?? {};
      assert.deepEqual([failed, observed], [true, hashed]);
    });
  });

  it('leaves a source alone that waits for its disk, or that the entry does not use', async () => {
    await inScene(async ({ store, work, entry, warnings, id }) => {
      store.living.setCondition(id('bb'), { state: 'waiting', reason: 'is away' });
      await store.createEntry(plan('B', [file('t/x')], [source('others')]));
      for (const name of ['bb', 'others', 'nowhere']) {
        await work.damaged(entry, [{ path: Buffer.from(`/disk/${name}`), reason: 'cannot be read' }]);
      }
      assert.equal(store.living.condition(id('bb'))?.state, 'waiting');
      assert.equal(store.living.condition(id('others')), undefined);
      assert.deepEqual(warnings, []);
    });
  });
});
