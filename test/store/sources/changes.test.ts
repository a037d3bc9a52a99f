import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { FileIdentity } from '../../../src/source/identity.ts';
import type { StoreLevel } from '../../../src/store/records/database.ts';
import { KEYING_KEY, pathKey, sourceKey, VERSION_KEY } from '../../../src/store/records/key.ts';
import { FORMAT, type SourceRecord, Writer } from '../../../src/store/records/record.ts';
import type { SourceChange } from '../../../src/store/sources/changes.ts';
import type { Store } from '../../../src/store/store.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { file, hashOf, letters, plan, source, withStore } from '../fixture.ts';
import { COUNT, place } from './moved-sources.ts';

const handle = (number: number) => ({ type: 1, bytes: Buffer.from([number >> 8, number & 0xff, 1, 2, 3, 4, 5, 6]) });

/** A change of a source's record; what it does not name stays. */
function change(store: Store, id: number, now: Partial<SourceRecord>, more: Partial<SourceChange> = {}): SourceChange {
  const { spares: _spares, ...was } = store.source(id)!;
  return { id, was, now: { ...was, ...now }, trusted: true, how: 'was moved', ...more };
}

async function below(store: Store, folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const page of store.living.sourcesBelow(Buffer.from(folder)))
    found.push(...page.map(({ id, path }) => `${id} ${path.toString()}`));
  return found;
}

/** Counts batches of a store's database that are synced, and others. */
function batches(level: StoreLevel): { synced: number; others: number } {
  const count = { synced: 0, others: 0 };
  const begin = () => level.batch();
  const batch: typeof begin = level.batch.bind(level);
  Object.assign(level, {
    batch: () => {
      const chained = batch();
      const write = chained.write.bind(chained);
      return Object.assign(chained, {
        write: async (options: { readonly sync?: boolean } = {}) => {
          count[options.sync === true ? 'synced' : 'others']++;
          await write(options);
        },
      });
    },
  });
  return count;
}

