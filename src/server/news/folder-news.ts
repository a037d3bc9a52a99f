/** What is reported of folders: all sources below one are recorded anew, or become cases, in batches. */
import type { RecordedSource } from '../../source/identity.ts';
import type { Moves } from './moves.ts';
import type { Cases, MayHold, NewsStore, RecordChange } from './parts.ts';
import type { Reckoning } from './reckoning.ts';

/** Changes of records in a batch. */
const BATCH = 500;
/** Milliseconds between the two reports of an exchange, at most. */
const EXCHANGE_MS = 2000;

export interface FolderNewsParts {
  readonly store: NewsStore;
  /** Absent: nobody settles cases. */
  readonly cases?: Cases | undefined;
  readonly mayHold: MayHold;
  readonly moves: Moves;
  readonly reckoning: Reckoning;
}

export class FolderNews {
  readonly #parts: FolderNewsParts;
  /** Sources below a folder whose place another one has taken: it is exchanged, and the next report says so. */
  readonly #displaced = new Map<string, { readonly ids: ReadonlySet<number>; readonly at: number }>();

  constructor(parts: FolderNewsParts) {
    this.#parts = parts;
  }

  /** A folder was renamed. Its files are not touched: nothing of them has changed but their path. */
  async renamed(from: Buffer, to: Buffer): Promise<void> {
    const { mayHold } = this.#parts;
    // Nothing is served from there: its sources keep their places, and their cases are settled.
    if (!(await mayHold(to))) return await this.gone(from, false);
    await this.#follow(from, to);
    if (!(await mayHold(from))) await this.appeared(to);
  }

  async #follow(from: Buffer, to: Buffer): Promise<void> {
    const name = from.toString('latin1');
    const displaced = this.#displaced.get(name);
    this.#displaced.delete(name);
    const only = displaced !== undefined && performance.now() - displaced.at < EXCHANGE_MS ? displaced.ids : undefined;
    await this.#noteDisplaced(to);
    this.#parts.moves.folderRenamed(from, to);
    for await (const page of this.#parts.store.living.sourcesBelow(from)) {
      const ids = page.map(({ id }) => id).filter((id) => only?.has(id) !== false);
      for (let at = 0; at < ids.length; at += BATCH) await this.#rename(ids.slice(at, at + BATCH), from, to);
    }
  }

  async #rename(ids: readonly number[], from: Buffer, to: Buffer): Promise<void> {
    const { store, cases } = this.#parts;
    const kept: number[] = [];
    const changes = ids.flatMap((id): RecordChange[] => {
      const record = store.source(id);
      if (record === undefined || !record.path.subarray(0, from.length).equals(from)) return [];
      const condition = store.living.condition(id);
      const path = Buffer.concat([to, record.path.subarray(from.length)]);
      if (condition !== undefined && condition.state !== 'doubted') kept.push(id);
      // One that is doubted stays so, and keeps what was proven of the file that was found.
      const now = { ...identityOf(record), ...condition?.observed, path };
      return [
        {
          id,
          was: record,
          now,
          trusted: condition === undefined,
          how: 'was moved with its folder (seen as it happened)',
        },
      ];
    });
    const before = new Map(kept.map((id) => [id, store.living.condition(id)]));
    await store.living.changeSources(changes);
    for (const [id, condition] of before) {
      if (condition === undefined) continue;
      const { state, reason, disk, failed } = condition;
      store.living.setCondition(id, {
        state,
        reason,
        ...(disk === undefined ? {} : { disk }),
        ...(failed === undefined ? {} : { failed }),
      });
      // What is lost was looked for; that its folder has another name says nothing new.
      if (state !== 'lost') cases?.note(id);
    }
  }

  async #noteDisplaced(to: Buffer): Promise<void> {
    const now = performance.now();
    for (const [name, { at }] of this.#displaced) if (now - at > EXCHANGE_MS) this.#displaced.delete(name);
    const ids = new Set<number>();
    for await (const page of this.#parts.store.living.sourcesBelow(to)) for (const { id } of page) ids.add(id);
    if (ids.size > 0) this.#displaced.set(to.toString('latin1'), { ids, at: now });
  }

  /** A folder was deleted, or moved to where nothing is seen of it. */
  async gone(folder: Buffer, seenDeleted: boolean): Promise<void> {
    await this.#each(folder, (id) => {
      if (this.#parts.store.living.condition(id)?.state !== 'waiting') this.#parts.reckoning.gone(id, seenDeleted);
    });
  }

  /** A folder has come to a place below which there are sources. */
  async appeared(folder: Buffer): Promise<void> {
    await this.#each(folder, (id) => {
      if (this.#parts.store.living.condition(id) !== undefined) this.#parts.reckoning.back(id);
    });
  }

  async #each(folder: Buffer, take: (id: number) => void): Promise<void> {
    for await (const page of this.#parts.store.living.sourcesBelow(folder)) {
      for (const { id } of page) take(id);
      await this.#parts.reckoning.reckon();
    }
  }
}

function identityOf({
  spares: _spares,
  path: _path,
  ...identity
}: RecordedSource): Omit<RecordedSource, 'spares' | 'path'> {
  return identity;
}
