/**
 * Kept files as sources (`docs/sources.md`, "What would be lost is kept"): copies of the bytes that a source had.
 *
 * A kept file is a source of its own, used by all entries that use the original, doubted from the beginning, and a spare of
 * the original. It is recorded in one batch: a crash leaves all of that or nothing. It ends as other sources do, with the last
 * entry of which no file names it or has it as a spare (`entries/unmapped.ts`); then its file goes, too.
 */
import { Batches, together } from '../../batches.ts';
import { identityIn } from '../../source/identity.ts';
import type { LookedAtSource } from '../../source/looked-at.ts';
import type { OwnFiles } from '../../source/own-files.ts';
import type { Unmapped } from '../entries/unmapped.ts';
import { type Database, put } from '../records/database.ts';
import { sourceKey } from '../records/key.ts';
import { encodeSource, type SourceRecord } from '../records/record.ts';
import type { Conditions } from './conditions.ts';
import type { Sources } from './sources.ts';

/** Kept files in one batch of records: some milliseconds of work. */
const AT_ONCE = 100;

export interface KeepingParts {
  readonly db: Database;
  readonly sources: Sources;
  readonly conditions: Conditions;
  readonly unmapped: Unmapped;
  /** Absent: nothing is kept. */
  readonly kept: OwnFiles | undefined;
}

/** A kept file that is to be recorded. */
interface ToRecord {
  /** The source that it has the bytes of. */
  readonly id: number;
  readonly file: LookedAtSource;
  /** Why it is doubted; undefined: it is trusted. */
  readonly reason: string | undefined;
}

/** Kept files that are spares of a source no more. */
interface ToUnlink {
  readonly id: number;
  readonly kept: ReadonlySet<number>;
}

export class Keeping {
  readonly #parts: KeepingParts;
  /** Writers come to many files at once: what is recorded of them is one batch. */
  readonly #recording = new Batches<ToRecord, number | undefined>(
    AT_ONCE,
    together(async (all) => await this.#record(all)),
  );
  readonly #unlinking = new Batches<ToUnlink, undefined>(
    AT_ONCE,
    together(async (all) => await this.#unlinkAll(all)),
  );

  constructor(parts: KeepingParts) {
    this.#parts = parts;
  }

  isKept(path: Buffer): boolean {
    return this.#parts.kept?.isOwn(path) === true;
  }

  /** Lists the kept files of a source. */
  of(id: number): number[] {
    return this.#keptOf(this.#parts.sources.get(id));
  }

  #keptOf(record: SourceRecord | undefined): number[] {
    const { sources } = this.#parts;
    return (record?.spares ?? []).filter((spare) => {
      const path = sources.get(spare)?.path;
      return path !== undefined && this.isKept(path);
    });
  }

  isPin(path: Buffer): boolean {
    return this.#parts.kept?.isPin?.(path) === true;
  }

  /** Lists the pins of a source. */
  pinsOf(id: number): number[] {
    return this.of(id).filter((one) => this.#isPinned(one));
  }

  #isPinned(id: number): boolean {
    const path = this.#parts.sources.get(id)?.path;
    return path !== undefined && this.isPin(path);
  }

  /** See `LivingSources.keep`. */
  async keep(id: number, file: LookedAtSource, reason: string | undefined): Promise<number | undefined> {
    return await this.#recording.add({ id, file, reason });
  }

  async #record(wanted: readonly ToRecord[]): Promise<readonly (number | undefined)[]> {
    const { db, sources, conditions } = this.#parts;
    return await db.exclusive(async () => {
      const users = await sources.usersOfAll(wanted.map(({ id }) => id));
      const known = wanted.filter(({ id }) => users.has(id) && sources.written(id) !== undefined);
      if (known.length === 0) return wanted.map(() => undefined);
      const adding = sources.adding(known.map(({ id, file }) => ({ file, entries: users.get(id) ?? [] })));
      const kept = new Map(known.map((one, i) => [one, adding.ids[i]!]));
      const doubts = [...kept].flatMap(([{ file, reason }, spare]) => {
        if (reason === undefined) return [];
        const found = { state: 'doubted', reason, observed: identityIn(file), unproven: true } as const;
        return [[spare, conditions.next(undefined, found)] as const];
      });
      const spares = new Map<number, Set<number>>();
      for (const [{ id }, spare] of kept) {
        spares.set(id, (spares.get(id) ?? new Set(sources.written(id)?.spares)).add(spare));
      }
      await db.commit(
        [
          ...adding.writes,
          ...[...spares].map(([id, all]) =>
            put(sourceKey(id), encodeSource({ ...sources.written(id)!, spares: [...all] })),
          ),
          ...doubts.map(([spare, condition]) => conditions.recording(spare, condition)),
        ],
        { sync: false },
      );
      sources.changed([...spares.keys()]);
      adding.recorded();
      for (const [spare, condition] of doubts) conditions.recorded(spare, condition);
      return wanted.map((one) => kept.get(one));
    });
  }

  /** See `LivingSources.letGo`. */
  async letGo(id: number): Promise<void> {
    const kept = this.of(id).filter((one) => !this.#isPinned(one));
    await this.#unlink(id, kept);
  }

  /** See `LivingSources.forget`. */
  async forget(kept: number, original: number): Promise<void> {
    const { sources } = this.#parts;
    await this.#unlink(original, [kept]);
    for (const entry of await sources.users(kept)) await sources.release([kept], entry);
  }

  async #unlink(id: number, ids: readonly number[]): Promise<void> {
    if (ids.length > 0) await this.#unlinking.add({ id, kept: new Set(ids) });
  }

  async #unlinkAll(all: readonly ToUnlink[]): Promise<readonly undefined[]> {
    const { db, sources, unmapped } = this.#parts;
    await db.exclusive(async () => {
      const users = await sources.usersOfAll(all.flatMap(({ kept }) => [...kept]));
      const left = new Map<number, readonly number[]>();
      const unnamed = new Map<number, Set<number>>();
      for (const { id, kept } of all) {
        const spares = left.get(id) ?? sources.written(id)?.spares;
        if (spares === undefined) continue;
        left.set(
          id,
          spares.filter((spare) => !kept.has(spare)),
        );
        for (const one of kept) {
          for (const entry of users.get(one) ?? []) unnamed.set(entry, (unnamed.get(entry) ?? new Set()).add(one));
        }
      }
      if (left.size === 0) return;
      await db.commit(
        [
          ...[...left].map(([id, spares]) => put(sourceKey(id), encodeSource({ ...sources.written(id)!, spares }))),
          ...[...unnamed].flatMap(([entry, kept]) => unmapped.noting(entry, kept)),
        ],
        { sync: false },
      );
      sources.changed([...left.keys()]);
      for (const entry of unnamed.keys()) unmapped.note(entry);
    });
    return all.map(() => undefined);
  }
}
