/** Finds the records of kept files and of pins when the server starts, in one walk through all sources. */
import type { Store } from '../../store/store.ts';

export interface KeptRecords {
  /** The paths of kept files and pins, by their ids. */
  readonly paths: ReadonlyMap<number, Buffer>;
  /** The sources of which they are spares, by their ids, the oldest first. One may be a spare of none. */
  readonly originals: ReadonlyMap<number, number>;
}

/** Undefined: the walk was stopped. What was not listed must not be deleted. @throws AutotorrentError('STORE') */
export async function findKeptRecords(store: Store, stop: AbortSignal): Promise<KeptRecords | undefined> {
  const { living } = store;
  await store.recovered;
  const paths = new Map<number, Buffer>();
  const originals = new Map<number, number>();
  for await (const page of store.sources()) {
    if (stop.aborted) return undefined;
    for (const { id, path } of page) {
      if (living.isKept(path)) paths.set(id, path);
      for (const kept of living.keptOf(id)) originals.set(kept, id);
    }
  }
  return { paths, originals };
}
