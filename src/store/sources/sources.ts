/**
 * Sources: one record for each file of the collection that extents name, shared by all entries that use it.
 *
 * Equal identity (path, size, mtime, ctime) means one record. Each (source, entry) pair is a record of its
 * own, so that a crash cannot make a count wrong: a source is deleted with the last of its pairs.
 */
import { isAtOrBelow } from '../../native/mountinfo.ts';
import type { LookedAtSource } from '../../source/looked-at.ts';
import type { OwnFiles } from '../../source/own-files.ts';
import type { Notices } from '../notices.ts';
import { type Database, del, NOTHING, put, type Write } from '../records/database.ts';
import {
  conditionKey,
  lastNumber,
  linksKey,
  readersKey,
  SOURCES,
  sourceAndEntryOf,
  sourceKey,
  storyKey,
  USES,
  unmappedKey,
  useKey,
  userKey,
  usersOf,
  usesOf,
} from '../records/key.ts';
import { Lru } from '../records/lru.ts';
import { decodeSource, encodeSource, type SourceRecord } from '../records/record.ts';
import type { Conditions } from './conditions.ts';
import type { FolderRenames } from './folder-renames.ts';
import type { PoolFiles } from './pool-files.ts';
import type { PlacedSource, SourceKeys } from './source-keys.ts';
import type { SourceLinks } from './source-links.ts';
import type { SourceReaders } from './source-readers.ts';
import type { Stories } from './stories.ts';

const CACHED_SOURCES = 4096;
/** Sources that are read although nobody asked for them, rather than to begin a new read. */
const NEAR = 16;
/** Sources in a page of a renamed folder: few, since each page is some milliseconds of work. */
const RENAMED_AT_ONCE = 100;

/** A file that is to be recorded as a source, and the entries that use it. */
interface SourceToAdd {
  readonly file: LookedAtSource;
  readonly entries: readonly number[];
}

/** Sources that are being recorded. */
interface Adding {
  readonly ids: readonly number[];
  /** Those that have no record yet. */
  readonly fresh: ReadonlySet<number>;
  readonly writes: readonly Write[];
  readonly recorded: () => void;
}

/** A source, where it lies, and its file system (`RecordedSource.disk`). */
export interface SourceOnDisk extends PlacedSource {
  readonly disk: string | undefined;
}

export interface SourceParts {
  readonly db: Database;
  readonly keys: SourceKeys;
  readonly readers: SourceReaders;
  readonly links: SourceLinks;
  readonly conditions: Conditions;
  readonly stories: Stories;
  readonly renames: FolderRenames;
  readonly notices: Notices;
  readonly pool: PoolFiles | undefined;
  /** Kept files, in the server. */
  readonly kept: OwnFiles | undefined;
}

export class Sources {
  readonly #db: Database;
  readonly #parts: SourceParts;
  readonly #readers: SourceReaders;
  readonly #pool: PoolFiles | undefined;
  /** Files that go with the last record that names them. */
  readonly #own: readonly OwnFiles[];
  readonly #cache = new Lru<number, SourceRecord>(CACHED_SOURCES);

  constructor(parts: SourceParts) {
    this.#db = parts.db;
    this.#parts = parts;
    this.#readers = parts.readers;
    this.#pool = parts.pool;
    this.#own = [parts.pool, parts.kept].filter((files) => files !== undefined);
  }

  get(id: number): SourceRecord | undefined {
    const { renames } = this.#parts;
    const written = this.written(id);
    if (written === undefined || !renames.any) return written;
    const path = renames.placeOf(id, written.path);
    return path === written.path ? written : { ...written, path };
  }

  /** The record as it was written: a folder above its path may have another name by now. */
  written(id: number): SourceRecord | undefined {
    const cached = this.#cache.get(id);
    if (cached !== undefined) return cached;
    const bytes = this.#db.get(sourceKey(id));
    if (bytes === undefined) return undefined;
    const source = decodeSource(bytes);
    this.#cache.set(id, source);
    return source;
  }

