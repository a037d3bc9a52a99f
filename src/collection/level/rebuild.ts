/** Builds the index: walks the disks in worker threads, and writes a new generation meanwhile. */
import { availableParallelism } from 'node:os';
import { mountsOf } from '../scan/away-disks.ts';
import { FolderRecord, unreadFolder } from '../scan/folder-record.ts';
import { AGAIN_MS, type GrowthRules, YOUNG_MS } from '../scan/growth.ts';
import { createIgnoreTest, type IgnoreTest } from '../scan/ignore.ts';
import { MEMBER_LIMITS, MemberBudget, type MemberLimits, OVER_REBUILD } from '../scan/member-budget.ts';
import { currentMountPoints, isInside, realPath } from '../scan/mounts.ts';
import type { FolderReading, FolderTask } from '../scan/read-folder.ts';
import { rebase, type ScanRoot, scanRoots } from '../scan/scan-roots.ts';
import { WalkPool } from '../scan/walk-pool.ts';
import type { RebuildRequest, RebuildResult, RebuildWatcher } from '../writer.ts';
import { AwayParts } from './away-parts.ts';
import { NONE } from './folder-table.ts';
import { GenerationWriter } from './generation-writer.ts';
import { damaged, IndexDatabase, type IndexRoot, type IndexState, type LevelDatabase } from './index-database.ts';
import { KeptFolders } from './kept-folders.ts';
import { OldIndex } from './old-index.ts';

/** A request, and settings of the scan that no command has. */
export interface RebuildOptions extends RebuildRequest, RebuildWatcher {
  /** The scan does not touch mounts of these types. Default: `fuse.autotorrent`. */
  readonly skipMountTypes?: readonly string[];
  /** See `scan/growth.ts`. Default: YOUNG_MS, AGAIN_MS. */
  readonly youngMs?: number;
  readonly againMs?: number;
  /** For the archives of the whole rebuild. Default: MEMBER_LIMITS. */
  readonly memberLimits?: MemberLimits;
  /** Worker threads. */
  readonly threads?: number;
  /** Generations that an open index still answers from. The rebuild keeps them. */
  readonly inUse?: () => Iterable<number>;
}

/** A folder that the scan has yet to come to. Paths are byte strings. */
interface Pending {
  readonly id: number;
  readonly parent: number;
  readonly path: string;
  readonly root: ScanRoot | undefined;
  /** Its id in the old index; NONE if that has no such folder, or cannot be trusted. */
  readonly oldId: number;
  /** The folder is taken from the old index, except for these paths. Undefined: it is read. */
  readonly targets: readonly string[] | undefined;
  /** It is read in any case, for a file in it, and its subfolders as `targets` says. */
  readonly alone: boolean;
}

/** How a folder is taken: see `Pending`. */
type Taking = Pick<Pending, 'targets' | 'alone'>;

const READ: Taking = { targets: undefined, alone: false };
const KEEP: Taking = { targets: [], alone: false };

/** Default of `skipMountTypes`. */
const OWN_MOUNTS = ['fuse.autotorrent'];

const TASKS_AT_ONCE = 64;

/**
 * Scans the disks and makes a new generation the index. Incremental unless `full`: a folder whose device, inode and times
 * are as the index has them is not listed again, if its files have the sizes and inodes that the index has. Its subfolders
 * are looked at. Where nothing has changed, the old generation stays.
 * @throws AutotorrentError('INDEX') where the index is damaged or of another version, and `full` does not replace it
 */
export async function rebuild(db: LevelDatabase, options: RebuildOptions): Promise<RebuildResult> {
  const database = new IndexDatabase(db);
  const inUse = (): Iterable<number> => options.inUse?.() ?? [];
  await database.refuseForeign();
  const old = await OldIndex.open(database, options.full === true && options.paths === undefined);
  await database.deleteOthers(new Set([...(old.state === undefined ? [] : [old.state.generation]), ...inUse()]));
  const generation = Math.max(old.state?.generation ?? 0, ...inUse()) + 1;
  const scan = await Scan.open(database, generation, old, options);
  const result = await scan.run();
  const current = (await database.readState())?.generation ?? generation;
  await database.deleteOthers(new Set([current, ...inUse()]));
  return result;
}

