import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { Store } from '../../../src/store/store.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { file, plan, source, withStore } from '../fixture.ts';

const HOW = 'was moved with its folder';

async function add(store: Store, name: string, ...paths: readonly string[]): Promise<number[]> {
  const sources = paths.map((path) => ({ ...source(name), path: Buffer.from(path) }));
  await store.createEntry(plan(name, [file('T/a')], sources));
  return paths.map((path) => store.living.sourcesAt(Buffer.from(path)).at(-1) ?? -1);
}

const pathOf = (store: Store, id: number): string | undefined => store.source(id)?.path.toString();

async function below(store: Store, folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const page of store.living.sourcesBelow(Buffer.from(folder)))
    found.push(...page.map(({ id, path }) => `${id} ${path.toString()}`));
  return found;
}

function rename(store: Store, from: string, to: string, only?: ReadonlySet<number>): () => Promise<void> {
  const pages = store.living.renameFolder(Buffer.from(from), Buffer.from(to), only);
  return async () => {
    for await (const ids of pages) await store.living.recordPlaces(ids, HOW);
  };
}

describe('folders that are renamed', () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryFolder('renames');
  });

  it('have their sources at the new paths at once, and in the records later', async () => {
    const [x = -1, doubted = -1, other = -1] = await withStore(folder, async (store) => {
      const { living } = store;
      const ids = await add(store, 'A', '/disk/a/b/x', '/disk/a/b/y', '/disk/a/bb');
      const [x = -1, y = -1, other = -1] = ids;
      living.setCondition(y, { state: 'doubted', reason: 'was touched' });
      const renamed: string[] = [];
      store.watch({ folderRenamed: (from) => void renamed.push(from.toString()) });
      const record = rename(store, '/disk/a/b', '/disk/c');
      assert.deepEqual(renamed, ['/disk/a/b']);
      for (let round = 0; round < 2; round++) {
        assert.deepEqual(
          ids.map((id) => pathOf(store, id)),
          ['/disk/c/x', '/disk/c/y', '/disk/a/bb'],
        );
        assert.deepEqual(living.sourcesAt(Buffer.from('/disk/c/x')), [x]);
        assert.deepEqual(living.sourcesAt(Buffer.from('/disk/a/b/x')), []);
        assert.deepEqual(await below(store, '/disk/c'), [`${x} /disk/c/x`, `${y} /disk/c/y`]);
        assert.deepEqual(await below(store, '/disk/a'), [`${other} /disk/a/bb`]);
        assert.deepEqual((await below(store, '/disk')).length, 3);
        const all: string[] = [];
        for await (const page of store.sources()) all.push(...page.map(({ path }) => path.toString()));
        assert.deepEqual(all, ['/disk/c/x', '/disk/c/y', '/disk/a/bb']);
        assert.deepEqual([living.condition(x)?.state, living.condition(y)?.state], [undefined, 'doubted']);
        await record();
      }
      const [line] = living.story(x);
      assert.deepEqual([line?.from.toString(), line?.to.toString(), line?.how], ['/disk/a/b/x', '/disk/c/x', HOW]);
      return ids;
    });
    await withStore(folder, async (store) => {
      assert.deepEqual(
        [x, doubted, other].map((id) => pathOf(store, id)),
        ['/disk/c/x', '/disk/c/y', '/disk/a/bb'],
      );
      assert.equal(store.living.condition(doubted)?.state, 'doubted');
    });
  });

  it('keep their old paths in records that a crash has left', async () => {
    const [x = -1] = await withStore(folder, async (store) => {
      const ids = await add(store, 'A', '/disk/a/x');
      rename(store, '/disk/a', '/disk/b');
      return ids;
    });
    await withStore(folder, async (store) => assert.equal(pathOf(store, x), '/disk/a/x'));
  });

  it('are followed through several names, also while a record is being written', async () => {
    await withStore(folder, async (store) => {
      const [x = -1, y = -1] = await add(store, 'A', '/disk/one/x', '/disk/two/y');
      // As who gives two folders each other's names.
      const records = [rename(store, '/disk/one', '/disk/tmp'), rename(store, '/disk/two', '/disk/one')];
      const first = records[0]!();
      records.push(rename(store, '/disk/tmp', '/disk/two'));
      const expected = ['/disk/two/x', '/disk/one/y'];
      assert.deepEqual([pathOf(store, x), pathOf(store, y)], expected);
      await first;
      assert.deepEqual([pathOf(store, x), pathOf(store, y)], expected);
      for (const record of records.slice(1)) await record();
      assert.deepEqual([pathOf(store, x), pathOf(store, y)], expected);
      assert.deepEqual(await below(store, '/disk'), [`${y} ${expected[1]}`, `${x} ${expected[0]}`]);
    });
  });

  it('that are exchanged take only their own sources along', async () => {
    await withStore(folder, async (store) => {
      const [x = -1, y = -1] = await add(store, 'A', '/disk/one/x', '/disk/two/y');
      const records = [rename(store, '/disk/one', '/disk/two'), rename(store, '/disk/two', '/disk/one', new Set([y]))];
      for (let round = 0; round < 2; round++) {
        assert.deepEqual([pathOf(store, x), pathOf(store, y)], ['/disk/two/x', '/disk/one/y']);
        assert.deepEqual(await below(store, '/disk/two'), [`${x} /disk/two/x`]);
        for (const record of records) await record();
      }
    });
  });

  it('do not take along what was recorded in their place since, nor what was found elsewhere', async () => {
    await withStore(folder, async (store) => {
      const [x = -1, y = -1] = await add(store, 'A', '/disk/one/x', '/disk/one/y');
      const record = rename(store, '/disk/one', '/disk/two');
      const [z = -1] = await add(store, 'B', '/disk/one/z');
      const { spares: _spares, ...was } = store.source(y)!;
      const change = {
        id: y,
        was,
        now: { ...was, path: Buffer.from('/disk/one/y') },
        trusted: true,
        how: 'was put back',
      };
      assert.deepEqual(await store.living.changeSources([change]), [y]);
      for (let round = 0; round < 2; round++) {
        assert.deepEqual(
          [x, y, z].map((id) => pathOf(store, id)),
          ['/disk/two/x', '/disk/one/y', '/disk/one/z'],
        );
        await record();
      }
    });
  });
});
