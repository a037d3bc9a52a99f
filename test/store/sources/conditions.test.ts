import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Condition } from '../../../src/source/condition.ts';
import { type FileIdentity, identityIn } from '../../../src/source/identity.ts';
import { Notices } from '../../../src/store/notices.ts';
import { Database, NOTHING, put } from '../../../src/store/records/database.ts';
import { sourceKey } from '../../../src/store/records/key.ts';
import { Conditions } from '../../../src/store/sources/conditions.ts';
import type { Store } from '../../../src/store/store.ts';
import { ROOT } from '../../../src/store/tree/tree.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { openLevel } from '../../harness/volume.ts';
import { extentsOf, file, hashOf, letters, plan, source, withStore } from '../fixture.ts';

/** Makes an entry with one source of its own, and returns the source's id. */
async function sourceOf(store: Store, name: string): Promise<number> {
  await store.createEntry(plan(name, [file('T/a')], [source(name)]));
  return [...extentsOf(store, `${name}/T/a`)][0]!.source;
}

/** A file in a source's place. */
function observed(size: number): FileIdentity {
  const { path: _path, spares: _spares, ...identity } = source('elsewhere');
  return { ...identity, size };
}

setFlagsFromString('--expose-gc');
const collectGarbage: () => void = runInNewContext('gc');

describe('the conditions of sources', () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryFolder('conditions');
  });

  it('begin a new epoch with a doubt, and with another file in its place, and survive a restart', async () => {
    const [id, doubted] = await withStore(folder, async (store) => {
      const { living } = store;
      const id = await sourceOf(store, 'A');
      const seen: [number, string | undefined, string | undefined][] = [];
      store.watch({ conditionChanged: (id, before, now) => void seen.push([id, before?.state, now?.state]) });
      assert.equal(living.condition(id), undefined);
      assert.equal(living.epoch, 0);
      const first = living.setCondition(id, { state: 'doubted', reason: 'was modified', observed: observed(1) });
      assert.equal(first.epoch, 1);
      const again = living.setCondition(id, { state: 'doubted', reason: 'was modified', observed: observed(1) });
      assert.deepEqual(again, first);
      const healing = living.setCondition(id, { state: 'healing', reason: 'a piece failed' });
      assert.deepEqual([healing.epoch, healing.observed?.size], [1, 1], 'the file in its place is the same');
      const other = living.setCondition(id, { state: 'doubted', reason: 'was modified', observed: observed(2) });
      assert.equal(other.epoch, 2);
      const waiting = living.setCondition(id, { state: 'waiting', reason: 'its disk is away', disk: 'uuid:1' });
      assert.deepEqual([waiting.epoch, waiting.disk], [2, 'uuid:1']);
      assert.deepEqual(seen, [
        [id, undefined, 'doubted'],
        [id, 'doubted', 'healing'],
        [id, 'healing', 'doubted'],
        [id, 'doubted', 'waiting'],
      ]);
      return [id, waiting] as [number, Condition];
    });
    await withStore(folder, async ({ living }) => {
      assert.deepEqual(living.condition(id), doubted);
      assert.deepEqual([...living.conditions()], [[id, doubted]]);
      assert.equal(living.epoch, 2);
      living.trust(id, 'its disk is back');
      assert.equal(living.condition(id), undefined);
      assert.equal(living.setCondition(id, { state: 'doubted', reason: 'was modified' }).epoch, 3);
      living.trust(id);
    });
    await withStore(folder, async ({ living }, level) => {
      assert.deepEqual([...living.conditions()], []);
      const [line, ...more] = living.story(id);
      assert.deepEqual(
        [line?.how, line?.from.toString(), line?.to.toString(), more],
        ['its disk is back', '/disk/A', '/disk/A', []],
      );
      assert.equal(living.epoch, 3, 'an epoch is not given twice');
      assert.match(await letters(level), /Q/);
    });
  });

  it('know that a file has failed, wherever it is meanwhile, until it is doubted or another lies there', async () => {
    await withStore(folder, async (store) => {
      const { living } = store;
      const id = await sourceOf(store, 'A');
      const reason = 'has changed';
      const failed = (state: Condition['state'], file?: FileIdentity): true | undefined =>
        living.setCondition(id, { state, reason, ...(file && { observed: file }) }).failed;
      const fail = (): unknown =>
        living.setCondition(id, { state: 'healing', reason, observed: observed(1), failed: true });
      fail();
      assert.deepEqual([failed('waiting'), failed('healing', observed(1)), failed('lost')], [true, true, true]);
      assert.equal(failed('healing', observed(2)), undefined);
      fail();
      assert.equal(failed('doubted'), undefined);
      assert.equal(failed('healing'), undefined);
      // Nor does its disk make it right that comes back.
      const record = identityIn(source('A'));
      living.setCondition(id, { state: 'healing', reason, observed: record, failed: true });
      failed('waiting');
      living.trust(id, 'its disk is back');
      assert.equal(living.condition(id)?.state, 'waiting');
    });
  });

  it('go with their source, with its story and its keys', async () => {
    await withStore(folder, async (store, level) => {
      const id = await sourceOf(store, 'A');
      store.living.setCondition(id, { state: 'doubted', reason: 'was modified' });
      store.living.prove(1, 2, 1);
      for (let i = 0; i < 12; i++) {
        store.living.trust(id, `look ${i}`);
        store.living.setCondition(id, { state: 'doubted', reason: 'was modified' });
      }
      await store.living.settled();
      assert.match(await letters(level), /^C.*H.*J.*K.*Q.*p$/);
      assert.deepEqual(store.living.story(id).map(({ how }) => how)[0], 'look 4', 'eight lines are kept');
      assert.deepEqual(store.living.sourcesAt(Buffer.from('/disk/A')), [id]);
      // What is written soon must not come back.
      store.living.setCondition(id, { state: 'lost', reason: 'is gone' });
      store.living.trust(id, 'a last line');
      store.living.setCondition(id, { state: 'lost', reason: 'is gone' });
      store.living.prove(1, 3, 1);
      await store.removeEntry(hashOf('A'));
      store.living.setCondition(id, { state: 'lost', reason: 'is gone' });
      store.living.prove(1, 3, 1);
      await store.living.settled();
      assert.deepEqual([...store.living.conditions()], []);
      assert.deepEqual(store.living.sourcesAt(Buffer.from('/disk/A')), []);
      assert.equal(await letters(level), 'CIVg');
    });
  });

  it('take at most 20 MB for 100,000 sources that are doubted at once', { timeout: 60_000 }, async () => {
    const count = 100_000;
    const level = await openLevel(folder);
    const db = new Database(level, ROOT);
    await db.commit(Array.from({ length: count }, (_, id) => put(sourceKey(id), NOTHING)));
    const conditions = new Conditions(db, new Notices());
    const used = (): number => {
      collectGarbage();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const before = used();
    for (let id = 0; id < count; id++) {
      conditions.set(id, { state: 'doubted', reason: `has ${id} bytes now, not 100`, observed: observed(id) });
    }
    const megabytes = (used() - before) / 2 ** 20;
    assert.ok(megabytes > 2 && megabytes < 20, `${megabytes} MB`);
    await conditions.settled();
    const again = new Conditions(db, new Notices());
    await again.load();
    assert.deepEqual(again.get(count - 1), conditions.get(count - 1));
    assert.equal([...again.all()].length, count);
    await level.close();
  });
});