class Scan {
  readonly #generation: number;
  readonly #database: IndexDatabase;
  readonly #options: RebuildOptions;
  readonly #old: IndexState | undefined;
  readonly #oldIndex: OldIndex;
  readonly #incremental: boolean;
  /** `ignore_files` is another than that of the index. */
  readonly #ignore: IgnoreTest | undefined;
  readonly #away: AwayParts;
  readonly #writer: GenerationWriter;
  readonly #skipped = new Map<string, { count: number; readonly example: Buffer }>();
  /** Folders seen, by device, inode and ctime. A folder that is mounted twice is indexed once. */
  readonly #seen = new Map<number, Map<number, number>>();
  readonly #pending: Pending[] = [];
  /** The folders that came before anything had changed. */
  readonly #kept = new KeptFolders();
  /** The folders that are read for a file in them. */
  #alone: readonly string[] = [];
  #changed = false;
  readonly #budget: MemberBudget;
  /** Members in the new index. */
  #members = 0;
  #reused = 0;
  #reportedMs = 0;

  static async open(
    database: IndexDatabase,
    generation: number,
    old: OldIndex,
    options: RebuildOptions,
  ): Promise<Scan> {
    const avoid = currentMountPoints(options.skipMountTypes ?? OWN_MOUNTS);
    const givenUp = options.givenUp?.map(byteString) ?? [];
    return new Scan(
      database,
      generation,
      old,
      options,
      await AwayParts.find({ state: old.state, store: old.store, avoid, givenUp }),
    );
  }

  private constructor(
    database: IndexDatabase,
    generation: number,
    old: OldIndex,
    options: RebuildOptions,
    away: AwayParts,
  ) {
    this.#database = database;
    this.#options = options;
    this.#budget = new MemberBudget(options.memberLimits ?? MEMBER_LIMITS);
    this.#old = old.state;
    this.#oldIndex = old;
    this.#generation = generation;
    // A folder's record says which of its files are ignored.
    const { ignoreFiles = [] } = options;
    const sameIgnored = JSON.stringify(old.state?.ignoreFiles) === JSON.stringify(ignoreFiles);
    this.#ignore = sameIgnored ? undefined : (createIgnoreTest(ignoreFiles) ?? (() => false));
    this.#incremental = options.full !== true && sameIgnored;
    this.#away = away;
    this.#writer = new GenerationWriter(database, this.#generation);
  }

  async run(): Promise<RebuildResult> {
    const options = this.#options;
    const mounts = currentMountPoints(options.skipMountTypes ?? OWN_MOUNTS);
    const own = (options.own ?? []).map((path) => realPath(byteString(path), mounts, { followAll: true }));
    const avoid = [...mounts, ...own.flatMap((found) => (found !== undefined && 'real' in found ? [found.real] : []))];
    const roots = scanRoots({
      disks: options.disks.map(byteString),
      paths: options.paths?.map(byteString),
      old: (this.#old?.roots ?? []).filter(({ path }) => !this.#away.isGivenUp(path)),
      avoid,
      away: this.#away.folders,
      skip: (reason, path) => this.#skip(reason, 1, path),
    });
    const pool = new WalkPool(options.threads ?? Math.min(4, Math.max(2, availableParallelism())), {
      ignoreFiles: options.ignoreFiles ?? [],
      // The walk uses the name that the user gave the root.
      avoid: roots.flatMap((root) =>
        avoid.filter((path) => isInside(path, root.real)).map((path) => rebase(path, root.real, root.path)),
      ),
      racyMs: options.racyMs ?? 2000,
      growth: this.#growth(),
      budget: this.#budget.shared,
      roots: roots.map(({ path, real }) => ({ path, real })),
    });
    try {
      this.#begin(roots);
      await this.#walk(pool);
      const state = await this.#finish(await this.#rootsNow(roots));
      options.signal?.throwIfAborted();
      await this.#database.writeState(state);
      const { folders, files, bytes, releases } = state;
      this.#report(true);
      for (const [reason, { count, example }] of this.#skipped) {
        options.logger?.debug(`skipped ${count}: ${reason}, for example ${example.toString()}`);
      }
      const away = this.#away.counted();
      return { folders, files, bytes, releases, reused: this.#reused, skipped: this.#skipped, away };
    } catch (error) {
      await this.#writer.abandon();
      throw error;
    } finally {
      await pool.close();
    }
  }

  /** Writes what the walk found. Where nothing has changed, it writes nothing, and the old generation stays. */
  async #finish(roots: readonly IndexRoot[]): Promise<IndexState> {
    const old = this.#old;
    const { folders, files, bytes } = this.#writer;
    if (old !== undefined && this.#incremental && !this.#changed && folders === old.folders) {
      const named = (all: readonly IndexRoot[]): string =>
        JSON.stringify(all.map(({ path, real, disk }) => [path, real, disk]));
      if (named(roots) === named(old.roots)) return { ...old, roots, builtMs: Date.now() };
    }
    if (this.#oldIndex.store !== undefined) await this.#kept.copy(this.#oldIndex.store, this.#writer);
    const releases = await this.#writer.finish();
    const { ignoreFiles = [] } = this.#options;
    const { ids } = this.#writer;
    const counts = { folders, files, bytes, releases };
    return { generation: this.#generation, roots, ids, ...counts, ignoreFiles, builtMs: Date.now() };
  }

  /** The roots, with the mounts by which the next rebuild knows what is away. */
  async #rootsNow(roots: readonly ScanRoot[]): Promise<IndexRoot[]> {
    return await Promise.all(
      roots.map(async ({ path, real, disk }) => {
        const before = this.#old?.roots.find((root) => root.path === path)?.mounts;
        return { path, real, disk, mounts: this.#away.mountsOf(await mountsOf({ path, real }), before) };
      }),
    );
  }

  #growth(): GrowthRules {
    const { settleMs = 0, youngMs = YOUNG_MS, againMs = AGAIN_MS } = this.#options;
    const sinceMs = Date.now() - (this.#old?.builtMs ?? 0);
    return { settleMs, youngMs, againMs, soonAfter: Math.abs(sinceMs) < youngMs };
  }

  #begin(roots: readonly ScanRoot[]): void {
    this.#writer.reserve(roots.length);
    this.#alone = roots.flatMap(({ alone }) => alone);
    for (const [id, root] of roots.entries()) {
      const oldId = this.#old?.roots.findIndex(({ path, real }) => path === root.path && real === root.real) ?? -1;
      this.#pending.push({
        id,
        parent: NONE,
        path: root.path,
        root,
        oldId: oldId < 0 ? NONE : oldId,
        ...takingOf(root.path, root),
      });
    }
  }

