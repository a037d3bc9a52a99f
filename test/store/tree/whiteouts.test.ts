/** Files of a torrent that were deleted in the mount: how the store knows them, whatever else happens to their names. */
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { StoreLevel } from '../../../src/store/records/database.ts';
import { VERSION_KEY, WHITEOUT_MIGRATION_KEY, WHITEOUTS } from '../../../src/store/records/key.ts';
import { FORMAT, Writer } from '../../../src/store/records/record.ts';
import type { Store } from '../../../src/store/store.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { file, hashOf, inoOf, plan, source, withStore } from '../fixture.ts';

const A = hashOf('A');
const nobody = { isOpen: () => false, doom() {} };
const quiet = { isOpen: () => false, hold: () => () => {} };
const fresh = { mode: 0o644, owner: { uid: 0, gid: 0 } };

const create = async (store: Store): Promise<void> => {
  const link = file('T/link', 0, { symlink: ['a'], length: 0, extents: [] });
  await store.createEntry(plan('A', [file('T/a'), file('T/sub/b'), file('T/c'), link], [source('x')]));
};
/** Deletes a file; `uses` says who has it open. */
const unlink = async (store: Store, path: string, uses = nobody): Promise<void> => {
  const at = path.lastIndexOf('/');
  await store.names.unlink({ parent: inoOf(store, path.slice(0, at)), name: path.slice(at + 1) }, uses);
};
const whiteouts = async (store: Store): Promise<string[]> => {
  const found: string[] = [];
  for await (const { path, state } of store.whiteouts(A)) found.push(`${path.join('/')} ${state}`);
  return found;
};
const version = (store: Store): number | undefined => store.whiteoutsVersion(store.entry(A) ?? assert.fail());
const keys = async (level: StoreLevel): Promise<number> => (await level.keys(WHITEOUTS).all()).length;

describe('whiteouts', () => {
  let folder: string;
  beforeEach(() => {
    folder = temporaryFolder('whiteouts');
  });

  it('are files and links without a name, also of a store that is opened again', async () => {
    await withStore(folder, async (store) => {
      await create(store);
      assert.equal(version(store), undefined);
      for (const path of ['A/T/sub/b', 'A/T/link']) await unlink(store, path);
      assert.deepEqual(await whiteouts(store), ['T/sub/b deleted', 'T/link deleted']);
      const before = version(store) ?? assert.fail();
      await unlink(store, 'A/T/a');
      assert.ok((version(store) ?? 0) > before);
    });
    await withStore(folder, async (store, level) => {
      assert.deepEqual(await whiteouts(store), ['T/a deleted', 'T/sub/b deleted', 'T/link deleted']);
      await store.removeEntry(A);
      assert.equal(await keys(level), 0);
      await create(store);
      assert.equal(version(store), undefined);
    });
  });

  it('have no key once they are back, all or some', async () => {
    await withStore(folder, async (store, level) => {
      await create(store);
      for (const path of ['A/T/a', 'A/T/sub/b', 'A/T/c']) await unlink(store, path);
      await store.discard(A, ['T/c'], quiet);
      assert.deepEqual(await whiteouts(store), ['T/a deleted', 'T/sub/b deleted']);
      // A file that a client made stays.
      await store.names.makeFile({ parent: inoOf(store, 'A/T'), name: 'made' }, fresh);
      const { files, kept } = await store.discard(A, 'deleted', quiet);
      assert.deepEqual([files, kept], [2, []]);
      assert.deepEqual(await whiteouts(store), []);
      assert.ok(inoOf(store, 'A/T/made') > 0 && inoOf(store, 'A/T/sub/b') > 0);
      assert.equal(await keys(level), 0);
    });
  });

  it('are files that lost their name while they were open, and those that another file replaced', async () => {
    await withStore(folder, async (store, level) => {
      await create(store);
      const ino = inoOf(store, 'A/T/a');
      await unlink(store, 'A/T/a', { ...nobody, isOpen: () => true });
      assert.deepEqual(await whiteouts(store), ['T/a deleted']);
      await store.names.lastClose(ino, nobody);
      assert.deepEqual(await whiteouts(store), ['T/a deleted']);
      store.bytes.release(await store.names.makeFile({ parent: inoOf(store, 'A/T'), name: 'a' }, fresh));
      assert.deepEqual(await whiteouts(store), ['T/a replaced']);
      const before = version(store);
      assert.deepEqual((await store.discard(A, 'deleted', quiet)).files, 0);
      await unlink(store, 'A/T/a');
      assert.notEqual(version(store), before);
      assert.deepEqual(await whiteouts(store), ['T/a deleted']);
      assert.equal(await keys(level), 1);
    });
  });

  it('are renamed away by a client that puts its own file there', async () => {
    await withStore(folder, async (store) => {
      await create(store);
      const parent = inoOf(store, 'A/T');
      store.bytes.release(await store.names.makeFile({ parent, name: 'a.part' }, fresh));
      const rename = { noReplace: false, uses: nobody };
      await store.names.rename({ parent, name: 'a.part' }, { parent, name: 'a' }, rename);
      await store.names.rename({ parent, name: 'c' }, { parent, name: 'c.moved' }, rename);
      assert.deepEqual(await whiteouts(store), ['T/a replaced']);
    });
  });

  it('get their keys in a store of format 4', async () => {
    await withStore(folder, async (store, level) => {
      await create(store);
      for (const path of ['A/T/a', 'A/T/link']) await unlink(store, path);
      for (const key of await level.keys(WHITEOUTS).all()) await level.del(key);
      await level.put(VERSION_KEY, new Writer().integer(4).finish());
    });
    await withStore(folder, async (store, level) => {
      assert.equal(level.getSync(VERSION_KEY)?.[0], FORMAT);
      await store.recovered;
      assert.deepEqual(await whiteouts(store), ['T/a deleted', 'T/link deleted']);
      assert.equal(level.getSync(WHITEOUT_MIGRATION_KEY), undefined);
    });
    await withStore(folder, async (store) => {
      assert.deepEqual(await whiteouts(store), ['T/a deleted', 'T/link deleted']);
    });
  });
});