describe('the places of sources', () => {
  it('are found by path, and below a folder, also if several share a path', async () => {
    await withStore(temporaryFolder('places'), async (store) => {
      const at = (path: string, mtimeNs = 1n) => ({ ...source('x'), path: Buffer.from(path), mtimeNs });
      const paths = [
        '/a/b',
        '/a/b/c',
        '/a/b/d/e',
        '/a/b.c',
        '/a/b0',
        '/z',
        Buffer.from([0x2f, 0xff]).toString('latin1'),
      ];
      await store.createEntry(plan('A', [file('T/a')], [...paths.map((path) => at(path)), at('/a/b/c', 2n)]));
      const { living } = store;
      const below = async (folder: string) => {
        const found: string[] = [];
        for await (const page of living.sourcesBelow(Buffer.from(folder)))
          found.push(...page.map(({ path }) => path.toString()));
        return found;
      };
      assert.equal(living.sourcesAt(Buffer.from('/a/b')).length, 1);
      assert.equal(living.sourcesAt(Buffer.from('/a/b/c')).length, 2);
      assert.deepEqual(living.sourcesAt(Buffer.from('/a')), []);
      assert.deepEqual(await below('/a/b'), ['/a/b/c', '/a/b/c', '/a/b/d/e']);
      assert.deepEqual(await below('/a/b/'), ['/a/b/c', '/a/b/c', '/a/b/d/e']);
      assert.equal((await below('/')).length, 8);
      assert.deepEqual(await below('/a/b/c'), []);
      const [id = -1] = living.sourcesAt(Buffer.from('/z'));
      assert.deepEqual(await living.usersOf(id), [1]);
      // An entry that uses the same files shares the sources.
      await store.createEntry(plan('B', [file('T/a')], [at('/z'), at('/z')]));
      assert.deepEqual(living.sourcesAt(Buffer.from('/z')), [id]);
      assert.deepEqual(await living.usersOf(id), [1, 2]);
      await store.removeEntry(hashOf('A'));
      assert.deepEqual(await below('/'), ['/z']);
    });
  });
});
