/** The store as `losses.ts` needs it, and the news of losses. */
import type { Store } from '../store/store.ts';
import type { LossStore } from './losses.ts';
import type { Repairs } from './processes/repair.ts';

export function lossStoreOf(store: Store): LossStore {
  return {
    condition: (source) => store.living.condition(source),
    isProven({ ino }, piece, epoch) {
      const entry = store.inode(ino)?.entry;
      return entry !== undefined && store.living.provenAt(entry, piece) >= epoch;
    },
    files: (infoHash) => store.files(infoHash),
    async remap(infoHash, { index, version }, extents) {
      const sources = [...new Set(extents.map(({ source }) => source).filter((source) => source >= 0))];
      return await store.living.remapFile(infoHash, index, {
        was: version,
        extents: extents.map((extent) => ({ ...extent, source: indexOf(sources, extent.source) })),
        sources,
        proven: [],
        since: 0,
        epoch: 0,
        how: 'was lost in part or whole: that is a gap now',
      });
    },
  };
}

/** Zeros and gaps keep their numbers. */
function indexOf(sources: readonly number[], source: number): number {
  return source < 0 ? source : sources.indexOf(source);
}

/** Has the entries repaired whose sources are lost, now and later. Returns a function that ends this. */
export function watchLosses(
  store: Store,
  repairs: Pick<Repairs, 'note'>,
  onError: (error: unknown) => void,
): () => void {
  const note = async (source: number): Promise<void> => {
    for (const id of await store.living.usersOf(source)) {
      const entry = await store.entryById(id);
      if (entry !== undefined) repairs.note(entry.infoHash);
    }
  };
  for (const [source, { state }] of store.living.conditions()) if (state === 'lost') note(source).catch(onError);
  return store.watch({
    conditionChanged(source, before, now) {
      if (now?.state === 'lost' && before?.state !== 'lost') note(source).catch(onError);
    },
  });
}
