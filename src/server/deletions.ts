/** Counts the files of an entry that were deleted in the mount, and the bytes that are not served since. */
import { GAP } from '../extent/extent.ts';
import type { Entry } from '../store/entries/entry.ts';
import type { Store } from '../store/store.ts';
import { verifiedBytes } from './downloads.ts';
import { EntryCounts } from './entry-counts.ts';

export interface Deletion {
  /** Files that have no name in the mount, and no client's file in their place. */
  readonly files: number;
  /** Bytes of mapped files that were deleted, or that a client's file has the name of. */
  readonly mappedBytes: number;
  /** The same of files that clients downloaded. */
  readonly downloadedBytes: number;
  /** The bytes of both that clients have downloaded again since. */
  readonly againBytes: number;
}

const NONE: Deletion = { files: 0, mappedBytes: 0, downloadedBytes: 0, againBytes: 0 };

export class Deletions {
  readonly #store: Store;
  readonly #counts: EntryCounts<Deletion>;

  constructor(store: Store) {
    this.#store = store;
    this.#counts = new EntryCounts(store);
  }

  /** Counts again when names or pieces of the entry have changed. */
  async of(entry: Entry): Promise<Deletion> {
    const version = this.#store.whiteoutsVersion(entry);
    if (version !== undefined)
      return await this.#counts.of(entry, [version], async (map) => await this.#count(entry, map));
    this.#counts.forget(entry);
    return NONE;
  }

  async #count({ infoHash, pieceLength }: Entry, map: Buffer): Promise<Deletion> {
    let [files, mappedBytes, downloadedBytes, againBytes] = [0, 0, 0, 0];
    for await (const { state, mode, base, torrentOffset } of this.#store.whiteouts(infoHash)) {
      if (state === 'deleted') files++;
      for (const { offset, length, source } of base) {
        if (source === GAP) continue;
        if (mode === 'downloaded') downloadedBytes += length;
        else mappedBytes += length;
        if (torrentOffset !== undefined) againBytes += verifiedBytes(map, pieceLength, torrentOffset + offset, length);
      }
    }
    return { files, mappedBytes, downloadedBytes, againBytes };
  }
}
