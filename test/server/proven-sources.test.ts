/** Sources are trusted again once all their pieces are proven, whoever proved them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLogger } from '../../src/logger.ts';
import { EntryHealths } from '../../src/server/health/entry-health.ts';
import { ProvenSources } from '../../src/server/proven-sources.ts';
import { ScrubWork } from '../../src/server/scrub-work.ts';
import type { Entry } from '../../src/store/entries/entry.ts';
import type { Store } from '../../src/store/store.ts';
import { temporaryFolder } from '../harness/folder.ts';
import { file, hashOf, plan, source, withStore } from '../store/fixture.ts';

/** The file that lies in each source's place now. */
const TOUCHED = { dev: 1, ino: 50n, size: 100, mtimeNs: 9_500_000n, ctimeNs: 9_500_000n };
const ALL = Buffer.from([0b1110_0000]);
const NONE = Buffer.from([0]);

class Scene {
  readonly store: Store;
  readonly noted: number[] = [];
  readonly warnings: string[] = [];
  proven: ProvenSources;

  constructor(store: Store) {
    this.store = store;
    this.proven = this.begin();
  }

  begin(store = this.store): ProvenSources {
    const logger = { ...silentLogger, warn: (text: string) => void this.warnings.push(text) };
    return new ProvenSources({ store, logger, note: (id) => this.noted.push(id) });
  }

  /** An entry of pieces of 10 bytes, of which each is of one source. */
  async add(name: string, sources: readonly string[]): Promise<Entry> {
    const files = sources.map((one, i) => file(`t/${one}`, i));
    const records = sources.map((one) => source(one));
    return await this.store.createEntry({ ...plan(name, files, records), pieceLength: 10 });
  }

  id(name: string): number {
    const [id] = this.store.living.sourcesAt(Buffer.from(`/disk/${name}`));
    assert.ok(id !== undefined, name);
    return id;
  }

  doubt(name: string, observed: object = { observed: TOUCHED }): void {
    this.store.living.setCondition(this.id(name), { state: 'doubted', reason: 'was modified', ...observed });
  }

  /** Has `verify` or `scrub` report all pieces of an entry. */
  async scrubbed(entry: Entry): Promise<void> {
    const healths = new EntryHealths({ store: this.store, disks: [], hasClient: false, logger: silentLogger });
    await healths.settled();
    const work = new ScrubWork(this.store, healths, silentLogger, () => {});
    work.proven(entry, { since: 0, epoch: this.store.living.epoch, good: ALL, bad: NONE });
    healths.close();
  }

  state(name: string): string {
    return this.store.living.condition(this.id(name))?.state ?? 'trusted';
  }
}

async function inScene(run: (scene: Scene) => Promise<void>): Promise<void> {
  await withStore(temporaryFolder('proven-sources'), async (store) => {
    const scene = new Scene(store);
    await run(scene);
    await scene.proven.close();
  });
}