  /** Walks the newest folders first, so that the queue stays short. Each worker has two batches, so that it never waits. */
  async #walk(pool: WalkPool): Promise<void> {
    const threads = this.#options.threads ?? Math.min(4, Math.max(2, availableParallelism()));
    const running = new Set<Promise<void>>();
    const { signal } = this.#options;
    let stop = (): void => {};
    const stopped = new Promise<void>((resolve) => {
      stop = resolve;
    });
    signal?.addEventListener('abort', stop, { once: true });
    while (this.#pending.length > 0 || running.size > 0) {
      signal?.throwIfAborted();
      while (this.#pending.length > 0 && running.size < threads * 2) {
        const count = Math.min(TASKS_AT_ONCE, Math.ceil(this.#pending.length / (threads * 2)));
        const batch = this.#visit(pool, this.#pending.splice(-count));
        running.add(batch);
        batch.then(
          () => running.delete(batch),
          () => {},
        );
      }
      // A batch on a disk that answers late is not waited for.
      await Promise.race([stopped, ...running]);
      await this.#writer.caughtUp();
      this.#report(false);
    }
    signal?.removeEventListener('abort', stop);
  }

  async #visit(pool: WalkPool, batch: readonly Pending[]): Promise<void> {
    // What is read anew, whatever the index has, needs nothing of it: it may be damaged.
    const isNeeded = ({ targets, path }: Pending): boolean =>
      this.#incremental || targets !== undefined || this.#away.concerns(path);
    const old = await this.#oldIndex.records(batch.map((folder) => (isNeeded(folder) ? folder.oldId : NONE)));
    const read: { readonly folder: Pending; readonly known: FolderRecord | undefined }[] = [];
    for (const [i, folder] of batch.entries()) {
      if (folder.targets === undefined || folder.alone) read.push({ folder, known: old[i] });
      else await this.#takeOver(folder, old[i]);
    }
    if (read.length === 0) return;
    const answer = await pool.read(read.map(({ folder, known }) => this.#task(folder, known)));
    for (const [reason, count, path] of answer.skips) this.#skip(reason, count, path);
    for (const [i, { folder, known }] of read.entries()) {
      await this.#adopt(folder, answer.readings[i] ?? 'skipped', known);
    }
  }

  #task(folder: Pending, old: FolderRecord | undefined): FolderTask {
    const { path, root } = folder;
    if (old === undefined || !this.#incremental) return { path, root: root !== undefined, known: null };
    // A copy, as it goes to a thread: the record lies in a page that others read.
    return { path, root: root !== undefined, known: old.packed.slice() };
  }

  /** Adds a folder as the old index has it, with the subfolders that lead to each target. */
  async #takeOver(folder: Pending, old: FolderRecord | undefined): Promise<void> {
    const targets = folder.targets ?? [];
    const name = folder.root === undefined ? folder.path.slice(folder.path.lastIndexOf('/') + 1) : folder.path;
    const known = old ?? unreadFolder(name);
    const base = folder.path === '/' ? '/' : `${folder.path}/`;
    const towards = new Set(targets.map((target) => target.slice(base.length).split('/', 1)[0] ?? ''));
    for (let i = 0; i < known.subfolders; i++) towards.delete(known.subfolderName(i));
    const whole = towards.size === 0 ? known : known.withSubfolders([...towards]);
    const record = this.#ignore === undefined ? whole : whole.ignoring(this.#ignore, folder.path);
    this.#away.count(folder.path, record.files);
    if (old !== undefined) this.#reused++;
    await this.#add(folder, record, old);
  }

  async #adopt(folder: Pending, reading: FolderReading, old: FolderRecord | undefined): Promise<void> {
    if (reading === 'skipped') return;
    const found = reading === 'same' ? old : new FolderRecord(reading);
    if (found === undefined) throw damaged('a folder is missing');
    const lacking = this.#away.lackingIn(folder.path, found);
    const record = lacking.length === 0 ? found : found.withSubfolders(lacking);
    if (this.#seenBefore(record)) {
      this.#skip('seen elsewhere already', 1, folder.path);
      return;
    }
    if (reading === 'same') {
      this.#reused++;
      this.#budget.countKept(record.members);
    }
    await this.#add(folder, record, old);
  }

