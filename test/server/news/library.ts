/** A store whose sources lie in a folder, and the watch over it. */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { silentLogger } from '../../../src/logger.ts';
import { openCLibrary } from '../../../src/native/c-library.ts';
import { DescriptorBudget } from '../../../src/native/descriptor-budget.ts';
import type { NewsStore } from '../../../src/server/news/parts.ts';
import { type WatchingParts, WatchingSources } from '../../../src/server/news/watching.ts';
import { openFileSystems } from '../../../src/source/file-system.ts';
import type { RecordedSource } from '../../../src/source/identity.ts';
import { Placing } from '../../../src/source/placing.ts';
import { SourceAccess } from '../../../src/source/source-access.ts';
import { Store } from '../../../src/store/store.ts';
import { DiskUse } from '../../../src/watch/disk-use.ts';
import { waitUntil } from '../../harness/daemon.ts';
import { temporaryFolder } from '../../harness/folder.ts';
import { fileOf, identityAt, planOf, sourceOf } from '../../harness/plans.ts';
import { openLevel } from '../../harness/volume.ts';

export interface LibraryOptions {
  readonly watch?: WatchingParts['watch'];
  /** False: the watch learns of no source from the list of all. */
  readonly listed?: boolean;
}

export class Library {
  readonly base: string;
  readonly store: Store;
  readonly watching: WatchingSources;
  /** Cases that were noted, by source, and whether a deletion was seen. */
  readonly noted = new Map<number, boolean>();
  readonly #close: () => Promise<void>;
  readonly #use: DiskUse;
  #entries = 0;

  private constructor(
    base: string,
    store: Store,
    close: () => Promise<void>,
    { watch, listed = true }: LibraryOptions,
  ) {
    this.base = base;
    this.store = store;
    const library = openCLibrary(silentLogger);
    const access = new SourceAccess({ disks: [base] });
    this.#use = new DiskUse({ disks: async () => await access.fileSystems.disksMounted() });
    this.watching = new WatchingSources({
      store: listed ? store : unlisted(store),
      access,
      library,
      use: this.#use,
      descriptors: DescriptorBudget.ofProcess(),
      logger: silentLogger,
      cases: {
        note: (id, seen) => void this.noted.set(id, seen?.seenDeleted === true || this.noted.get(id) === true),
        lookAgain() {},
      },
      ...(watch === undefined ? {} : { watch }),
    });
    this.watching.start();
    this.#close = async () => {
      await this.watching.close();
      await close();
    };
  }

  /** `base`: the disk of the configuration. */
  static async open(base: string, options: LibraryOptions = {}): Promise<Library> {
    const statePath = temporaryFolder('news-state');
    const level = await openLevel(statePath);
    const store = await Store.open(level, { logger: silentLogger, statePath });
    const close = async (): Promise<void> => {
      await store.close();
      await level.close();
    };
    return new Library(base, store, close, options);
  }

  async close(): Promise<void> {
    await this.#close();
  }

  at(...parts: readonly string[]): string {
    return join(this.base, ...parts);
  }

  /** Makes files and records them. Gives the ids of their sources. */
  async add(...names: readonly string[]): Promise<number[]> {
    const placing = new Placing(openFileSystems(openCLibrary(silentLogger)), openCLibrary(silentLogger));
    const sources = [];
    for (const name of names) {
      await fs.mkdir(join(this.at(name), '..'), { recursive: true });
      // Each has a size and an mtime of its own.
      await fs.writeFile(this.at(name), `${name} `.repeat(100 + this.#entries));
      const place = placing.placeOf(Buffer.from(this.at(name)), identityAt(this.at(name)).dev);
      sources.push({ ...sourceOf(this.at(name)), ...place });
    }
    const files = names.map((_, i) => fileOf(['t', String(i)], [{ length: 100, source: i, sourceOffset: 0 }]));
    await this.store.createEntry(planOf(`entry ${this.#entries++}`, sources, files));
    return names.map((name) => {
      const [id] = this.store.living.sourcesAt(Buffer.from(this.at(name))).slice(-1);
      assert.ok(id !== undefined, name);
      return id;
    });
  }

  /** Has a reader find sources as recorded, and waits until the watch has seen them so. */
  async see(ids: readonly number[]): Promise<void> {
    for (const id of ids) {
      this.watching.asRecorded(id);
      await waitUntil(`source ${id} is seen`, async () => this.watching.isSeen(id), { limitMs: 20_000 });
    }
  }

  record(id: number): RecordedSource {
    const record = this.store.source(id);
    assert.ok(record !== undefined);
    return record;
  }

  /** Where a source is recorded, and its state. */
  stateOf(id: number): string {
    const path = this.record(id).path.toString('latin1').replace(`${this.base}/`, '');
    return `${path}: ${this.store.living.condition(id)?.state ?? 'trusted'}`;
  }

  async until(id: number, state: string, limitMs = 20_000): Promise<void> {
    try {
      await waitUntil(state, async () => this.stateOf(id) === state, { limitMs });
    } catch (error) {
      const { reason } = this.store.living.condition(id) ?? {};
      throw new Error(`not "${state}" but "${this.stateOf(id)}" (${reason})`, { cause: error });
    }
  }
}

function unlisted(store: Store): NewsStore {
  return {
    source: (id) => store.source(id),
    async *sources() {},
    watch: (watcher) => store.watch(watcher),
    living: store.living,
  };
}
