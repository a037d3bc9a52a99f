/** Keeps what was counted of an entry until the entry, its pieces, or what else the count depends on changes. */
import type { Entry } from '../store/entries/entry.ts';
import type { Store } from '../store/store.ts';

interface Counted<T> {
  /** Numbers that rise with each change. */
  readonly versions: readonly (number | undefined)[];
  readonly map: Buffer;
  readonly count: T;
}

export class EntryCounts<T> {
  readonly #store: Store;
  /** By info hash. */
  readonly #counted = new Map<string, Counted<T>>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Gives the count; `count` gets the piece map. */
  async of(
    { infoHash, createdMs, missingBytes }: Entry,
    changing: readonly (number | undefined)[],
    count: (map: Buffer) => Promise<T>,
  ): Promise<T> {
    const versions = [createdMs, missingBytes, ...changing];
    const map = this.#store.pieceMap(infoHash) ?? Buffer.alloc(0);
    const known = this.#counted.get(infoHash);
    if (known?.map.equals(map) === true && known.versions.every((one, i) => one === versions[i])) return known.count;
    const counted = { versions, map, count: await count(map) };
    this.#counted.set(infoHash, counted);
    return counted.count;
  }

  forget({ infoHash }: Entry): void {
    this.#counted.delete(infoHash);
  }
}
