import assert from 'node:assert/strict';
import { existsSync, renameSync, rmSync } from 'node:fs';
import { beforeEach, describe, it } from 'node:test';
import { PinAges, type PinAgesParts } from '../../../src/server/protect/pin-ages.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { Library, moveTo, type OpenLibrary, sourceAt } from './library.ts';

const NAMES = ['first', 'second', 'third'] as const;

describe('pins whose originals are gone', () => {
  let library: Library;
  beforeEach(async () => {
    library = new Library(temporaryFolder('pin-ages'));
    await library.open(async (open) => {
      for (const name of [...NAMES, 'there']) {
        const made = await open.pinSource.pin(await library.add(open.store, name), 'hardlink');
        assert.equal(made.kind, 'pinned');
      }
    });
    // Each is gone for longer than the next one.
    for (const name of NAMES) {
      await library.open(async (open) => {
        await library.mapToPin(open, name);
        rmSync(library.film(name));
      });
      await looked({ protectDays: Number.POSITIVE_INFINITY });
    }
  });

  /** What is let go by the looks of a server that starts. */
  async function looked(
    parts: { readonly protectDays: number } & Partial<Pick<PinAgesParts, 'room'>>,
    before: (open: OpenLibrary) => Promise<void> = async () => {},
  ): Promise<{ readonly gone: string[]; readonly said: string[]; readonly closed: number[] }> {
    return await library.open(async (open) => {
      const { store, pins, table, released, records, said, logger } = open;
      await before(open);
      const gone: string[] = [];
      const closed: number[] = [];
      const { protectDays, room } = parts;
      const ages = new PinAges({
        store,
        config: { protectDays },
        pins,
        table,
        released,
        close: (id) => void closed.push(id),
        noteDeleted(id) {
          assert.equal(store.living.condition(id)?.state, 'healing');
          const path = store.source(id)!.path.toString();
          assert.equal(existsSync(path), false);
          gone.push(path.split('/').at(-1)!);
        },
        ...(room && { room }),
        logger,
      });
      await ages.start(records.then((found) => found && table.load(found)));
      await ages.close();
      return { gone: gone.toSorted(), said, closed };
    });
  }

  it('go after protect_days, and those of files that are there stay', async () => {
    const { gone, said, closed } = await looked({ protectDays: 0 });
    assert.deepEqual(gone, [...NAMES]);
    assert.equal(closed.length, 3);
    assert.equal(said.filter((line) => line.includes('its original is gone for 0 day(s)')).length, 3);
    assert.deepEqual((await looked({ protectDays: 0 })).gone, []);
  });

  it('go when the disk is nearly full, the oldest first, and no more than it takes', async () => {
    const disk = 1e9;
    const roomLike = (free: number) => ({ protectDays: 14, room: async () => ({ total: disk, free }) });
    assert.deepEqual((await looked(roomLike(0.05 * disk))).gone, []);
    // What was deleted is not seen to be free at once.
    assert.deepEqual((await looked(roomLike(0.05 * disk - 100))).gone, ['first']);
    assert.deepEqual((await looked(roomLike(0.05 * disk - 110_000))).gone, ['second', 'third']);
  });

  it('go as well when the original lies on another disk, which loses nothing', async () => {
    const path = await library.open(async ({ store, pinSource }) => {
      const id = await library.add(store, 'moved');
      await moveTo(store, id, 'uuid:one');
      assert.equal((await pinSource.pin(id, 'hardlink')).kind, 'pinned');
      await moveTo(store, id, 'uuid:two');
      return store.source(store.living.pinsOf(id)[0]!)!.path;
    });
    const forever = { protectDays: Number.POSITIVE_INFINITY };
    assert.deepEqual((await looked(forever)).closed, []);
    assert.equal(existsSync(path), true);
    const { gone, closed, said } = await looked({ protectDays: 0 });
    assert.deepEqual([gone, closed.length, existsSync(path)], [[...NAMES], 4, false]);
    assert.equal(said.filter((line) => line.includes('its original is on another disk for 0 day(s)')).length, 1);
    await library.open(async ({ store }) => {
      const id = sourceAt(store, library.film('moved'));
      assert.equal(store.living.condition(id), undefined);
      assert.deepEqual(store.living.pinsOf(id), []);
    });
  });

  it('stay on a disk that was released', async () => {
    const { gone, said } = await looked({ protectDays: 0 }, async ({ released }) => {
      released.set([Buffer.from(library.disk)]);
    });
    assert.deepEqual([gone, said], [[], []]);
  });

  it('stay on a disk that is away', async () => {
    renameSync(library.disk, `${library.disk}-away`);
    assert.deepEqual((await looked({ protectDays: 0 })).gone, []);
    renameSync(`${library.disk}-away`, library.disk);
    assert.deepEqual((await looked({ protectDays: 0 })).gone, [...NAMES]);
  });
});
