/**
 * Kept files as sources (`docs/sources.md`, "What would be lost is kept"): copies of the bytes that a source had.
 *
 * A kept file is a source of its own, used by all entries that use the original, doubted from the beginning, and a spare of
 * the original. It is recorded in one batch: a crash leaves all of that or nothing. It ends as other sources do, with the last
 * entry of which no file names it or has it as a spare (`entries/unmapped.ts`); then its file goes, too.
 */
import { identityIn } from '../../source/identity.ts';
import type { LookedAtSource } from '../../source/looked-at.ts';
import type { OwnFiles } from '../../source/own-files.ts';
import type { Unmapped } from '../entries/unmapped.ts';
import { type Database, put, type Write } from '../records/database.ts';
import { sourceKey } from '../records/key.ts';
import { encodeSource, type SourceRecord } from '../records/record.ts';
import type { Conditions } from './conditions.ts';
import { type Sources, using } from './sources.ts';

export interface KeepingParts {
  readonly db: Database;
  readonly sources: Sources;
  readonly conditions: Conditions;
  readonly unmapped: Unmapped;
  /** Absent: nothing is kept. */
  readonly kept: OwnFiles | undefined;
}

export class Keeping {
  readonly #parts: KeepingParts;

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

  /** See `LivingSources.sharePins`. */
  async sharePins(ids: readonly number[], entry: number): Promise<void> {
    const { db, sources } = this.#parts;
    await db.exclusive(async () => {
      const writes: Write[] = [];
      for (const id of ids) {
        // The entry may have gone meanwhile.
        if (this.pinsOf(id).length === 0 || !(await sources.users(id)).includes(entry)) continue;
        for (const pin of this.pinsOf(id)) writes.push(...using(pin, entry));
      }
      if (writes.length > 0) await db.commit(writes, { sync: false });
    });
  }

  /** See `LivingSources.keep`. */
  async keep(id: number, file: LookedAtSource, reason: string | undefined): Promise<number | undefined> {
    const { db, sources, conditions } = this.#parts;
    return await db.exclusive(async () => {
      const original = sources.written(id);
      const [first, ...others] = await sources.users(id);
      if (original === undefined || first === undefined) return undefined;
      const adding = sources.adding([file], first);
      const kept = adding.ids[0]!;
      const observed = identityIn(file);
      const condition =
        reason === undefined
          ? undefined
          : conditions.next(undefined, { state: 'doubted', reason, observed, unproven: true });
      const spares = [...new Set([...original.spares, kept])];
      await db.commit(
        [
          ...adding.writes,
          ...others.flatMap((entry) => using(kept, entry)),
          put(sourceKey(id), encodeSource({ ...original, spares })),
          ...(condition === undefined ? [] : [conditions.recording(kept, condition)]),
        ],
        { sync: false },
      );
      sources.changed([id]);
      adding.recorded();
      if (condition !== undefined) conditions.recorded(kept, condition);
      return kept;
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
    const { db, sources, unmapped } = this.#parts;
    await db.exclusive(async () => {
      const original = sources.written(id);
      const kept = new Set(ids);
      if (original === undefined || kept.size === 0) return;
      const users = new Set<number>();
      for (const one of kept) for (const entry of await sources.users(one)) users.add(entry);
      const spares = original.spares.filter((spare) => !kept.has(spare));
      await db.commit(
        [
          put(sourceKey(id), encodeSource({ ...original, spares })),
          ...[...users].flatMap((entry) => unmapped.noting(entry, kept)),
        ],
        { sync: false },
      );
      sources.changed([id]);
      for (const entry of users) unmapped.note(entry);
    });
  }
}
