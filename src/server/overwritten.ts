/**
 * Counts the bytes of an entry that clients have cut off, or written over with others: they are not served any more. Where what
 * was written there is verified, it counts as downloaded.
 */
import { type Extent, OVERLAY } from '../extent/extent.ts';
import type { Entry } from '../store/entries/entry.ts';
import type { StoredFile } from '../store/entries/entry-files.ts';
import type { Store } from '../store/store.ts';
import { verifiedBytes } from './downloads.ts';
import { EntryCounts } from './entry-counts.ts';

export interface Overwriting {
  /** Files with bytes that are not served, and that nothing verified replaces. */
  readonly files: number;
  /** Bytes of mapped files that are hidden. */
  readonly mappedBytes: number;
  /** The same of files that clients downloaded. */
  readonly downloadedBytes: number;
  /** The bytes of both that clients wrote anew, and that are verified. */
  readonly againBytes: number;
}

export class Overwritten {
  readonly #store: Store;
  readonly #counts: EntryCounts<Overwriting>;
  /** By the id of an entry: a number that rises with each change of its bytes. */
  readonly #versions = new Map<number, number>();

  constructor(store: Store) {
    this.#store = store;
    this.#counts = new EntryCounts(store);
    store.watch({ bytesChanged: (entry) => this.#versions.set(entry, (this.#versions.get(entry) ?? 0) + 1) });
  }

  /** Counts again when bytes, names or pieces of the entry have changed. */
  async of(entry: Entry): Promise<Overwriting> {
    const version = this.#versions.get(this.#store.entryId(entry.infoHash) ?? -1) ?? 0;
    const changing = [version, this.#store.whiteoutsVersion(entry)];
    return await this.#counts.of(entry, changing, async (map) => await this.#count(entry, map));
  }

  async #count({ infoHash, pieceLength }: Entry, map: Buffer): Promise<Overwriting> {
    let [files, mappedBytes, downloadedBytes, againBytes] = [0, 0, 0, 0];
    for await (const { file, hidden } of this.#store.overwritten(infoHash)) {
      const bytes = sum(hidden);
      if (file.mode === 'downloaded') downloadedBytes += bytes;
      else mappedBytes += bytes;
      const again = verifiedIn(hidden, file, map, pieceLength);
      againBytes += again;
      if (bytes > again) files++;
    }
    return { files, mappedBytes, downloadedBytes, againBytes };
  }

  /**
   * Lists the files of which nothing that clients wrote is verified, so that it can go; and those of which something is, which
   * has to stay.
   */
  async restorable({ infoHash, pieceLength }: Entry): Promise<{ readonly files: string[]; readonly kept: string[] }> {
    const map = this.#store.pieceMap(infoHash) ?? Buffer.alloc(0);
    const [files, kept]: [string[], string[]] = [[], []];
    for await (const { file, hidden } of this.#store.overwritten(infoHash)) {
      if (sum(hidden) <= verifiedIn(hidden, file, map, pieceLength)) continue;
      const written = file.extents.filter(({ source }) => source === OVERLAY);
      (verifiedIn(written, file, map, pieceLength) === 0 ? files : kept).push(file.path.join('/'));
    }
    return { files, kept };
  }
}

type Range = Pick<Extent, 'offset' | 'length'>;

const sum = (ranges: readonly Range[]): number => ranges.reduce((bytes, { length }) => bytes + length, 0);

function verifiedIn(ranges: readonly Range[], { torrentOffset }: StoredFile, map: Buffer, pieceLength: number): number {
  if (torrentOffset === undefined) return 0;
  return ranges.reduce(
    (bytes, { offset, length }) => bytes + verifiedBytes(map, pieceLength, torrentOffset + offset, length),
    0,
  );
}
