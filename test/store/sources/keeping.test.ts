import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { isAtOrBelow } from '../../../src/native/mountinfo.ts';
import type { OwnFiles } from '../../../src/source/own-files.ts';
import { Ranges } from '../../../src/store/entries/ranges-using.ts';
import type { Store } from '../../../src/store/store.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { fileOf } from '../../harness/plans.ts';
import { file, hashOf, plan, source, withStore } from '../fixture.ts';

describe('kept files', () => {
  let folder: string;
  let kept: string;
  let files: OwnFiles & { readonly released: string[] };
  beforeEach(() => {
    folder = temporaryFolder('keeping');
    kept = join(folder, '.autotorrent');
    mkdirSync(kept);
    const released: string[] = [];
    files = {
      released,
      isOwn: (path) => isAtOrBelow(path, Buffer.from(kept)),
      release(path) {
        released.push(path.toString());
        rmSync(path);
        return Promise.resolve();
      },
    };
  });

  /** Two entries that use one source, and the source's id. */
  async function twoEntries(store: Store): Promise<number> {
    await store.createEntry(plan('A', [file('T/a')], [source('x')]));
    await store.createEntry(plan('B', [file('T/b')], [source('x')]));
    const [id = -1, more] = store.living.sourcesAt(Buffer.from('/disk/x'));
    assert.equal(more, undefined);
    return id;
  }

  async function keep(store: Store, id: number, name = 'one'): Promise<number> {
    const path = join(kept, name);
    writeFileSync(path, 'kept');
    const { spares: _, ...record } = store.source(id)!;
    const now = { ...record, path: Buffer.from(path), ctimeNs: undefined, spares: [], readers: 'nobody' } as const;
    const one = await store.living.keep(id, now, 'is kept');
    assert.ok(one !== undefined);
    return one;
  }

  const open = async <T>(work: (store: Store) => Promise<T>): Promise<T> =>
    await withStore(
      folder,
      async (store) => {
        await store.recovered;
        return await work(store);
      },
      { kept: files },
    );

  it('are doubted spares, used by all the entries that use the original, also after a restart', async () => {
    const [id, one] = await open(async (store) => {
      const id = await twoEntries(store);
      return [id, await keep(store, id)];
    });
    await open(async (store) => {
      const { living } = store;
      assert.deepEqual(store.source(id)?.spares, [one]);
      assert.deepEqual(living.keptOf(id), [one]);
      assert.equal(living.condition(one)?.state, 'doubted');
      assert.equal(living.condition(id), undefined);
      assert.equal(store.readers(one), 'nobody');
      assert.deepEqual(await living.usersOf(one), await living.usersOf(id));
      assert.deepEqual(living.sourcesAt(Buffer.from(join(kept, 'one'))), [one]);
      assert.deepEqual(files.released, []);
    });
  });

  it('are all recorded that come at once', async () => {
    const [id, ids] = await open(async (store) => {
      const id = await twoEntries(store);
      return [id, await Promise.all(['one', 'two', 'three'].map(async (name) => await keep(store, id, name)))];
    });
    await open(async (store) => {
      const { living } = store;
      assert.deepEqual(store.source(id)?.spares, ids);
      for (const one of ids) assert.deepEqual(await living.usersOf(one), await living.usersOf(id));
      await Promise.all([living.letGo(id), living.forget(ids[1]!, id)]);
      assert.deepEqual(store.source(id)?.spares, []);
      assert.deepEqual(await living.usersOf(ids[1]!), []);
    });
  });

  it('are no pieces’ proof: their doubt is younger than what was proven before', async () => {
    await open(async (store) => {
      const id = await twoEntries(store);
      const { epoch } = store.living.setCondition(id, { state: 'doubted', reason: 'was touched' });
      assert.ok((store.living.condition(await keep(store, id))?.epoch ?? 0) > epoch);
    });
  });

  it('go with the last entry that uses the original', async () => {
    await open(async (store) => {
      const one = await keep(store, await twoEntries(store));
      await store.removeEntry(hashOf('A'));
      assert.deepEqual(files.released, []);
      assert.ok(store.source(one) !== undefined);
      await store.removeEntry(hashOf('B'));
      assert.deepEqual(files.released, [join(kept, 'one')]);
      assert.equal(store.source(one), undefined);
    });
  });

  it('go when they are let go, unless a file names them', async () => {
    const [id, one, two] = await open(async (store) => {
      const id = await twoEntries(store);
      const ids = [id, await keep(store, id), await keep(store, id, 'two')] as const;
      const found = await store.file(hashOf('A'), 0);
      const mapped = await store.living.remapFile(hashOf('A'), 0, {
        was: found!.version,
        extents: [{ offset: 0, length: 10, source: 0, sourceOffset: 7 }],
        sources: [ids[2]],
        proven: [],
        since: 0,
        epoch: store.living.epoch,
        how: 'is taken from what was kept',
      });
      assert.equal(mapped, true);
      await store.living.letGo(id);
      assert.deepEqual(store.source(id)?.spares, []);
      return ids;
    });
    // The notes of what is let go outlive the server.
    await open(async (store) => {
      assert.deepEqual(files.released, [join(kept, 'one')]);
      assert.equal(store.source(one), undefined);
      assert.ok(store.source(two) !== undefined);
      assert.equal((await store.living.usersOf(two)).length, 1, 'the other entry does not name it');
      assert.ok(store.source(id) !== undefined);
      await store.removeEntry(hashOf('A'));
      assert.deepEqual(files.released, [join(kept, 'one'), join(kept, 'two')]);
    });
  });

  it('go when no file names the original any more', async () => {
    const one = await open(async (store) => {
      await store.createEntry(plan('A', [file('T/a')], [source('x')]));
      const [id = -1] = store.living.sourcesAt(Buffer.from('/disk/x'));
      const one = await keep(store, id);
      const found = await store.file(hashOf('A'), 0);
      await store.living.remapFile(hashOf('A'), 0, {
        was: found!.version,
        extents: [{ offset: 0, length: 10, source: 0, sourceOffset: 0 }],
        sources: [source('elsewhere')],
        proven: [],
        since: 0,
        epoch: store.living.epoch,
        how: 'was found',
      });
      return one;
    });
    await open((store) => {
      assert.equal(store.source(one), undefined);
      assert.deepEqual(files.released, [join(kept, 'one')]);
      return Promise.resolve();
    });
  });

  it('are not recorded for a source that is gone', async () => {
    await open(async (store) => {
      const id = await twoEntries(store);
      await store.removeEntry(hashOf('A'));
      await store.removeEntry(hashOf('B'));
      assert.equal(await store.living.keep(id, { ...source('k'), readers: 'nobody' }, 'is kept'), undefined);
      assert.deepEqual(store.living.sourcesAt(Buffer.from('/disk/k')), []);
    });
  });

  it('need the ranges that files of all entries name', async () => {
    await open(async (store) => {
      const extents = [
        { length: 10, source: 0, sourceOffset: 100 },
        { length: 5, source: 1, sourceOffset: 50 },
        { length: 10, source: 0, sourceOffset: 0 },
        { length: 10, source: 0, sourceOffset: 10 },
      ];
      const [x, y] = [source('x'), source('y')];
      await store.createEntry(plan('A', [fileOf(['T', 'a'], extents)], [x, y]));
      await store.createEntry(plan('B', [fileOf(['T', 'b'], [{ length: 15, source: 0, sourceOffset: 95 }])], [x]));
      const [id = -1] = store.living.sourcesAt(x.path);
      assert.deepEqual(await store.living.rangesOf(id), [
        { offset: 0, length: 20 },
        { offset: 95, length: 15 },
      ]);
    });
  });

  it('need ranges without bound in number no more than in memory: the nearest become one', () => {
    const ranges = new Ranges(100);
    for (let i = 0; i < 10_000; i++) ranges.add({ offset: i * 8192, length: 1 });
    for (let i = 0; i < 10; i++) ranges.add({ offset: 2 ** 40 + i * 2 ** 30, length: 1 });
    const list = ranges.list();
    assert.ok(list.length <= 50, `${list.length} ranges`);
    assert.deepEqual(list.at(-1), { offset: 2 ** 40 + 9 * 2 ** 30, length: 1 });
    for (let i = 0; i < 10_000; i++) {
      assert.ok(list.some(({ offset, length }) => offset <= i * 8192 && i * 8192 < offset + length));
    }
  });
});
