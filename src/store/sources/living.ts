/**
 * The sources of a library that changes (`docs/sources.md`): where they lie, in which condition they are, what was proven
 * of them, and what happened to them.
 */
import type { Condition, ConditionFound } from '../../source/condition.ts';
import { type FileHandle, identityIn } from '../../source/identity.ts';
import type { LookedAtSource } from '../../source/looked-at.ts';
import { filesUsing, type UsingFile } from '../entries/files-using.ts';
import { type SourceRange, SourceRanges } from '../entries/ranges-using.ts';
import type { Remap, Remapping } from '../entries/remapping.ts';
import type { Notices } from '../notices.ts';
import type { StoryLine } from '../records/condition.ts';
import type { Database } from '../records/database.ts';
import type { Tree } from '../tree/tree.ts';
import type { SourceChange, SourceChanges } from './changes.ts';
import type { Conditions } from './conditions.ts';
import type { Keeping } from './keeping.ts';
import type { Proofs } from './proofs.ts';
import type { PlacedSource, SourceKeys } from './source-keys.ts';
import type { Sources } from './sources.ts';
import type { Stories } from './stories.ts';

export interface LivingParts {
  readonly db: Database;
  readonly tree: Tree;
  readonly sources: Sources;
  readonly conditions: Conditions;
  readonly proofs: Proofs;
  readonly notices: Notices;
  readonly stories: Stories;
  readonly keys: SourceKeys;
  readonly changes: SourceChanges;
  readonly remapping: Remapping;
  readonly keeping: Keeping;
  /** Resolves when all sources have keys. */
  readonly keyed: () => Promise<void>;
}

export class LivingSources {
  readonly #parts: LivingParts;
  readonly #ranges: SourceRanges;

  constructor(parts: LivingParts) {
    this.#parts = parts;
    const { db, tree } = parts;
    this.#ranges = new SourceRanges({ db, tree, usersOfAll: async (ids) => await this.usersOfAll(ids) });
  }

  /** Returns the condition of a source; undefined: it is trusted. */
  condition(id: number): Condition | undefined {
    return this.#parts.conditions.get(id);
  }

  /** Lists the sources that are not trusted. */
  conditions(): Iterable<[number, Condition]> {
    return this.#parts.conditions.all();
  }

  /**
   * Sets the condition of a source. It counts at once and is written soon. It has a new epoch if the source was trusted,
   * or another file was `observed` than before.
   */
  setCondition(id: number, found: ConditionFound): Condition {
    return this.#parts.conditions.set(id, found);
  }

  /**
   * Trusts a source: it is as recorded. One whose record nobody has proven gets doubted instead, and one of which pieces failed
   * stays as it is. `how`: the line for its story.
   */
  trust(id: number, how?: string): void {
    const record = this.#parts.sources.get(id);
    const trusted = this.#parts.conditions.trust(id, record && identityIn(record));
    const path = record?.path;
    if (!trusted || how === undefined || path === undefined) return;
    this.#parts.stories.note(id, { atMs: Date.now(), from: path, to: path, how });
  }

  /** The epoch at which a piece of an entry was proven last; 0: never. */
  provenAt(entry: number, piece: number): number {
    return this.#parts.proofs.at(entry, piece);
  }

  /** Notes that a piece was proven. It counts at once and is written soon. */
  prove(entry: number, piece: number, epoch: number): void {
    this.#parts.proofs.prove(entry, piece, epoch);
    this.#parts.notices.proven(entry);
  }

  /** The newest epoch. */
  get epoch(): number {
    return this.#parts.db.epoch;
  }

  /** Begins an epoch: no piece is proven at it yet. */
  newEpoch(): number {
    return this.#parts.db.nextEpoch();
  }

  /**
   * Lists the sources that are recorded at a path. In a store of an older version it may miss some until `sourcesBelow` has
   * answered once.
   */
  sourcesAt(path: Buffer): number[] {
    return this.#parts.sources.at(path);
  }

  /** Lists the sources below a folder, in pages, in the order of their paths. */
  async *sourcesBelow(folder: Buffer): AsyncGenerator<readonly PlacedSource[], void, undefined> {
    await this.#parts.keyed();
    yield* this.#parts.sources.below(folder);
  }

  /**
   * A folder was renamed: its sources are at their new paths at once, for everyone. Gives them in pages, to be handed to
   * `recordPlaces` at leisure; walk through them to the end. `only`: other sources below `from` stay where they are.
   */
  renameFolder(from: Buffer, to: Buffer, only?: ReadonlySet<number>): AsyncIterable<readonly number[]> {
    const pages = this.#parts.sources.renameFolder(from, to, only);
    const { keyed } = this.#parts;
    return (async function* all() {
      await keyed();
      yield* pages;
    })();
  }

