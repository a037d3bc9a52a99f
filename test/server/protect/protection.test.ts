import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { type EntryPins, Protection } from '../../../src/server/protect/protection.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { identityAt, planOf } from '../../harness/plans.ts';
import { Library, moveTo, type OpenLibrary } from './library.ts';

describe('protect', () => {
  let library: Library;
  beforeEach(() => {
    library = new Library(temporaryFolder('protection'));
  });

  /** Pins the sources of an entry, as the command does. */
  async function protect({ store, pins, pinSource, logger }: OpenLibrary, entry: string): Promise<EntryPins> {
    const config = { disks: [library.disk], protect: 'hardlink', protectOf: new Map() } as const;
    const protection = new Protection({ store, config, pins, pinSource, isOwn: () => false, logger });
    try {
      return await protection.protect(planOf(entry, [], []).infoHash);
    } finally {
      await protection.close();
    }
  }

  const pinFiles = (): string[] =>
    readdirSync(join(library.disk, '.autotorrent'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('/film'),
    );

  it('pins a source once, for all its entries, and again when the pin was deleted', async () => {
    await library.open(async (open) => {
      const { store } = open;
      const id = await library.add(store, 'film');
      assert.equal((await protect(open, 'film')).made, 1);
      await library.add(store, 'film', 'another');
      const [pin = -1] = store.living.pinsOf(id);
      assert.deepEqual(await store.living.usersOf(pin), await store.living.usersOf(id));
      assert.deepEqual(await protect(open, 'another'), { sources: 1, bytes: 100_000, made: 0, off: 0, unpinned: [] });
      rmSync(store.source(pin)!.path);
      // The link that is gone has changed the ctime: the healer decides first what that means.
      assert.deepEqual(
        (await protect(open, 'another')).unpinned.map(({ failed }) => failed),
        [false],
      );
      assert.deepEqual(store.living.pinsOf(id), [pin]);
      const { spares: _, ...was } = store.source(id)!;
      const now = { ...was, ...identityAt(library.film('film')) };
      await store.living.changeSources([{ id, was: store.source(id)!, now, trusted: true }]);
      assert.equal((await protect(open, 'another')).made, 1);
      assert.equal(store.source(pin), undefined);
      assert.equal(pinFiles().length, 1);
      assert.deepEqual(
        open.pins.usage().map(({ files }) => files),
        [1],
      );
    });
  });

  it('pins a source that was moved to another disk there, and deletes the old pin then', async () => {
    await library.open(async (open) => {
      const { store } = open;
      const id = await library.add(store, 'film');
      await moveTo(store, id, 'uuid:one');
      assert.equal((await protect(open, 'film')).made, 1);
      const [old = -1] = store.living.pinsOf(id);
      const { path } = store.source(old)!;
      await moveTo(store, id, 'uuid:two');
      assert.equal((await protect(open, 'film')).made, 1);
      const [pin = -1, more] = store.living.pinsOf(id);
      assert.equal(more, undefined);
      assert.equal(store.source(pin)?.disk, 'uuid:two');
      assert.equal(store.source(old), undefined);
      await open.pins.missing([path]);
      assert.equal(existsSync(path), false);
      assert.equal(pinFiles().length, 1);
    });
  });

  it('leaves alone the pins of a source that is not there', async () => {
    await library.open(async (open) => {
      const { store } = open;
      const id = await library.add(store, 'film');
      await protect(open, 'film');
      const before = store.living.pinsOf(id);
      rmSync(join(library.disk, '.autotorrent'), { recursive: true });
      rmSync(library.film('film'));
      const { unpinned } = await protect(open, 'film');
      assert.deepEqual(
        unpinned.map(({ failed }) => failed),
        [false],
      );
      assert.deepEqual(store.living.pinsOf(id), before);
    });
  });
});
