/** The index that a rebuild begins with: its state and its folders, as far as they can be read. */
import { AutotorrentError } from '../../errors.ts';
import type { FolderRecord } from '../scan/folder-record.ts';
import { FolderStore } from './folder-store.ts';
import { NONE } from './folder-table.ts';
import type { IndexDatabase, IndexState } from './index-database.ts';

export class OldIndex {
  /** Undefined: there is none, or a damaged one that is replaced. */
  readonly state: IndexState | undefined;
  readonly store: FolderStore | undefined;
  /** Damage is no error: a new index is made, whatever this one has. */
  readonly #isReplaced: boolean;

  /** @throws AutotorrentError('INDEX') where it is damaged or of another version, and is not replaced */
  static async open(database: IndexDatabase, isReplaced: boolean): Promise<OldIndex> {
    const state = await unlessDamaged(isReplaced, async () => await database.readState());
    const store =
      state === undefined
        ? undefined
        : await unlessDamaged(isReplaced, async () => await FolderStore.open(database, state.generation, state.ids));
    return new OldIndex(state, store, isReplaced);
  }

  private constructor(state: IndexState | undefined, store: FolderStore | undefined, isReplaced: boolean) {
    this.state = state;
    this.store = store;
    this.#isReplaced = isReplaced;
  }

  /** Reads records, in the order of the ids; undefined for NONE and for folders that it does not have. */
  async records(ids: readonly number[]): Promise<(FolderRecord | undefined)[]> {
    const { store } = this;
    if (store === undefined) return ids.map(() => undefined);
    const known = ids.filter((id) => id !== NONE && store.row(id) !== undefined);
    const records = await unlessDamaged(this.#isReplaced, async () => await store.records(known));
    return ids.map((id) => records?.get(id));
  }

  /** Finds the ids that the subfolders of a new record have here. Undefined if none has one. `old`: the record of `id`. */
  subfolderIds(
    id: number,
    record: FolderRecord,
    old: FolderRecord | undefined,
  ): ((name: string, index: number) => number) | undefined {
    if (old === undefined || old.subfolders === 0) return undefined;
    const { store } = this;
    const row = store?.row(id);
    if (store === undefined || row === undefined) return undefined;
    const first = row.firstSubfolder;
    const there = new Set<number>();
    for (let i = 0; i < old.subfolders; i++) if (store.row(first + i) !== undefined) there.add(first + i);
    const idOf = (index: number): number => (there.has(first + index) ? first + index : NONE);
    if (record === old) return (_, index) => idOf(index);
    const byName = new Map(Array.from({ length: old.subfolders }, (_, i) => [old.subfolderName(i), idOf(i)]));
    return (name) => byName.get(name) ?? NONE;
  }
}

async function unlessDamaged<T>(isReplaced: boolean, read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (isReplaced && error instanceof AutotorrentError && error.code === 'INDEX') return undefined;
    throw error;
  }
}
