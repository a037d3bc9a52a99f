/**
 * Decides when the index of the collection is renewed before a source is given up (docs/sources.md, "Before anything is lost").
 *
 * The healer asks for each case, and renews the index if it is told to. One rebuild serves all cases that are open, so it begins
 * when no new ones come, and each disk is read again only after `every` milliseconds. Disks that sleep are left alone; a person who
 * waits is reason enough for everything.
 *
 * A disk of the configuration is *known* since the begin of its last rebuild, as long as the same file systems lie at and below
 * its folder. All times are milliseconds since 1970.
 */

/** A disk of the configuration as it is now. */
export interface DiskNow {
  /** As the configuration has it. */
  readonly path: string;
  /** The file systems at and below it, as sources record them. */
  readonly fileSystems: readonly string[];
}

/** A case that nothing but a newer index can explain. */
export interface IndexQuestion {
  /** The source. */
  readonly id: number;
  /** Its bytes had left their place by then. */
  readonly leftMs: number;
  readonly disks: readonly DiskNow[];
}

/**
 * `begun`: when the last of all rebuilds began. `renew`: the caller rebuilds these disks, reports it, and asks again. `reason`: a
 * predicate.
 */
export type IndexAnswer =
  | { readonly state: 'fresh'; readonly begun: number }
  | { readonly state: 'renew'; readonly disks: readonly string[] }
  | { readonly state: 'later'; readonly reason: string };

export interface IndexRenewalParts {
  /** Which disks something else has used lately (`watch/disk-use.ts`). */
  readonly use: {
    readonly look: () => Promise<void>;
    readonly usedLately: (disk: string) => boolean;
    readonly ownWork: <T>(disk: string, work: () => Promise<T>) => Promise<T>;
  };
  readonly times?: RenewalTimes;
  /** Default: `Date.now`. */
  readonly now?: () => number;
}

/** In milliseconds. */
export interface RenewalTimes {
  /** From the begin of a rebuild of a disk to that of the next. */
  readonly every: number;
  /** Without a new loss before a rebuild begins: who moves files moves several. */
  readonly quiet: number;
  /** The longest wait for that. */
  readonly patience: number;
  /** Before another attempt, if a rebuild failed. */
  readonly failed: number;
}

const TIMES: RenewalTimes = { every: 10 * 60_000, quiet: 5000, patience: 60_000, failed: 60_000 };

export class IndexRenewal {
  readonly #parts: IndexRenewalParts;
  readonly #times: RenewalTimes;
  readonly #now: () => number;
  /** By path: the begin of the last rebuild, and what lay there. */
  readonly #known = new Map<string, { readonly begunMs: number; readonly key: string }>();
  #lastMs = 0;
  #running: { readonly disks: readonly DiskNow[]; readonly end: () => void } | undefined;
  /** By path: when the last rebuild was begun here. */
  readonly #begunMs = new Map<string, number>();
  #failedUntilMs = Number.NEGATIVE_INFINITY;
  /** Of the cases that wait for a rebuild: when the first asked, and the latest loss. */
  #waiting: { readonly firstMs: number; readonly latestMs: number } | undefined;
  /** By source: when a disk is due, and the file systems that slept when they were to be read for it. */
  readonly #later = new Map<number, { readonly atMs: number; readonly asleep: readonly string[] }>();
  #failure = '';
  #looking = false;

  constructor(parts: IndexRenewalParts) {
    this.#parts = parts;
    this.#times = parts.times ?? TIMES;
    this.#now = parts.now ?? Date.now;
  }