describe('changes of sources', () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryFolder('changes');
  });

  it('move a source, with its keys, its condition and its story, in one synced batch', async () => {
    const id = await withStore(folder, async (store, level) => {
      const { living } = store;
      await store.createEntry(
        plan('A', [file('T/a')], [{ ...source('x'), handle: handle(1), disk: 'uuid:1' }, source('yy')]),
      );
      const [id = -1] = living.sourcesAt(Buffer.from('/disk/x'));
      assert.deepEqual(living.sourcesByHandle(handle(1), 'uuid:1'), [id]);
      assert.deepEqual(living.sourcesByHandle(handle(1), 'uuid:2'), []);
      living.setCondition(id, { state: 'healing', reason: 'is not there any more' });
      await living.settled();
      const events: unknown[] = [];
      store.watch({
        sourcesChanged: (ids) => void events.push(ids, store.source(id)?.path.toString()),
        conditionChanged: (...[changed, before, now]) => void events.push(changed, before?.state, now?.state),
      });
      const count = batches(level);
      const stale = change(store, id, { path: Buffer.from('/elsewhere') });
      const moved = change(store, id, { path: Buffer.from('/new/x'), ctimeNs: 99n, handle: handle(2), disk: 'uuid:2' });
      assert.deepEqual(await living.changeSources([moved, stale]), [id]);
      assert.deepEqual(count, { synced: 1, others: 0 });
      assert.deepEqual(events, [id, 'healing', undefined, [id], '/new/x']);
      assert.deepEqual(await living.changeSources([stale]), [], 'the record is another by now');
      assert.deepEqual(await living.changeSources([{ ...stale, id: 77 }]), []);
      assert.deepEqual(count, { synced: 1, others: 0 });
      return id;
    });
    await withStore(folder, async (store, level) => {
      const { living } = store;
      assert.deepEqual(living.sourcesAt(Buffer.from('/disk/x')), []);
      assert.deepEqual(living.sourcesAt(Buffer.from('/new/x')), [id]);
      assert.deepEqual(living.sourcesByHandle(handle(1), 'uuid:1'), []);
      assert.deepEqual(living.sourcesByHandle(handle(2), 'uuid:2'), [id]);
      assert.deepEqual(await below(store, '/new'), [`${id} /new/x`]);
      assert.equal(store.source(id)?.ctimeNs, 99n);
      assert.equal(living.condition(id), undefined);
      const story = living.story(id).map(({ from, to, how }) => [from.toString(), to.toString(), how]);
      assert.deepEqual(story, [['/disk/x', '/new/x', 'was moved']]);
      // A plan that names the file as it is now gets the same source.
      const { spares: _spares, ...now } = store.source(id)!;
      await store.createEntry(plan('B', [file('T/a')], [{ ...now, ino: 4711n, dev: 99, spares: [] }]));
      assert.deepEqual(await living.usersOf(id), [1, 2]);
      await store.removeEntry(hashOf('A'));
      await store.removeEntry(hashOf('B'));
      assert.equal(await letters(level), 'CIVg');
    });
  });

  it('exchange the names of two files, and follow a file that is renamed twice', async () => {
    await withStore(folder, async (store) => {
      const { living } = store;
      await store.createEntry(plan('A', [file('T/a')], [source('x'), source('yy'), source('zzz')]));
      const [x, y, z] = ['x', 'yy', 'zzz'].map((name) => living.sourcesAt(Buffer.from(`/disk/${name}`))[0]!);
      const path = (name: string) => Buffer.from(`/disk/${name}`);
      const first = change(store, z!, { path: path('temporary') });
      const second = {
        ...first,
        was: { ...first.was, path: path('temporary') },
        now: { ...first.now, path: path('final') },
      };
      const changes = [change(store, x!, { path: path('yy') }), change(store, y!, { path: path('x') }), first, second];
      assert.deepEqual(await living.changeSources(changes), [x, y, z]);
      assert.deepEqual(
        ['x', 'yy', 'zzz', 'temporary', 'final'].map((name) => living.sourcesAt(path(name))),
        [[y], [x], [], [], [z]],
      );
    });
  });

  it('keep the epoch of a doubt about the very file that is recorded now, and give another a new one', async () => {
    await withStore(folder, async (store) => {
      const { living } = store;
      await store.createEntry(plan('A', [file('T/a')], [source('x')]));
      const [id = -1] = living.sourcesAt(Buffer.from('/disk/x'));
      const { path: _path, spares: _spares, ...identity } = store.source(id)!;
      const touched: FileIdentity = { ...identity, mtimeNs: 5n, ctimeNs: 5n };
      assert.equal(living.setCondition(id, { state: 'doubted', reason: 'was modified', observed: touched }).epoch, 1);
      living.prove(1, 0, 1);
      await living.changeSources([change(store, id, touched, { trusted: false })]);
      const doubt = living.condition(id);
      assert.deepEqual([doubt?.state, doubt?.epoch, doubt?.reason], ['doubted', 1, 'was modified']);
      await living.changeSources([change(store, id, { ctimeNs: 6n }, { trusted: false })]);
      assert.deepEqual([living.condition(id)?.epoch, living.provenAt(1, 0)], [2, 1]);
      living.trust(id);
      await living.changeSources([change(store, id, { ctimeNs: 7n }, { trusted: false })]);
      assert.equal(living.condition(id)?.epoch, 3);
    });
  });

  it('leave a record that nobody has proven doubted, whoever finds its file as recorded, until it is proven', async () => {
    const id = await withStore(folder, async (store) => {
      const { living } = store;
      await store.createEntry(plan('A', [file('T/a')], [source('x')]));
      const [id = -1] = living.sourcesAt(Buffer.from('/disk/x'));
      living.setCondition(id, { state: 'lost', reason: 'has other bytes now' });
      await living.changeSources([change(store, id, { size: 4711, ctimeNs: 5n }, { trusted: false })]);
      return id;
    });
    await withStore(folder, async (store) => {
      const { living } = store;
      const { epoch = 0 } = living.condition(id) ?? {};
      living.trust(id, 'it is as recorded again');
      assert.deepEqual([living.condition(id)?.state, living.condition(id)?.epoch], ['doubted', epoch]);
      await living.changeSources([change(store, id, {})]);
      assert.deepEqual([living.condition(id)?.state, living.condition(id)?.epoch], ['doubted', epoch]);
      living.setCondition(id, { state: 'waiting', reason: 'its disk is away' });
      living.trust(id, 'its disk is back');
      assert.deepEqual([living.condition(id)?.state, living.condition(id)?.epoch], ['doubted', epoch]);
      await living.changeSources([change(store, id, {}, { epoch })]);
      assert.equal(living.condition(id), undefined);
    });
  });

  it('are batches of 500', async () => {
    await withStore(folder, async (store, level) => {
      await store.createEntry(
        plan(
          'A',
          [file('T/a')],
          Array.from({ length: 1100 }, (_, i) => source(`${i}`)),
        ),
      );
      const ids: number[] = [];
      for await (const page of store.sources()) ids.push(...page.map(({ id }) => id));
      const count = batches(level);
      const changes = ids.map((id) => change(store, id, { path: Buffer.from(`/new/${id}`) }));
      assert.equal((await store.living.changeSources(changes)).length, 1100);
      assert.deepEqual(count, { synced: 3, others: 0 });
      assert.equal((await below(store, '/new')).length, 1100);
      assert.equal((await below(store, '/disk')).length, 0);
    });
  });

  it('are whole or not at all after kill -9', { timeout: 120_000 }, async () => {
    const child = fileURLToPath(new URL('moved-sources.js', import.meta.url));
    const states = new Set<number>();
    for (let round = 0; round < 8; round++) {
      const server = spawn(process.execPath, [child, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
      // After a batch, somewhere in the next one.
      await once(server.stdout, 'data');
      await sleep((round * 7) % 30);
      server.kill('SIGKILL');
      await once(server, 'exit');
      await withStore(folder, async (store) => {
        const { living } = store;
        let all: number | undefined;
        for (let i = 0; i < COUNT; i++) {
          const at = [0, 1, 2].flatMap((state) => living.sourcesAt(place(i, state)).map((id) => ({ id, state })));
          assert.equal(at.length, 1, `source ${i} is recorded at ${at.length} paths`);
          const { id, state } = at[0]!;
          all ??= state;
          assert.equal(state, all, 'a batch was torn');
          const record = store.source(id)!;
          assert.deepEqual(record.path, place(i, state));
          assert.equal(record.ctimeNs, BigInt(state));
          assert.deepEqual(living.sourcesByHandle(record.handle!, 'uuid:1'), [id]);
          assert.equal(living.condition(id)?.reason, state === 2 ? 'state 2' : undefined);
          const last = living.story(id).at(-1);
          if (last === undefined) assert.equal(state, 0);
          else assert.deepEqual([last.to, last.how], [record.path, `state ${state}`]);
        }
        states.add(all!);
      });
    }
    assert.ok(states.size > 1, 'it was always killed in the same state');
  });
});

