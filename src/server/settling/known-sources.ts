/** What the server knows of sources and of who uses them, for the control socket. */
import type { KnownSource, MappingPart } from '../../control/cases-served.ts';
import type { HealRecord } from '../../heal/case.ts';
import type { PlanSource } from '../../plan/plan.ts';
import type { Condition } from '../../source/condition.ts';
import type { StoredFile } from '../../store/entries/entry-files.ts';
import type { Store } from '../../store/store.ts';
import type { Returns } from '../returns.ts';
import type { CaseQueue } from './queue.ts';

export interface KnownSourcesParts {
  readonly store: Store;
  readonly queue: Pick<CaseQueue, 'awaits'>;
  readonly returns: Pick<Returns, 'placesOf'>;
}

export class KnownSources {
  readonly #store: Store;
  readonly #queue: KnownSourcesParts['queue'];
  readonly #returns: KnownSourcesParts['returns'];

  constructor({ store, queue, returns }: KnownSourcesParts) {
    this.#store = store;
    this.#queue = queue;
    this.#returns = returns;
  }

  /** Lists the sources below a folder; with `entries`, also which entries use them. */
  async *below(folder: Buffer, entries: boolean): AsyncGenerator<KnownSource, void, undefined> {
    const all = folder.length === 1 ? this.#store.sources() : this.#store.living.sourcesBelow(folder);
    for await (const page of all) {
      for (const { id } of page) {
        const source = this.#source(id);
        if (source !== undefined) yield entries ? { ...source, infoHashes: await this.entriesOf(id) } : source;
      }
    }
  }

  /** Lists the sources of an entry. */
  async *ofEntry(infoHash: string): AsyncGenerator<KnownSource, void, undefined> {
    for await (const part of this.mapping(infoHash)) if ('source' in part) yield part.source;
  }

  /** Lists files of an entry as they are mapped, and the sources that they name, each once. Default: all files. */
  async *mapping(infoHash: string, indexes?: readonly number[]): AsyncGenerator<MappingPart, void, undefined> {
    const listed = new Set<number>();
    const places = this.#returns.placesOf(infoHash);
    // Before anything is hashed.
    const { epoch } = this.#store.living;
    yield { since: await this.#store.verificationBegun(infoHash), epoch, places };
    for await (const { index, version, base, extents, overlayPath } of this.#files(infoHash, indexes)) {
      for (const { source } of base) {
        if (source < 0 || listed.has(source)) continue;
        listed.add(source);
        const known = this.#source(source);
        if (known !== undefined) yield { source: known };
      }
      yield { file: { index, version, extents, overlay: overlayPath } };
    }
  }

  async *#files(infoHash: string, indexes?: readonly number[]): AsyncGenerator<StoredFile, void, undefined> {
    if (indexes === undefined) yield* this.#store.files(infoHash);
    for (const index of indexes ?? []) {
      const file = await this.#store.file(infoHash, index);
      if (file !== undefined) yield file;
    }
  }

  #source(id: number): KnownSource | undefined {
    const record = this.#store.source(id);
    if (record === undefined) return undefined;
    const condition = this.#store.living.condition(id);
    const last = this.#store.living.story(id).at(-1);
    return {
      id,
      record: recordOf(record),
      ...(condition === undefined ? {} : { condition: { ...condition, reason: this.#reasonOf(id, condition) } }),
      ...(last === undefined ? {} : { last: { how: last.how, atMs: last.atMs } }),
    };
  }

  #reasonOf(id: number, { reason }: Pick<Condition, 'reason'>): string {
    const awaits = this.#queue.awaits(id);
    return awaits === undefined ? reason : `${reason}; it ${awaits}`;
  }

  /** Lists the info hashes of the entries that use a source. */
  async entriesOf(id: number): Promise<string[]> {
    const found: string[] = [];
    for (const entry of await this.#store.living.usersOf(id)) {
      const infoHash = (await this.#store.entryById(entry))?.infoHash;
      if (infoHash !== undefined) found.push(infoHash);
    }
    return found;
  }
}

/** A source as the healer is told of it. */
export function recordOf({
  path,
  dev,
  ino,
  size,
  mtimeNs,
  ctimeNs,
  handle,
  disk,
}: Omit<PlanSource, 'spares'>): HealRecord {
  return {
    path,
    dev,
    ino,
    size,
    mtimeNs,
    ctimeNs,
    ...(handle === undefined ? {} : { handle }),
    ...(disk === undefined ? {} : { disk }),
  };
}
