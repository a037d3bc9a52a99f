/**
 * Kept files and their records (`docs/sources.md`, "What would be lost is kept").
 *
 * Each kept file is a *spare* of one source, the *original*, until that is trusted again, is found elsewhere, or no file names it
 * any more. If files name the kept file by then, holes are made of the rest of it; else it goes, some seconds later, since reads
 * may be under way.
 */
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { isAtOrBelow } from '../../native/mountinfo.ts';
import type { Keeping, KeptFiles } from '../../rescue/kept-files.ts';
import type { OwnFiles } from '../../source/own-files.ts';
import type { Readers } from '../../source/readers.ts';
import type { Store } from '../../store/store.ts';
import type { KeptRecords } from './kept-records.ts';

/** Milliseconds before holes are made of what no file names. Reads that began before have ended, and what goes has gone. */
const TRIM_MS = 12_000;
/** Milliseconds of which it does not matter when that is done. */
const TOGETHER_MS = 1000;
/** Milliseconds before what is kept is synced. A file system waits as long before it writes what a program changes. */
const SYNC_MS = 2000;
/** What the condition of a kept file says of it: a predicate. */
const REASON = 'was kept of a file that changed, and was not hashed yet';

export interface KeptSourcesParts {
  readonly store: Store;
  readonly files: KeptFiles;
  /** Kept files that were made in advance (`server/protect/`). Default: none. */
  readonly pins?: Pick<KeptFiles, 'isKept' | 'sync'>;
  /** The pool's folder: what is kept there lies on no disk of its own. */
  readonly pool: string;
  /** Tells if the healer has yet to decide what became of a source. */
  readonly isOpenCase: (id: number) => boolean;
  readonly logger: Logger;
}

/** A file that was kept, as it is to be recorded. */
type Kept = Extract<Keeping, { kind: 'kept' }>;

/** Kept files as the store deletes them: a disk that does not answer must not keep it waiting. */
export function ownFilesOf(
  files: Pick<KeptFiles, 'isKept' | 'drop'>,
  logger: Logger,
  pins?: Pick<KeptFiles, 'isKept' | 'drop'>,
): OwnFiles {
  return {
    isOwn: (path) => files.isKept(path) || pins?.isKept(path) === true,
    isPin: (path) => pins?.isKept(path) === true,
    release(path) {
      const own = pins?.isKept(path) === true ? pins : files;
      own.drop(path).catch((error: unknown) => {
        logger.warn(`${path.toString()} stays until the next start: ${messageOf(error)}`);
      });
      return Promise.resolve();
    },
  };
}