  /** Lists the sources whose file a handle names. `disk` is that of their records. */
  sourcesByHandle(handle: FileHandle, disk: string | undefined): number[] {
    return this.#parts.keys.byHandle(handle, disk);
  }

  /**
   * Changes records of sources, with their keys, conditions and stories; every 500 are one synced batch. Skips those whose
   * record is not `was` any more. Returns the ids of those that were changed.
   * @throws AutotorrentError('STORE')
   */
  async changeSources(changes: readonly SourceChange[]): Promise<readonly number[]> {
    return await this.#parts.changes.change(changes);
  }

  /**
   * Writes the paths of sources of a renamed folder into their records. `how`: the line for their stories.
   * @throws AutotorrentError('STORE')
   */
  async recordPlaces(ids: readonly number[], how: string): Promise<void> {
    await this.#parts.changes.change(ids.map((id) => ({ id, how })));
  }

  /** Lists the ids of the entries that use a source. */
  async usersOf(id: number): Promise<readonly number[]> {
    return await this.#parts.sources.users(id);
  }

  /** Lists the ids of the entries that use each of some sources. Those that nothing uses are left out. */
  async usersOfAll(ids: Iterable<number>): Promise<ReadonlyMap<number, readonly number[]>> {
    return await this.#parts.sources.usersOfAll(ids);
  }

  /** Lists the files of an entry whose extents name a source, in pages, in the torrent's order. */
  async *filesOf(id: number, entry: number): AsyncGenerator<readonly UsingFile[], void, undefined> {
    yield* filesUsing(this.#parts, new Set([id]), entry);
  }

  /**
   * Gives the file at `index` of an entry new extents, also while it is open; they are on the disk when this resolves.
   * False if it has other extents than `remap.was` by now, or is no mapped file any more.
   * @throws AutotorrentError('NOT_FOUND'), ('TORRENT') for extents that do not fit the file, ('STORE')
   */
  async remapFile(infoHash: string, index: number, remap: Remap): Promise<boolean> {
    return await this.#parts.remapping.remap(infoHash, index, remap);
  }

  /** Lists the ranges of a source that files of entries name, in order; of very many, with what lies between some. */
  async rangesOf(id: number): Promise<readonly SourceRange[]> {
    return await this.#ranges.of(id);
  }

  /** Tells if a path is that of the store's own link to a file of the pool. */
  isPooled(path: Buffer): boolean {
    return this.#parts.sources.isPooled(path);
  }

  /** Tells if a path is that of a kept file. */
  isKept(path: Buffer): boolean {
    return this.#parts.keeping.isKept(path);
  }

  /** Lists the kept files that stand in for a source. */
  keptOf(id: number): readonly number[] {
    return this.#parts.keeping.of(id);
  }

  /**
   * Records a kept file that has the bytes of source `id` at their places: as a source that is doubted, and a spare of it.
   * `reason`: a predicate; undefined: it is trusted, as a pin is. Returns its id; undefined if the source is gone meanwhile. Not synced: see `Store.sync`.
   * @throws AutotorrentError('STORE')
   */
  async keep(id: number, file: LookedAtSource, reason: string | undefined): Promise<number | undefined> {
    return await this.#parts.keeping.keep(id, file, reason);
  }

  /** Tells if a path is that of a pin: a kept file that was made in advance. */
  isPin(path: Buffer): boolean {
    return this.#parts.keeping.isPin(path);
  }

  /** Lists the pins of a source. */
  pinsOf(id: number): readonly number[] {
    return this.#parts.keeping.pinsOf(id);
  }

  /**
   * Lets go of the kept files of a source, but not of its pins: they are no spares of it any more. Those that no file names are deleted some
   * seconds later. @throws AutotorrentError('STORE')
   */
  async letGo(id: number): Promise<void> {
    await this.#parts.keeping.letGo(id);
  }

  /** Deletes a kept file that no file names, at once, and its record. `original`: the source that it stands in for. */
  async forget(kept: number, original: number): Promise<void> {
    await this.#parts.keeping.forget(kept, original);
  }

  /** Lists which entry uses which source, in pages, in the order of the sources. */
  async *uses(): AsyncGenerator<readonly (readonly [source: number, entry: number])[], void, undefined> {
    yield* this.#parts.sources.uses();
  }

  /** Lists the sources that an entry uses, spares among them, in pages. */
  async *sourcesOf(entry: number): AsyncGenerator<readonly number[], void, undefined> {
    yield* this.#parts.sources.used(entry);
  }

  /** Lists the last changes of a source, the oldest first. */
  story(id: number): StoryLine[] {
    return this.#parts.stories.of(id);
  }

  /** Writes everything that is to be written soon. Never rejects. */
  async settled(): Promise<void> {
    const { conditions, stories, proofs } = this.#parts;
    await Promise.all([conditions.settled(), stories.settled(), proofs.flush()]);
  }
}