  async #add(folder: Pending, record: FolderRecord, old: FolderRecord | undefined): Promise<void> {
    const oldIds = this.#oldIndex.subfolderIds(folder.oldId, record, old);
    const kept = this.#withinLimits(record, folder.path);
    const first = this.#writer.add(folder.id, folder.parent, kept, folder.root?.disk ?? false);
    if (kept === old && !this.#changed) this.#kept.add(folder.id, folder.oldId);
    else {
      this.#changed = true;
      this.#writer.write(folder.id, kept);
    }
    const base = folder.path === '/' ? '/' : `${folder.path}/`;
    for (let i = 0; i < record.subfolders; i++) {
      const name = record.subfolderName(i);
      const path = base + name;
      const oldId = oldIds?.(name, i) ?? NONE;
      if (this.#away.isGivenUp(path) && folder.targets !== undefined) continue;
      const taking = this.#away.holds(path)
        ? KEEP
        : folder.targets === undefined
          ? READ
          : takingOf(path, { targets: folder.targets, alone: this.#alone });
      // The scan that made the index skipped it, and nobody asked for it now.
      if (oldId === NONE && taking.targets?.length === 0 && !taking.alone) continue;
      this.#pending.push({ id: first + i, parent: folder.id, path, root: undefined, oldId, ...taking });
    }
  }

  /** Walk threads bound what they read; this bounds the index, also by what it had before. */
  #withinLimits(record: FolderRecord, path: string): FolderRecord {
    if (record.members > 0 && this.#members + record.members > (this.#options.memberLimits ?? MEMBER_LIMITS).members) {
      this.#skip(OVER_REBUILD, 1, path);
      return record.withoutMembers();
    }
    this.#members += record.members;
    return record;
  }

  /** Tells if a folder was seen already. Compares the ctime, too: some file systems give several folders one inode number. */
  #seenBefore({ dev, ino, ctime }: FolderRecord): boolean {
    if (ino === 0) return false;
    let inodes = this.#seen.get(dev);
    if (inodes === undefined) this.#seen.set(dev, (inodes = new Map()));
    const known = inodes.get(ino);
    inodes.set(ino, ctime);
    return known !== undefined && Object.is(known, ctime);
  }

  #skip(reason: string, count: number, path: string): void {
    const known = this.#skipped.get(reason);
    if (known === undefined) this.#skipped.set(reason, { count, example: Buffer.from(path, 'latin1') });
    else known.count += count;
  }

  #report(now: boolean): void {
    const ms = performance.now();
    if (!now && ms - this.#reportedMs < 100) return;
    this.#reportedMs = ms;
    const { folders, files, bytes } = this.#writer;
    this.#options.onProgress?.({ folders, files, bytes });
  }
}

/** How a folder is taken of which some paths are read: those of `alone` without what is below them. */
function takingOf(
  path: string,
  { targets, alone }: { readonly targets: readonly string[] | undefined; readonly alone: readonly string[] },
): Taking {
  if (targets === undefined || (targets.includes(path) && !alone.includes(path))) return READ;
  const below = path === '/' ? path : `${path}/`;
  return {
    targets: targets.filter((target) => target !== path && target.startsWith(below)),
    alone: alone.includes(path),
  };
}

/** Converts a path to a byte string (`names.ts`). */
function byteString(path: Buffer | string): string {
  return (typeof path === 'string' ? Buffer.from(path) : path).toString('latin1');
}