export class KeptSources {
  readonly #parts: KeptSourcesParts;
  readonly #pool: Buffer;
  /** Originals by the ids of their kept files, the oldest first. */
  readonly #originals = new Map<number, number>();
  /** Kept files that are mapped now, or are to go. */
  readonly #mapping = new Map<number, number>();
  readonly #going = new Set<number>();
  /** By the original: its kept files are being let go. */
  readonly #lettingGo = new Map<number, Promise<void>>();
  /** Kept files that nothing may need as a whole, and when holes are made of them: `performance.now()`. */
  readonly #trims = new Map<number, number>();
  readonly #syncs = new Set<number>();
  #timer: NodeJS.Timeout | undefined;
  #syncTimer: NodeJS.Timeout | undefined;
  /** Syncs and trims, one after the other. */
  #working: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(parts: KeptSourcesParts) {
    this.#parts = parts;
    this.#pool = Buffer.from(parts.pool);
  }

  /** Deletes what no record names, and takes up the rest. Returns the sources that have spares here. */
  async load({ paths, originals }: KeptRecords): Promise<ReadonlySet<number>> {
    const { files } = this.#parts;
    const kept = [...paths].filter(([, path]) => files.isKept(path));
    for (const [id] of kept) {
      const original = originals.get(id);
      if (original !== undefined) this.#originals.set(id, original);
    }
    await files.clean(kept.map(([, path]) => path));
    // A crash may have come before.
    for (const [id] of kept) if (!this.#originals.has(id)) this.#trimLater(id);
    return new Set(this.#originals.values());
  }

  /** Tells if something is kept of a source. */
  has(original: number): boolean {
    return this.of(original).length > 0;
  }

  /** Tells if a source is kept as a whole. What was kept of one in part ends earlier. */
  hasWhole(original: number): boolean {
    return this.#wholeOf(original).length > 0;
  }

  /** The same, where a write to the source does not reach it. */
  hasApart(original: number): boolean {
    return this.#wholeOf(original).some((id) => !this.#isHardLink(id));
  }

  #wholeOf(original: number): readonly number[] {
    const sizeOf = (id: number): number => this.#parts.store.source(id)?.size ?? 0;
    return this.of(original).filter((id) => sizeOf(id) >= sizeOf(original));
  }

  /** Lists the kept files of a source. */
  of(original: number): readonly number[] {
    return this.#parts.store.living.keptOf(original);
  }

  /** Records a kept file. Returns its id; undefined if the source is gone meanwhile. @throws AutotorrentError('STORE') */
  async add(original: number, { path, identity }: Kept, readers: Readers): Promise<number | undefined> {
    const { store, files } = this.#parts;
    const disk = isAtOrBelow(path, this.#pool) ? undefined : store.source(original)?.disk;
    const file = { path, ...identity, spares: [], readers, ...(disk === undefined ? {} : { disk }) };
    const id = await store.living.keep(original, file, REASON);
    if (id === undefined) {
      await files.drop(path);
      return undefined;
    }
    this.#originals.set(id, original);
    this.#syncLater(id);
    return id;
  }

  /** Resolves when what is being let go of a source is no spare of it any more. Never rejects. */
  async goingOf(original: number): Promise<void> {
    await this.#lettingGo.get(original)?.catch(() => {});
  }

  /** The original needs its kept files no more: those that no file names go. @throws AutotorrentError('STORE') */
  async letGo(original: number): Promise<void> {
    const running = this.#lettingGo.get(original);
    if (running !== undefined) return await running;
    const kept = this.of(original);
    if (kept.length === 0) return;
    const going = this.#letGo(original, kept).finally(() => this.#lettingGo.delete(original));
    this.#lettingGo.set(original, going);
    await going;
  }

  async #letGo(original: number, kept: readonly number[]): Promise<void> {
    await this.#parts.store.living.letGo(original);
    for (const id of kept) {
      this.#originals.delete(id);
      this.#trimLater(id);
    }
  }

  /**
   * Syncs kept files, by their ids, and has files mapped to them then. Undefined if one of them goes, or cannot be synced.
   * @throws the errors of `map`
   */
  async mapped<T>(ids: readonly number[], map: () => Promise<T>): Promise<T | undefined> {
    const { store } = this.#parts;
    for (const id of ids) this.#mapping.set(id, (this.#mapping.get(id) ?? 0) + 1);
    try {
      for (const id of ids) {
        const path = store.source(id)?.path;
        if (path === undefined || this.#going.has(id) || !(await this.#isSynced(path))) return undefined;
        if (this.#isHardLink(id)) await this.#doubt(id);
      }
      return await map();
    } finally {
      for (const id of ids) {
        const left = (this.#mapping.get(id) ?? 1) - 1;
        if (left === 0) this.#mapping.delete(id);
        else this.#mapping.set(id, left);
        this.#trimLater(id);
      }
    }
  }

  /** Others may have written to a hard link, and may do so still: it is hashed before it is served. */
  async #doubt(id: number): Promise<void> {
    const { living } = this.#parts.store;
    if (living.condition(id) !== undefined) return;
    living.setCondition(id, { state: 'doubted', reason: 'is a hard link, and was not hashed yet', unproven: true });
    await living.settled();
  }

  #isHardLink(id: number): boolean {
    const record = this.#parts.store.source(id);
    return record?.ctimeNs === undefined && record !== undefined && this.#parts.pins?.isKept(record.path) === true;
  }

  async #isSynced(path: Buffer): Promise<boolean> {
    const { files, pins, logger } = this.#parts;
    return await (pins?.isKept(path) === true ? pins : files).sync(path).then(
      () => true,
      (error: unknown) => {
        logger.warn(`${path.toString()} cannot be mapped: ${messageOf(error)}`);
        return false;
      },
    );
  }

  /**
   * The paths of kept files that nothing needs yet, the oldest first: their originals are mapped, and have yet to be hashed in
   * full. What was deleted, or is open for writing, may be nowhere else.
   */
  expendable(): readonly Buffer[] {
    const { store, isOpenCase } = this.#parts;
    return [...this.#originals].flatMap(([id, original]) => {
      const condition = store.living.condition(original);
      const isMapped = condition?.state === 'doubted' && condition.opened !== true && !isOpenCase(original);
      return isMapped ? (store.source(id)?.path ?? []) : [];
    });
  }

  /** Deletes the record of a kept file, unless files name it. True: it is deleted. @throws AutotorrentError('STORE') */
  async giveUp(path: Buffer): Promise<boolean> {
    const { living } = this.#parts.store;
    const [id] = living.sourcesAt(path);
    const original = id === undefined ? undefined : this.#originals.get(id);
    if (id === undefined || original === undefined || this.#mapping.has(id) || this.#going.has(id)) return false;
    this.#going.add(id);
    try {
      if ((await living.rangesOf(id)).length > 0) return false;
      await living.forget(id, original);
      this.#originals.delete(id);
      return true;
    } finally {
      this.#going.delete(id);
    }
  }

  /** Most of what is kept of files that somebody opens for writing is let go at once. */
  #syncLater(id: number): void {
    this.#syncs.add(id);
    if (this.#closed) return;
    this.#syncTimer ??= setTimeout(() => {
      this.#syncTimer = undefined;
      this.#work(async () => await this.#sync());
    }, SYNC_MS).unref();
  }

  async #sync(): Promise<void> {
    const ids = [...this.#syncs];
    this.#syncs.clear();
    const { store, files } = this.#parts;
    await Promise.all(
      ids.map(async (id) => {
        const path = store.source(id)?.path;
        if (path !== undefined && this.#isSpare(id)) await this.#trying(path, async () => await files.sync(path));
      }),
    );
    await store.sync();
  }

  #trimLater(id: number): void {
    // Pins stay whole.
    const path = this.#parts.store.source(id)?.path;
    if (path !== undefined && this.#parts.pins?.isKept(path) === true) return;
    this.#trims.set(id, performance.now() + TRIM_MS);
    this.#armTrims();
  }

  #armTrims(): void {
    if (this.#closed || this.#trims.size === 0) return;
    this.#timer ??= setTimeout(() => this.#trim(), Math.min(...this.#trims.values()) - performance.now()).unref();
  }

  #trim(): void {
    this.#timer = undefined;
    const { store, files } = this.#parts;
    // Those that come soon are done with them.
    const due = performance.now() + TOGETHER_MS;
    const ids = [...this.#trims].flatMap(([id, at]) => (at <= due ? [id] : []));
    for (const id of ids) this.#trims.delete(id);
    const trimmed = new Map<number, Buffer>();
    for (const id of ids) {
      const path = store.source(id)?.path;
      if (path === undefined) {
        this.#originals.delete(id);
        continue;
      }
      const original = this.#originals.get(id);
      if (original !== undefined && this.#isSpare(id)) {
        // Others may need more of it.
        if (store.living.condition(original) !== undefined) this.#trimLater(id);
        continue;
      }
      this.#originals.delete(id);
      trimmed.set(id, path);
    }
    this.#armTrims();
    this.#work(async () => {
      // All are asked for at once: the files of their entries are looked through once.
      await Promise.all(
        [...trimmed].map(async ([id, path]) => {
          await this.#trying(path, async () => {
            const ranges = await store.living.rangesOf(id);
            if (ranges.length > 0) await files.trim(path, ranges);
          });
        }),
      );
    });
  }

  /** Tells if a kept file stands in for its original still. */
  #isSpare(id: number): boolean {
    const original = this.#originals.get(id);
    return original !== undefined && this.#parts.store.source(original)?.spares.includes(id) === true;
  }

  async #trying(path: Buffer, work: () => Promise<void>): Promise<void> {
    await work().catch((error: unknown) => {
      if (!this.#closed) this.#parts.logger.warn(`${path.toString()} could not be synced or cut: ${messageOf(error)}`);
    });
  }

  #work(work: () => Promise<void>): void {
    this.#working = this.#working.then(work).catch((error: unknown) => {
      if (!this.#closed) this.#parts.logger.warn(`what is kept could not be synced or cut: ${messageOf(error)}`);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#syncTimer);
    this.#work(async () => await this.#sync());
    await this.#working;
  }
}
