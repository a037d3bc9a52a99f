/**
 * Leases on the open sources (`docs/sources.md`): who is about to write to a source waits until what would be lost is kept.
 *
 * A trusted source gets a lease soon after it was opened. When a writer comes, it is doubted at once, `beforeWrite` keeps what is
 * needed, and the lease is given back. Then it is tried again, with growing pauses. The kernel grants a lease only when nobody has
 * the file open for writing: so a lease on a file that is as recorded proves that whoever opened it has changed nothing.
 */
import { messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { longerPause, type Pauses } from '../longer-pause.ts';
import type { Taken } from '../native/leases.ts';
import type { SourceFile } from './source-file.ts';

/** Milliseconds between tries to get a lease again. */
const SHORTEST_MS = 50;
const PAUSES: Pauses = [SHORTEST_MS, 60_000];
/** So many sources are tried again at once, and that often in milliseconds: nobody waits for it, and others read meanwhile. */
const TRIED_AT_ONCE = 4;
const LOT_MS = 50;
/** Milliseconds without a writer after which pauses begin anew. */
const PEACE_MS = 60 * 60_000;
/** Sources whose pauses are remembered. */
const MOST_PAUSES = 10_000;

/** Takes leases, and hears of writers (`leases/lease-keeper.ts`). */
export interface Leases {
  readonly listen: (listener: {
    readonly onWanted: (fds: readonly number[]) => void;
    readonly onLate: (fds: readonly number[]) => void;
    readonly onGone: () => void;
    readonly onBack: () => void;
  }) => void;
  readonly take: (fd: number) => Promise<Taken>;
  readonly giveBack: (fd: number) => void;
  readonly forget: (fd: number) => Promise<void> | undefined;
}

/** Whose sources they are. */
export interface LeasedDoubts {
  /** Tells if a source is trusted, or would be if nobody had opened it for writing. */
  mayBeLeased(id: number): boolean;
  /** Tells if a source is doubted for no other reason than that somebody has opened it for writing. */
  wasOpened(id: number): boolean;
  /** Notes that somebody opens a source for writing. */
  opened(id: number, file: Pick<SourceFile, 'identity'>): void;
  /** Notes that a source can have no lease: not that, but proofs end its doubt. */
  unleasable(id: number): void;
  /** Notes that whoever had it open has changed nothing. Returns the doubt that stays. */
  unwritten(id: number): number;
}

export interface LeaseOptions {
  readonly leases: Leases;
  readonly doubts: LeasedDoubts;
  /** Keeps what would be lost of a source before its first byte changes. */
  readonly beforeWrite?: (id: number, file: SourceFile) => Promise<void>;
  /** Whoever came has changed nothing: what was kept is not needed. */
  readonly unchanged?: (id: number) => void;
}

/** Hears of those who write to leased sources, in the turn in which the lease thread reports them. */
export interface Writers {
  /** Somebody may write to an open file from now on: its lease is given back, or there are no leases any more. */
  readonly come: (file: SourceFile) => void;
  /** Whoever had it open for writing has changed nothing, and there is a lease again. */
  readonly gone: (file: SourceFile) => void;
}

export interface LeasedSourcesOptions extends LeaseOptions {
  readonly writers?: Pick<Writers, 'come'> | undefined;
  /** Called after each try. `hasNoWriter`: nobody has the file open for writing, and somebody had. */
  readonly onTried: (file: SourceFile, hasNoWriter: boolean) => Promise<void>;
  /** The open files that may have leases. */
  readonly open: () => readonly SourceFile[];
  /** Has `noteOpen` called with the open file of a source, which is opened for that if need be. */
  readonly reopen: (id: number) => Promise<void>;
  readonly logger: Logger;
}

/** How many leases are held, and for how many of them writers wait. */
export interface LeaseCounts {
  readonly held: number;
  readonly wanted: number;
}

interface Pause {
  ms: number;
  /** Until when no lease is tried, and when the last writer came; `performance.now()`. */
  until: number;
  wantedAt: number;
}

/** The lease on an open file. */
interface Lease {
  readonly file: SourceFile;
  state: 'asked' | 'held' | 'wanted' | 'none';
  /** Resolves when it is known whether it was granted. Never rejects. */
  answered: Promise<unknown>;
}

export class LeasedSources {
  readonly #options: LeasedSourcesOptions;
  readonly #states = new Map<number, Lease>();
  readonly #pauses = new Map<number, Pause>();
  readonly #timers = new Map<number, NodeJS.Timeout>();
  /** Those whose pause is over. */
  readonly #due = new Set<number>();
  #lot: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: LeasedSourcesOptions) {
    this.#options = options;
    options.leases.listen({
      onWanted: (fds) => this.#wanted(fds),
      onLate: (fds) => this.#late(fds),
      // Whoever waited has gone on: what he does is found by the look after the next read.
      onGone: () => this.#allGone(),
      onBack: () => this.#takeAll(),
    });
  }

  get counts(): LeaseCounts {
    let [held, wanted] = [0, 0];
    for (const { state } of this.#states.values()) {
      if (state === 'held') held++;
      else if (state === 'wanted') wanted++;
    }
    return { held, wanted };
  }

  /** Notes that a source is open, and in which condition: it gets a lease if it may have one. */
  noteOpen(file: SourceFile): void {
    const { doubts } = this.#options;
    if (file.closed || this.#closed || this.#states.has(file.fd)) return;
    if (!file.leasable) {
      doubts.unleasable(file.id);
      return;
    }
    if (!doubts.mayBeLeased(file.id)) return;
    const wait = (this.#pauses.get(file.id)?.until ?? 0) - performance.now();
    if (wait > 0) this.#tryIn(file.id, wait);
    else {
      // A file without a user may be closed at any time.
      file.begin();
      this.#try(file)
        .catch((error: unknown) => {
          this.#options.logger.error(`the lease of ${file.record.path.toString()}: ${messageOf(error)}`);
        })
        .finally(() => file.done());
    }
  }

  /** Takes up sources that were doubted since somebody opened them: what became of that is found out. */
  takeUp(ids: Iterable<number>): void {
    for (const id of ids) this.#tryIn(id, this.#longerPause(id));
  }

  /** Gives up the lease of a file that is about to be closed. The descriptor may be closed when this resolves. */
  closing(file: SourceFile): Promise<void> | undefined {
    if (this.#states.get(file.fd)?.file === file) this.#states.delete(file.fd);
    // What became of it is found out, also if nobody reads it any more.
    const until = this.#pauses.get(file.id)?.until ?? 0;
    if (this.#options.doubts.wasOpened(file.id)) {
      this.#tryIn(file.id, Math.max(SHORTEST_MS, until - performance.now()));
    }
    return this.#options.leases.forget(file.fd);
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    clearTimeout(this.#lot);
  }

  async #try(file: SourceFile): Promise<void> {
    const { leases, doubts, onTried } = this.#options;
    const taking = leases.take(file.fd);
    const known: Lease = { file, state: 'asked', answered: taking.catch(() => {}) };
    this.#states.set(file.fd, known);
    const taken = await taking;
    // It was closed meanwhile, or wanted at once.
    if (this.#states.get(file.fd) !== known || known.state !== 'asked') return;
    known.state = taken === 'held' ? 'held' : 'none';
    if (taken === 'none') doubts.unleasable(file.id);
    if (taken === 'busy') {
      this.#states.delete(file.fd);
      this.#tryIn(file.id, this.#longerPause(file.id));
    }
    await onTried(file, taken === 'held' && doubts.wasOpened(file.id));
  }

  /** Tells if the lease of a file is held, and no writer waits for it. */
  isHeld(file: SourceFile): boolean {
    const known = this.#states.get(file.fd);
    return known?.file === file && known.state === 'held';
  }

  /** Waits until it is known whether a file gets the lease that was asked for; undefined: that is known. */
  answered(file: SourceFile): Promise<unknown> | undefined {
    const known = this.#states.get(file.fd);
    return known?.file === file && known.state === 'asked' ? known.answered : undefined;
  }

  #allGone(): void {
    const held = [...this.#states.values()].filter(({ state }) => state === 'held');
    this.#states.clear();
    for (const { file } of held) this.#options.writers?.come(file);
  }

  #wanted(fds: readonly number[]): void {
    const wanted: Lease[] = [];
    for (const fd of fds) {
      const known = this.#states.get(fd);
      if (known !== undefined) this.#options.writers?.come(known.file);
      if (known === undefined || known.file.closed) {
        this.#options.leases.giveBack(fd);
        continue;
      }
      known.state = 'wanted';
      wanted.push(known);
    }
    // All are doubted before anything is kept of the first.
    for (const { file } of wanted) this.#options.doubts.opened(file.id, file);
    for (const lease of wanted) void this.#keep(lease);
  }

  async #keep(lease: Lease): Promise<void> {
    const { beforeWrite, leases, logger } = this.#options;
    const { file } = lease;
    file.begin();
    try {
      await beforeWrite?.(file.id, file);
    } catch (error) {
      logger.warn(`${file.record.path.toString()} is written to, and nothing of it was kept: ${messageOf(error)}`);
    } finally {
      // Another thread may have taken one since.
      if (this.#states.get(file.fd) === lease) leases.giveBack(file.fd);
      this.#ended(lease);
      file.done();
    }
  }

  /** Leases can be taken again: on all that is open. */
  #takeAll(): void {
    // None were to be had meanwhile.
    this.#states.clear();
    for (const file of this.#options.open()) this.noteOpen(file);
  }

  /** Writers have gone on. What is kept of their files may be under way still. */
  #late(fds: readonly number[]): void {
    for (const fd of fds) {
      const known = this.#states.get(fd);
      if (known?.state === 'wanted') known.state = 'none';
    }
  }

  #ended(lease: Lease): void {
    const { file } = lease;
    if (this.#states.get(file.fd) === lease) this.#states.delete(file.fd);
    const pause = this.#pauses.get(file.id);
    const now = performance.now();
    if (pause !== undefined && now - pause.wantedAt > PEACE_MS) this.#pauses.delete(file.id);
    const ms = this.#longerPause(file.id);
    const next = this.#pauses.get(file.id);
    if (next !== undefined) next.wantedAt = now;
    this.#tryIn(file.id, ms);
  }

  /** The pause before the next try: each is twice as long as the last. */
  #longerPause(id: number): number {
    if (this.#pauses.size >= MOST_PAUSES) this.#pauses.clear();
    const before = this.#pauses.get(id);
    const ms = longerPause(before?.ms ?? 0, PAUSES);
    const now = performance.now();
    this.#pauses.set(id, { ms, until: now + ms, wantedAt: before?.wantedAt ?? now });
    return ms;
  }

  #tryIn(id: number, ms: number): void {
    if (this.#closed || this.#timers.has(id) || this.#due.has(id)) return;
    const isOver = (): void => {
      this.#timers.delete(id);
      this.#due.add(id);
      if (this.#lot === undefined) this.#tryLot();
    };
    this.#timers.set(id, setTimeout(isOver, ms).unref());
  }

  #tryLot(): void {
    this.#lot = undefined;
    if (this.#due.size === 0) return;
    this.#lot = setTimeout(() => this.#tryLot(), LOT_MS).unref();
    for (const id of [...this.#due].slice(0, TRIED_AT_ONCE)) {
      this.#due.delete(id);
      this.#tryAgain(id);
    }
  }

  #tryAgain(id: number): void {
    void this.#options.reopen(id).catch((error: unknown) => {
      this.#options.logger.debug(`source ${id} cannot be opened to end its doubt: ${messageOf(error)}`);
      this.#tryIn(id, this.#longerPause(id));
    });
  }
}
