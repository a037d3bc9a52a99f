/**
 * Changes records of sources: a file was found elsewhere, or is another one by now. The record, the keys under which it is
 * found, its condition and its story change in one synced batch: a crash leaves the old or the new.
 */

import type { Condition } from '../../source/condition.ts';
import type { FileHandle, FileIdentity } from '../../source/identity.ts';
import { folderOf } from '../../source/paths.ts';
import type { Notices } from '../notices.ts';
import { type Database, put, type Write } from '../records/database.ts';
import { sourceKey, storyKey } from '../records/key.ts';
import { encodeSource, type SourceRecord } from '../records/record.ts';
import type { Conditions } from './conditions.ts';
import type { FolderRename, FolderRenames } from './folder-renames.ts';
import type { SourceKeys } from './source-keys.ts';
import type { Sources } from './sources.ts';
import type { Stories } from './stories.ts';

/** Another record of a source. */
export interface SourceChange {
  readonly id: number;
  /** The record that it replaces: one that has changed meanwhile stays. */
  readonly was: Pick<SourceRecord, 'path' | 'size' | 'mtimeNs' | 'ctimeNs'>;
  /** The file as it was found. Its handle and its disk are those of the file, or not known. */
  readonly now: FileIdentity & { readonly path: Buffer; readonly handle?: FileHandle; readonly disk?: string };
  /**
   * False: the source is, or gets, doubted. The epoch stays if this very file was doubted already, so that what was proven
   * of it stays proven. True: the file is as recorded, or what differs is explained. That is not enough for a source whose record
   * nobody has proven: it is, or stays, doubted.
   */
  readonly trusted: boolean;
  /** All its pieces were proven at this epoch: the change is made only while the source's doubt has it. */
  readonly epoch?: number;
  /** A line for its story; absent: the change is not worth one. */
  readonly how?: string;
}

/** A source that a renamed folder has taken along: the record gets its present path, and all else stays as it is. */
type Placement = Pick<SourceChange, 'id' | 'how'>;

/** Changes in a batch. */
const SLICE = 500;
/** Milliseconds of work between two turns of the event loop. */
const TURN_MS = 1;

interface ChangesParts {
  readonly db: Database;
  readonly sources: Sources;
  readonly keys: SourceKeys;
  readonly conditions: Conditions;
  readonly stories: Stories;
  readonly renames: FolderRenames;
  readonly notices: Notices;
}

export class SourceChanges {
  readonly #parts: ChangesParts;

  constructor(parts: ChangesParts) {
    this.#parts = parts;
  }

  /** Changes records; every 500 are one batch. Returns the ids of the sources that were changed. */
  async change(changes: readonly (SourceChange | Placement)[]): Promise<number[]> {
    const changed: number[] = [];
    for (let from = 0; from < changes.length; from += SLICE) {
      const slice = changes.slice(from, from + SLICE);
      changed.push(...(await this.#parts.db.exclusive(async () => await this.#changeSlice(slice))));
    }
    return changed;
  }

  async #changeSlice(slice: readonly (SourceChange | Placement)[]): Promise<number[]> {
    const { db, sources, conditions, stories, renames, notices } = this.#parts;
    const keys = this.#parts.keys.change();
    const now = new Map<number, SourceRecord>();
    const conditionsNow = new Map<number, Condition | undefined>();
    const told = new Set<number>();
    const left: Buffer[] = [];
    const entered: Buffer[] = [];
    /** The renames of folders that each record takes into account: further ones may begin before it is written. */
    const placed = new Map<number, readonly FolderRename[]>();
    /** Those of which anybody else sees a change. */
    const seen: number[] = [];
    const writes: Write[] = [];
    let turn = performance.now();
    // Reads are answered between two parts of a slice; other writers wait.
    const pause = async (): Promise<void> => {
      if (performance.now() - turn < TURN_MS) return;
      await new Promise(setImmediate);
      turn = performance.now();
    };
    await db.fetch(slice.flatMap(({ id, how }) => [sourceKey(id), ...(how === undefined ? [] : [storyKey(id)])]));
    for (const change of slice) {
      await pause();
      const { id, how } = change;
      const before = now.get(id) ?? sources.get(id);
      const written = now.get(id) ?? sources.written(id);
      if (before === undefined || written === undefined) continue;
      const record = 'was' in change ? { ...change.now, spares: before.spares } : before;
      if ('was' in change) {
        if (!isAs(before, change.was)) continue;
        const condition = conditionsNow.has(id) ? conditionsNow.get(id) : conditions.get(id);
        if (change.epoch !== undefined && condition?.epoch !== change.epoch) continue;
        const isProven = change.epoch !== undefined || condition?.unproven !== true;
        conditionsNow.set(id, change.trusted && isProven ? undefined : this.#doubt(condition, record, how));
        seen.push(id);
      }
      keys.move(id, written, record);
      now.set(id, record);
      placed.set(id, renames.current);
      if (!written.path.equals(record.path)) left.push(written.path);
      if (!folderOf(before.path).equals(folderOf(record.path))) entered.push(record.path);
      if (how === undefined) continue;
      told.add(id);
      writes.push(stories.recording(id, { atMs: Date.now(), from: written.path, to: record.path, how }));
    }
    if (now.size === 0) return [];
    for (const [id, record] of now) {
      await pause();
      writes.push(put(sourceKey(id), encodeSource(record)));
    }
    for (const [id, condition] of conditionsNow) writes.push(conditions.recording(id, condition));
    await db.commit([...writes, ...(await keys.moves(pause))]);
    const changed = [...now.keys()];
    sources.changed(changed);
    for (const [id, known] of placed) for (const { written } of known) written.add(id);
    for (const id of told) stories.recorded(id);
    for (const [id, condition] of conditionsNow) conditions.recorded(id, condition);
    if (seen.length > 0) notices.sourcesChanged([...new Set(seen)]);
    if (entered.length > 0) notices.placed(entered);
    for (const path of left) await sources.pathLeft(path);
    return changed;
  }

  #doubt(
    before: Condition | undefined,
    { path: _path, spares: _spares, ...observed }: SourceRecord,
    how: string | undefined,
  ): Condition {
    // Of a file that was doubted before, the first reason stays: how it came here is its story.
    const reason =
      (before?.state === 'doubted' ? before.reason : how) ?? before?.reason ?? 'is another file than before';
    return this.#parts.conditions.next(before, { state: 'doubted', reason, observed, unproven: true });
  }
}

function isAs(record: SourceRecord, was: SourceChange['was']): boolean {
  return (
    record.path.equals(was.path) &&
    record.size === was.size &&
    record.mtimeNs === was.mtimeNs &&
    record.ctimeNs === was.ctimeNs
  );
}