  /** `person`: somebody waits for the answer. */
  async ask({ id, leftMs, disks }: IndexQuestion, person: boolean): Promise<IndexAnswer> {
    this.#later.delete(id);
    const stale = disks.filter((disk) => !this.#isKnownSince(disk, leftMs));
    if (stale.length === 0) return { state: 'fresh', begun: this.#lastMs };
    const quietMs = person || this.#running !== undefined ? 0 : this.#quietMs(leftMs);
    if (quietMs > this.#now()) return this.#noted(id, quietMs);
    const due = person ? stale : stale.filter((disk) => this.#dueMs(disk) <= this.#now());
    const dueMs = Math.min(...stale.filter((disk) => !due.includes(disk)).map((disk) => this.#dueMs(disk)));
    if (due.length === 0) return this.#noted(id, dueMs);
    const { use } = this.#parts;
    await use.look();
    if (this.#running !== undefined) return this.#noted(id, this.#now());
    const awake = person ? due : due.filter(({ fileSystems }) => fileSystems.every((one) => use.usedLately(one)));
    if (awake.length > 0) return this.#begin(awake);
    const asleep = due.flatMap(({ fileSystems }) => fileSystems.filter((one) => !use.usedLately(one)));
    this.#later.set(id, { atMs: dueMs, asleep });
    const which = due.map(({ path }) => path).join(', ');
    return later(`is looked for on ${which} once that is in use again: autotorrent verify does not wait for it`);
  }

  /** A rebuild of these disks, which began at `begunMs`, has ended. True if it was asked for here. */
  renewed(disks: readonly DiskNow[], begunMs: number): boolean {
    const isOwn = this.#running !== undefined;
    for (const disk of disks) this.#known.set(disk.path, { begunMs, key: keyOf(disk) });
    [this.#lastMs, this.#failure] = [begunMs, ''];
    this.#end();
    return isOwn;
  }

  /** The rebuild that the healer was told to make has failed, or the healer has ended. */
  failed(reason: string): void {
    if (this.#running === undefined) return;
    this.#failure = reason;
    this.#failedUntilMs = this.#now() + this.#times.failed;
    for (const { path } of this.#running.disks) this.#begunMs.delete(path);
    this.#end();
  }

  /** Milliseconds until the answer to a case may be another one. */
  againMs(id: number): number {
    const { atMs, asleep } = this.#later.get(id) ?? { atMs: 0, asleep: [] };
    return Math.max(this.#times.quiet, asleep.length > 0 ? 0 : atMs - this.#now());
  }

  /** False as long as all disks sleep that were to be read for a case. */
  isReady(id: number): boolean {
    const { atMs, asleep } = this.#later.get(id) ?? { atMs: 0, asleep: [] };
    if (asleep.length === 0 || atMs <= this.#now()) return true;
    // For the next time, once for all cases.
    if (!this.#looking) {
      this.#looking = true;
      void this.#parts.use.look().finally(() => {
        this.#looking = false;
      });
    }
    return asleep.some((one) => this.#parts.use.usedLately(one));
  }

  #isKnownSince(disk: DiskNow, leftMs: number): boolean {
    const known = this.#known.get(disk.path);
    return known !== undefined && known.begunMs > leftMs && known.key === keyOf(disk);
  }

  /** When a rebuild may begin, by the losses and the last failure. */
  #quietMs(leftMs: number): number {
    const { firstMs = this.#now(), latestMs = leftMs } = this.#waiting ?? {};
    this.#waiting = { firstMs, latestMs: Math.max(latestMs, leftMs) };
    const quiet = Math.min(this.#waiting.latestMs + this.#times.quiet, firstMs + this.#times.patience);
    return Math.max(this.#failedUntilMs, quiet);
  }

  /** When a disk may be read again. */
  #dueMs({ path }: DiskNow): number {
    return (this.#begunMs.get(path) ?? Number.NEGATIVE_INFINITY) + this.#times.every;
  }

  #noted(id: number, atMs: number): IndexAnswer {
    this.#later.set(id, { atMs, asleep: [] });
    const minutes = Math.ceil((atMs - this.#now() - this.#times.quiet) / 60_000);
    const when = minutes > 0 ? `in ${minutes} minute(s)` : 'in a moment';
    const failed = this.#failure === '' ? '' : ` (it could not be: ${this.#failure})`;
    return later(`is looked for again when the index is renewed, ${when}${failed}`);
  }

  #begin(disks: readonly DiskNow[]): IndexAnswer {
    for (const { path } of disks) this.#begunMs.set(path, this.#now());
    this.#waiting = undefined;
    let end = (): void => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#running = { disks, end };
    // What it reads must not keep disks from sleeping.
    for (const one of new Set(disks.flatMap(({ fileSystems }) => fileSystems))) {
      this.#parts.use.ownWork(one, async () => await ended).catch(() => {});
    }
    return { state: 'renew', disks: disks.map(({ path }) => path) };
  }

  #end(): void {
    this.#running?.end();
    this.#running = undefined;
  }
}

function keyOf({ fileSystems }: DiskNow): string {
  return fileSystems.toSorted().join(' ');
}

function later(reason: string): IndexAnswer {
  return { state: 'later', reason };
}