describe('a doubted source', () => {
  it('is trusted once scrub has proven all its pieces, as the file that was doubted', async () => {
    await inScene(async (scene) => {
      const entry = await scene.add('A', ['a', 'bb']);
      scene.doubt('a');
      scene.doubt('bb');
      await scene.proven.look();
      assert.deepEqual([scene.state('a'), scene.state('bb')], ['doubted', 'doubted']);
      await scene.scrubbed(entry);
      await scene.proven.look();
      assert.deepEqual([scene.state('a'), scene.state('bb')], ['trusted', 'trusted']);
      assert.equal(scene.store.source(scene.id('a'))?.mtimeNs, TOUCHED.mtimeNs);
    });
  });

  it('stays doubted while somebody may have it open for writing', async () => {
    await inScene(async (scene) => {
      const entry = await scene.add('A', ['a', 'bb']);
      const doubt = { state: 'doubted', reason: 'was opened for writing', observed: TOUCHED } as const;
      const { living } = scene.store;
      const { epoch } = living.setCondition(scene.id('a'), { ...doubt, opened: true });
      await scene.scrubbed(entry);
      await scene.proven.look();
      assert.equal(scene.state('a'), 'doubted');
      // It can have no lease any more.
      assert.equal(living.setCondition(scene.id('a'), doubt).epoch, epoch);
      await scene.proven.look();
      assert.equal(scene.state('a'), 'trusted');
    });
  });

  it('has to be proven in each entry that uses it', async () => {
    await inScene(async (scene) => {
      const one = await scene.add('A', ['a', 'bb']);
      const other = await scene.add('B', ['a', 'ccc']);
      assert.equal((await scene.store.living.usersOf(scene.id('a'))).length, 2);
      scene.doubt('a');
      await scene.scrubbed(one);
      await scene.proven.look();
      assert.equal(scene.state('a'), 'doubted');
      await scene.scrubbed(other);
      await scene.proven.look();
      assert.equal(scene.state('a'), 'trusted');
    });
  });

  it('is trusted when the entry is removed in which it was not proven', async () => {
    await inScene(async (scene) => {
      const one = await scene.add('A', ['a', 'bb']);
      await scene.add('B', ['a', 'ccc']);
      scene.doubt('a');
      await scene.scrubbed(one);
      await scene.proven.look();
      await scene.store.removeEntry(hashOf('B'));
      // At the next start at the latest.
      await scene.proven.start();
      await scene.proven.look();
      assert.equal(scene.state('a'), 'trusted');
    });
  });

  it('that was proven before a restart is trusted after it', async () => {
    await inScene(async (scene) => {
      const entry = await scene.add('A', ['a', 'bb']);
      scene.doubt('a');
      await scene.proven.close();
      await scene.scrubbed(entry);
      scene.proven = scene.begin();
      await scene.proven.look();
      assert.equal(scene.state('a'), 'doubted', 'no proof came');
      await scene.proven.start();
      await scene.proven.look();
      assert.equal(scene.state('a'), 'trusted');
    });
  });

  it('that was proven while its case was open is trusted when it is only doubted again', async () => {
    await inScene(async (scene) => {
      const entry = await scene.add('A', ['a']);
      scene.doubt('a');
      scene.store.living.setCondition(scene.id('a'), { state: 'healing', reason: 'cannot be read' });
      await scene.scrubbed(entry);
      await scene.proven.look();
      assert.equal(scene.state('a'), 'healing');
      scene.doubt('a');
      await scene.proven.look();
      assert.equal(scene.state('a'), 'trusted');
    });
  });

  it('is looked at if nobody knows which file was proven', async () => {
    await inScene(async (scene) => {
      const entry = await scene.add('A', ['a']);
      scene.doubt('a', {});
      await scene.scrubbed(entry);
      await scene.proven.look();
      assert.deepEqual([scene.state('a'), scene.noted], ['doubted', [scene.id('a')]]);
    });
  });

  it('stays doubted if it changes while its proofs are looked at', async () => {
    await inScene(async (scene) => {
      const entry = await scene.add('A', ['a']);
      scene.doubt('a');
      await scene.scrubbed(entry);
      const { epoch = 0 } = scene.store.living.condition(scene.id('a')) ?? {};
      const looked = scene.proven.look();
      await Promise.resolve();
      await Promise.resolve();
      scene.doubt('a', { observed: { ...TOUCHED, mtimeNs: 9_600_000n } });
      await looked;
      assert.equal(scene.state('a'), 'doubted');
      const was = scene.store.source(scene.id('a')) ?? assert.fail();
      const change = { id: scene.id('a'), was, now: { ...was, ...TOUCHED }, trusted: true, epoch };
      assert.deepEqual(await scene.store.living.changeSources([change]), []);
    });
  });
});

describe('an entry that cannot be looked at', () => {
  it('holds up no other, and is looked at again', async () => {
    await inScene(async (scene) => {
      const entries = [];
      for (const name of ['a', 'bb', 'ccc']) entries.push(await scene.add(name.toUpperCase(), [name]));
      let fails = true;
      const broken = new Proxy(scene.store, {
        get(store, key) {
          const value: unknown = Reflect.get(store, key, store);
          if (key === 'entryById' && fails) {
            return async (id: number) => {
              if (id === store.entryId(hashOf('A'))) throw new Error('it is damaged');
              return await store.entryById(id);
            };
          }
          return typeof value === 'function' ? value.bind(store) : value;
        },
      });
      await scene.proven.close();
      scene.proven = scene.begin(broken);
      for (const [i, name] of ['a', 'bb', 'ccc'].entries()) {
        scene.doubt(name);
        await scene.scrubbed(entries[i] ?? assert.fail());
      }
      await scene.proven.look();
      const states = (): string[] => ['a', 'bb', 'ccc'].map((name) => scene.state(name));
      assert.deepEqual(states(), ['doubted', 'trusted', 'trusted']);
      assert.match(scene.warnings.join(), /it is damaged/);
      fails = false;
      await scene.proven.look();
      assert.deepEqual(states(), ['trusted', 'trusted', 'trusted']);
    });
  });
});
