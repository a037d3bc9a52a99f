/**
 * The collection in a LevelDB that is open in this process: several indexes answer while one rebuild writes.
 *
 * An open index holds its generation. A rebuild makes a new one; a generation that nobody holds is deleted.
 */
import type { Logger } from '../../logger.ts';
import type { Collection } from '../collection.ts';
import type { CollectionIndex } from '../index.ts';
import type { RebuildRequest, RebuildResult, RebuildWatcher } from '../writer.ts';
import { IndexDatabase, type LevelDatabase } from './index-database.ts';
import { type LocalIndex, openGeneration, readIndexState } from './open-index.ts';
import { Turns } from './turns.ts';

/** The open indexes of one generation share their caches. */
interface Held {
  readonly index: Promise<LocalIndex>;
  holders: number;
}

export class LevelCollection implements Collection {
  readonly #db: LevelDatabase;
  readonly #database: IndexDatabase;
  readonly #held = new Map<number, Held>();
  readonly #turns = new Turns();
  /** The newest generation that was seen. */
  #current = 0;

  /** The caller closes `db`. */
  constructor(db: LevelDatabase) {
    this.#db = db;
    this.#database = new IndexDatabase(db);
  }

  async openIndex(): Promise<CollectionIndex> {
    for (;;) {
      const state = await readIndexState(this.#database);
      const { generation } = state;
      this.#current = Math.max(this.#current, generation);
      const held = this.#held.get(generation) ?? { index: openGeneration(this.#database, state), holders: 0 };
      this.#held.set(generation, held);
      held.holders++;
      try {
        const index = await held.index;
        // A rebuild may have ended before this generation was held, and have deleted it.
        if ((await readIndexState(this.#database)).generation === generation) return this.#holding(index, generation);
      } catch (error) {
        this.#letGo(generation);
        throw error;
      }
      this.#letGo(generation);
    }
  }

  async rebuild(request: RebuildRequest, watcher: RebuildWatcher = {}): Promise<RebuildResult> {
    const { logger, signal } = watcher;
    return await this.#turns.take(
      async () => {
        const { rebuild } = await import('./rebuild.ts');
        try {
          const result = await rebuild(this.#db, { ...request, ...watcher, inUse: () => this.#inUse() });
          this.#current = (await readIndexState(this.#database)).generation;
          return result;
        } finally {
          for (const [generation, { holders }] of this.#held) if (holders === 0) this.#held.delete(generation);
        }
      },
      { signal, onWait: () => waiting(logger) },
    );
  }

  /** Lists the folders of the index that are no disks: users gave them to a rebuild by name. */
  async givenFolders(): Promise<Buffer[]> {
    const state = await this.#database.readState();
    const given = (state?.roots ?? []).filter(({ disk }) => !disk);
    return given.map(({ path }) => Buffer.from(path, 'latin1'));
  }

  /** Waits until nothing writes. The caller closes the open indexes before. */
  async settle(): Promise<void> {
    await this.#turns.idle();
  }

  #inUse(): number[] {
    return [...this.#held].flatMap(([generation, { holders }]) => (holders > 0 ? [generation] : []));
  }

  #holding(index: LocalIndex, generation: number): CollectionIndex {
    let open = true;
    return {
      version: index.version,
      byNameAndSize: (questions) => index.byNameAndSize(questions),
      byName: (questions) => index.byName(questions),
      bySize: (questions) => index.bySize(questions),
      archived: (questions) => index.archived(questions),
      releases: (names) => index.releases(names),
      folders: (names) => index.folders(names),
      byInode: (questions) => index.byInode(questions),
      leftOut: (questions) => index.leftOut(questions),
      awayDisks: (paths) => index.awayDisks(paths),
      known: (paths) => index.known(paths),
      trees: (folders) => index.trees(folders),
      close: async () => {
        if (!open) return;
        open = false;
        this.#letGo(generation);
      },
    };
  }

  #letGo(generation: number): void {
    const held = this.#held.get(generation);
    if (held === undefined || --held.holders > 0) return;
    // The current generation keeps its caches: the next who asks finds them.
    if (generation === this.#current) return;
    void this.#turns.take(() => this.#deleteUnused(), {}).catch(() => {}); // the next rebuild deletes what was left
  }

  async #deleteUnused(): Promise<void> {
    const { generation: current } = await readIndexState(this.#database);
    const unused = [...this.#held].filter(([generation, { holders }]) => holders === 0 && generation !== current);
    if (unused.length === 0) return;
    for (const [generation] of unused) this.#held.delete(generation);
    await this.#database.deleteOthers(new Set([current, ...this.#inUse()]));
  }
}

function waiting(logger: Logger | undefined): void {
  logger?.info('waiting for another command that rebuilds the collection index');
}