  /**
   * Records a slice of a plan's sources for `entry` and returns their ids. Spares are added later, since they may name
   * later sources. Without `sync` a power loss may take the records, together with everything written after them.
   */
  async add(plan: readonly LookedAtSource[], entry: number, { sync = true } = {}): Promise<readonly number[]> {
    const slice = await this.shared(plan);
    return await this.#db.exclusive(async () => {
      const adding = this.adding(slice.map((file) => ({ file, entries: [entry] })));
      await this.#db.commit(adding.writes, { sync });
      adding.recorded();
      return adding.ids;
    });
  }

  /** Tells if a path is that of the store's own link to a file of the pool. */
  isPooled(path: Buffer): boolean {
    return this.#pool?.isOwn(path) === true;
  }

  /** Replaces sources that lie in the pool by the store's own links. */
  async shared(plan: readonly LookedAtSource[]): Promise<LookedAtSource[]> {
    const slice = [...plan];
    for (const [i, source] of plan.entries()) slice[i] = (await this.#pool?.share(source)) ?? source;
    return slice;
  }

  /** Prepares the records of sources for a batch. Only inside `Database.exclusive`; call `recorded` after the commit. */
  adding(slice: readonly SourceToAdd[]): Adding {
    const writes: Write[] = [];
    const keys = this.#parts.keys.change();
    const fresh = new Set<number>();
    const ids = slice.map(({ file: source, entries }) => {
      let id = keys.same(source);
      if (id === undefined) {
        id = this.#db.take('source');
        fresh.add(id);
        keys.add(id, source);
        writes.push(put(sourceKey(id), encodeSource({ ...source, spares: [] })));
        if (source.readers !== undefined) writes.push(this.#readers.recording(id, source.readers));
      }
      // What is kept of a source goes with the last entry that uses it.
      const used = [id, ...(fresh.has(id) ? [] : this.#keptOf(id))];
      for (const entry of entries) for (const one of used) writes.push(...using(one, entry));
      return id;
    });
    return {
      ids,
      fresh,
      writes: [...writes, ...keys.writes()],
      recorded: () => {
        for (const { written } of this.#parts.renames.current) for (const id of fresh) written.add(id);
        for (const [i, { file }] of slice.entries()) {
          if (file.readers !== undefined) this.#readers.note(ids[i]!, file.readers);
        }
        this.#parts.notices.placed(slice.flatMap(({ file }, i) => (fresh.has(ids[i]!) ? [file.path] : [])));
      },
    };
  }

  /** The files of our own that stand in for a source. */
  #keptOf(id: number): number[] {
    const { kept } = this.#parts;
    return (this.written(id)?.spares ?? []).filter((spare) => {
      const path = this.written(spare)?.path;
      return path !== undefined && kept?.isOwn(path) === true;
    });
  }

  /** Adds `spares` to those of a source. Not synced: the entry that names them is still being made. */
  async addSpares(slice: ReadonlyMap<number, readonly number[]>): Promise<void> {
    await this.#db.exclusive(async () => {
      const writes: Write[] = [];
      for (const [id, more] of slice) {
        const source = this.written(id);
        if (source === undefined) continue;
        const spares = [...new Set([...source.spares, ...more])].filter((spare) => spare !== id);
        writes.push(put(sourceKey(id), encodeSource({ ...source, spares })));
      }
      await this.#db.commit(writes, { sync: false });
      for (const id of slice.keys()) this.#cache.delete(id);
    });
  }

  /** Called when another batch has written records of sources. */
  changed(ids: readonly number[]): void {
    for (const id of ids) this.#cache.delete(id);
  }

  /** Lists the sources at a path. */
  at(path: Buffer): number[] {
    const { keys, renames } = this.#parts;
    if (!renames.any) return keys.at(path);
    const ids = new Set(renames.pathsOf(path).flatMap((each) => keys.at(each)));
    return [...ids].filter((id) => this.get(id)?.path.equals(path) === true);
  }

  /** Lists the sources below a folder, in pages; in the order of their paths, unless a folder was just renamed. */
  async *below(folder: Buffer): AsyncGenerator<readonly PlacedSource[], void, undefined> {
    const { keys, renames } = this.#parts;
    if (!renames.any) {
      yield* keys.below(folder);
      return;
    }
    const seen = new Set<number>();
    // One that is written anew meanwhile is found at its old path, or at the new one, which is read later.
    for (const each of renames.foldersOf(folder)) {
      for await (const page of keys.below(each)) {
        const fresh = page.filter(({ id }) => !seen.has(id));
        for (const { id } of fresh) seen.add(id);
        yield fresh.flatMap(({ id }) => {
          const path = this.get(id)?.path;
          return path !== undefined && isAtOrBelow(path, folder) ? [{ id, path }] : [];
        });
      }
    }
  }

  /**
   * Reads the sources below a folder as below another one from now on. Gives them in pages, for their records to be written
   * anew; at its end this is over.
   */
  renameFolder(
    from: Buffer,
    to: Buffer,
    only?: ReadonlySet<number>,
  ): AsyncGenerator<readonly number[], void, undefined> {
    const { keys, renames, notices } = this.#parts;
    const rename = renames.begin(from, to, only);
    notices.folderRenamed(from);
    const isMeant = (id: number): boolean => only?.has(id) !== false && !rename.written.has(id);
    return (async function* pages() {
      try {
        for await (const page of keys.below(from, RENAMED_AT_ONCE)) {
          yield page.map(({ id }) => id).filter(isMeant);
        }
      } finally {
        renames.end(rename);
      }
    })();
  }

  /** Deletes a file of our own whose path a source has left, unless another source has it. */
  async pathLeft(path: Buffer): Promise<void> {
    if (this.#parts.keys.at(path).length > 0) return;
    for (const files of this.#own) if (files.isOwn(path)) await files.release(path);
  }

  /** Ends the use of `ids` by `entry`; does nothing if `still` answers false when its turn comes. */
  async release(ids: readonly number[], entry: number, still = (): boolean => true): Promise<void> {
    await this.#db.exclusive(async () => {
      if (!still()) return;
      const { keys, conditions, stories } = this.#parts;
      const writes: Write[] = [];
      const leaving = keys.change();
      const gone: SourceRecord[] = [];
      const ended: number[] = [];
      for (const id of ids) {
        writes.push(del(userKey(id, entry)), del(useKey(entry, id)), del(unmappedKey(entry, id)));
        const users = (await this.#db.first(usersOf(id), 2)).map(([key]) => lastNumber(key));
        if (users.some((user) => user !== entry)) continue;
        const source = this.written(id);
        if (source === undefined) continue;
        writes.push(
          del(sourceKey(id)),
          del(readersKey(id)),
          del(conditionKey(id)),
          del(storyKey(id)),
          del(linksKey(id)),
        );
        leaving.remove(id, source);
        gone.push(source);
        ended.push(id);
      }
      await this.#db.commit([...writes, ...leaving.writes()], { needed: true });
      for (const id of ended) this.#cache.delete(id);
      this.#readers.forget(ended);
      this.#parts.links.forget(ended);
      conditions.forget(ended);
      stories.forget(ended);
      if (ended.length > 0) this.#parts.notices.sourcesChanged(ended);
      for (const { path } of gone) await this.pathLeft(path);
    });
  }

  /** Deletes links to the pool that no source has: a killed server may have left some. */
  async releaseUnused(): Promise<void> {
    const links = new Set((await this.#pool?.list()) ?? []);
    if (links.size === 0) return;
    for await (const page of this.#db.pages(SOURCES)) {
      for (const [, value] of page) links.delete(decodeSource(value).path.toString());
    }
    for (const path of links) await this.#pool?.release(Buffer.from(path));
  }

  /** Lists all sources, in pages. */
  async *list(): AsyncGenerator<SourceOnDisk[], void, undefined> {
    for await (const page of this.#db.pages(SOURCES)) {
      yield page.map(([key, value]) => {
        const id = lastNumber(key);
        const { path, disk } = decodeSource(value);
        return { id, path: this.#parts.renames.placeOf(id, path), disk };
      });
    }
  }

  /** Lists which entry uses which source, in pages, in the order of the sources. */
  async *uses(): AsyncGenerator<(readonly [source: number, entry: number])[], void, undefined> {
    for await (const page of this.#db.pages(USES)) yield page.map(([key]) => sourceAndEntryOf(key));
  }

  /** Lists the ids of the sources that an entry uses, in pages. */
  async *used(entry: number): AsyncGenerator<number[], void, undefined> {
    for await (const page of this.#db.pages(usesOf(entry))) yield page.map(([key]) => lastNumber(key));
  }

  /** Lists the ids of the entries that use a source. */
  async users(id: number): Promise<readonly number[]> {
    return (await this.usersOfAll([id])).get(id) ?? [];
  }

  /** Lists the ids of the entries that use each of some sources. Those that nothing uses are left out. */
  async usersOfAll(ids: Iterable<number>): Promise<ReadonlyMap<number, readonly number[]>> {
    const users = new Map<number, number[]>();
    for (const [first, last, wanted] of runs(ids)) {
      for await (const page of this.#db.pages(usersOf(first, last))) {
        for (const [key] of page) {
          const [source, entry] = sourceAndEntryOf(key);
          if (!wanted.has(source)) continue;
          const known = users.get(source);
          if (known === undefined) users.set(source, [entry]);
          else known.push(entry);
        }
      }
    }
    return users;
  }
}

/** Splits ids into runs of ids that lie near each other: the first, the last, and all of them. */
function runs(ids: Iterable<number>): [first: number, last: number, ids: ReadonlySet<number>][] {
  const found: [number, number, Set<number>][] = [];
  for (const id of [...ids].toSorted((a, b) => a - b)) {
    const run = found.at(-1);
    if (run === undefined || id - run[1] > NEAR) found.push([id, id, new Set([id])]);
    else {
      run[1] = id;
      run[2].add(id);
    }
  }
  return found;
}

/** The writes that record that an entry uses a source. */
export function using(id: number, entry: number): Write[] {
  return [put(userKey(id, entry), NOTHING), put(useKey(entry, id), NOTHING)];
}
