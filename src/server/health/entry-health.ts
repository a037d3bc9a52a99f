/** The health of entries: the worst state of their sources (`docs/sources.md` has the states of sources). */
import type { ServedEntry, SourceTotals } from '../../control/served.ts';
import type { Logger } from '../../logger.ts';
import { isAtOrBelow } from '../../native/mountinfo.ts';
import type { ConditionState } from '../../source/condition.ts';
import type { Entry } from '../../store/entries/entry.ts';
import type { Store } from '../../store/store.ts';
import { ConditionIndex, type StateCount } from './condition-index.ts';

export type EntryHealth = Pick<ServedEntry, 'health' | 'healthDetail'>;

export interface EntryHealthsOptions {
  readonly store: Store;
  /** The disks of the configuration: a source waits for one of them. */
  readonly disks: readonly string[];
  /** Whether a client can download what is lost. */
  readonly hasClient: boolean;
  readonly logger: Logger;
}

export class EntryHealths {
  readonly #store: Store;
  readonly #hasClient: boolean;
  readonly #index: ConditionIndex;
  /** Ids of entries, which `Entry` does not show. One that was added anew has another time. */
  readonly #ids = new Map<string, { readonly id: number; readonly createdMs: number }>();
  readonly #lost = new Map<string, { readonly version: number; readonly bytes: number }>();

  constructor({ store, disks, hasClient, logger }: EntryHealthsOptions) {
    this.#store = store;
    this.#hasClient = hasClient;
    this.#index = new ConditionIndex(store, (path) => nameOfDisk(path, disks), logger);
  }

  close(): void {
    this.#index.close();
  }

  /** Resolves when every change so far is counted. */
  async settled(): Promise<void> {
    await this.#index.settled();
  }

  /** Counts the sources that a new entry shares with others and that are not trusted. */
  async entryMade({ infoHash }: Entry): Promise<void> {
    const id = this.#store.entryId(infoHash);
    if (id === undefined) return;
    for await (const page of this.#store.living.sourcesOf(id)) this.#index.entryMade(page);
  }

  /** True while every source is trusted. */
  get allTrusted(): boolean {
    return this.#index.isEmpty;
  }

  /** Tells if an entry has a doubted source. */
  isDoubted(entry: Entry): boolean {
    return !this.allTrusted && numberOf(this.#index.of(this.#idOf(entry)), 'doubted') > 0;
  }

  totals(): SourceTotals {
    const counts = this.#index.totals();
    const of = (state: ConditionState): number =>
      counts.reduce((sum, count) => sum + (count.state === state ? count.sources : 0), 0);
    const waiting = counts.filter(({ state }) => state === 'waiting').map(({ disk, sources }) => ({ disk, sources }));
    return {
      doubted: of('doubted'),
      healing: of('healing'),
      lost: of('lost'),
      waiting: waiting.toSorted((a, b) => (a.disk < b.disk ? -1 : 1)),
    };
  }

  /**
   * Gives the health of an entry. `missing`: bytes that it lacks. `broken`: why reads of it fail, if they do. `deleted`: its
   * files that were deleted in the mount. `overwritten`: those that clients cut off or wrote over.
   */
  async of(
    entry: Entry,
    {
      missing,
      broken,
      deleted,
      overwritten,
    }: {
      readonly missing: number;
      readonly broken: string | undefined;
      readonly deleted: number;
      readonly overwritten: number;
    },
  ): Promise<EntryHealth> {
    const counts = this.#index.isEmpty ? [] : this.#index.of(this.#idOf(entry));
    const healing = numberOf(counts, 'healing');
    if (numberOf(counts, 'lost') > 0) {
      const lost = await this.#lostBytes(entry);
      // None: only a spare is lost.
      if (lost > 0) return { health: 'lost', healthDetail: { lostBytes: lost } };
    }
    const disks = counts.filter(({ state }) => state === 'waiting').map(({ disk }) => disk);
    if (disks.length > 0) return { health: 'waiting', healthDetail: { disks: disks.toSorted() } };
    if (healing > 0) {
      return { health: 'healing', healthDetail: { sources: healing, ofSources: await this.#sourceCount(entry) } };
    }
    // What was lost is a gap now, which a client downloads as it would those of an incomplete torrent.
    const downloading = Math.min(entry.lostBytes ?? 0, missing);
    if (downloading > 0) {
      return { health: 'lost', healthDetail: { lostBytes: downloading, downloading: this.#hasClient } };
    }
    if (broken !== undefined) return { health: 'broken', healthDetail: { reason: broken } };
    if (deleted > 0) return { health: 'deleted', healthDetail: { deletedFiles: deleted } };
    if (overwritten > 0) return { health: 'overwritten', healthDetail: { overwrittenFiles: overwritten } };
    return { health: numberOf(counts, 'doubted') > 0 ? 'checking' : 'ok' };
  }

  #idOf({ infoHash, createdMs }: Entry): number {
    const known = this.#ids.get(infoHash);
    if (known?.createdMs === createdMs) return known.id;
    const id = this.#store.entryId(infoHash) ?? 0;
    this.#ids.set(infoHash, { id, createdMs });
    return id;
  }

  async #sourceCount(entry: Entry): Promise<number> {
    let count = 0;
    for await (const page of this.#store.living.sourcesOf(this.#idOf(entry))) count += page.length;
    return count;
  }

  /** Counts the bytes of an entry that nothing but lost sources has. */
  async #lostBytes(entry: Entry): Promise<number> {
    const { version } = this.#index;
    const known = this.#lost.get(entry.infoHash);
    if (known?.version === version) return known.bytes;
    let lost = 0;
    for await (const { extents } of this.#store.files(entry.infoHash)) {
      for (const { source, length } of extents) {
        if (source >= 0 && this.#store.living.condition(source)?.state === 'lost') lost += length;
      }
    }
    this.#lost.set(entry.infoHash, { version, bytes: lost });
    return lost;
  }
}

function numberOf(counts: readonly StateCount[], wanted: ConditionState): number {
  return counts.reduce((sum, { state, sources }) => sum + (state === wanted ? sources : 0), 0);
}

/** The configured disk that holds a path, or else its folder. */
function nameOfDisk(path: Buffer, disks: readonly string[]): string {
  const holding = disks.filter((disk) => isAtOrBelow(path, Buffer.from(disk)));
  const longest = holding.toSorted((a, b) => b.length - a.length)[0];
  return longest ?? path.subarray(0, Math.max(1, path.lastIndexOf(0x2f))).toString();
}