describe('a store of format 3', () => {
  const count = 1300;

  /** Makes a store, with sources as format 3 recorded them. */
  async function older(folder: string): Promise<void> {
    await withStore(folder, async (store, level) => {
      const sources = Array.from({ length: count }, (_, i) => ({
        ...source(`folder/${i}`),
        ctimeNs: undefined,
        mtimeNs: 1_500_000n,
      }));
      await store.createEntry(plan('A', [file('T/a')], sources));
      for (let id = 0; id < count; id++) {
        const { path, dev, ino, size } = store.source(id)!;
        const record = new Writer().bytes(path).double(dev).double(Number(ino)).integer(size).double(1.5);
        await level.put(sourceKey(id), record.finish());
        await level.del(pathKey(path));
      }
      await level.put(VERSION_KEY, new Writer().integer(3).finish());
    });
  }

  it('gets the keys of its sources in the background, and goes on after a restart', async () => {
    const folder = temporaryFolder('format-3');
    await older(folder);
    await withStore(folder, async (store, level) => {
      assert.equal(level.getSync(VERSION_KEY)?.[0], FORMAT);
      assert.ok(level.getSync(KEYING_KEY) !== undefined);
      // At once: it waits for the keys. One source is changed and one removed meanwhile.
      const listing = below(store, '/disk/folder');
      const changing = store.living.changeSources([change(store, count - 1, { path: Buffer.from('/new') })]);
      assert.equal((await listing).length, count - 1);
      assert.deepEqual(await changing, [count - 1]);
      await store.recovered;
      assert.equal(level.getSync(KEYING_KEY), undefined);
    });
    const begun = temporaryFolder('format-3');
    await older(begun);
    // Closed at once: it stops after a slice.
    await withStore(begun, async () => {});
    await withStore(begun, async (store, level) => {
      assert.ok(level.getSync(KEYING_KEY) !== undefined);
      assert.equal((await below(store, '/disk/folder')).length, count);
      await store.removeEntry(hashOf('A'));
      assert.equal(await letters(level), 'CIVg', 'no key of an older record stays');
    });
  });
});
