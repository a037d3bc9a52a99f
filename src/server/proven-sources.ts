/**
 * Ends the doubts of sources of which all pieces were proven: their files are recorded as they are now.
 *
 * It learns from the store of each proof, whoever made it (a reader, `scrub`, `verify`, the healer), and of what else may have
 * left a doubted source with nothing to prove. Pieces with a gap are proven by nobody, and hold up nothing.
 */
import { messageOf } from '../errors.ts';
import { GAP } from '../extent/extent.ts';
import type { Logger } from '../logger.ts';
import type { Condition } from '../source/condition.ts';
import type { Store } from '../store/store.ts';

/** Milliseconds after a proof before an entry is looked at: a reader proves many pieces. */
const QUIET_MS = 3000;
/** The longest wait while proofs go on coming. */
const LONGEST_MS = 30_000;
/** Sources between two turns of the event loop. */
const PAGE = 500;

export interface ProvenSourcesParts {
  readonly store: Store;
  readonly logger: Logger;
  /** Notes a case: somebody has to look at the source. Absent: nobody settles cases. */
  readonly note?: (id: number) => void;
}

/** The part of an entry that says which of its pieces its files touch. */
interface Pieces {
  readonly infoHash: string;
  readonly pieceLength: number;
}

export class ProvenSources {
  readonly #parts: ProvenSourcesParts;
  readonly #unwatch: () => void;
  /** Entries with new proofs. */
  #entries = new Set<number>();
  /** Doubted sources of which less may be left to prove. */
  #sources = new Set<number>();
  #timer: NodeJS.Timeout | undefined;
  #waitingSince = 0;
  #looking: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(parts: ProvenSourcesParts) {
    this.#parts = parts;
    const { store } = parts;
    this.#unwatch = store.watch({
      proven: (entry) => {
        this.#entries.add(entry);
        this.#soon();
      },
      sourcesChanged: (ids) => {
        for (const id of ids) if (store.living.condition(id)?.state === 'doubted') this.#noteSource(id);
      },
      // Proofs of this very file may be older.
      conditionChanged: (id, before, now) => {
        if (now?.state !== 'doubted' || before?.epoch !== now.epoch) return;
        if (before.state !== 'doubted' || before.opened !== now.opened) this.#noteSource(id);
      },
    });
  }

  /** Takes up the doubted sources that an earlier server left: all of their pieces may be proven. */
  async start(): Promise<void> {
    let seen = 0;
    for (const [id, { state }] of this.#parts.store.living.conditions()) {
      if (state === 'doubted') this.#sources.add(id);
      if (++seen % PAGE === 0) await turn();
    }
    if (this.#sources.size > 0) this.#soon();
  }

  #noteSource(id: number): void {
    this.#sources.add(id);
    this.#soon();
  }

  #soon(): void {
    if (this.#closed) return;
    const now = performance.now();
    if (this.#timer === undefined) this.#waitingSince = now;
    clearTimeout(this.#timer);
    const wait = Math.max(0, Math.min(QUIET_MS, this.#waitingSince + LONGEST_MS - now));
    this.#timer = setTimeout(() => void this.look(), wait).unref();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#unwatch();
    clearTimeout(this.#timer);
    await this.#looking;
  }

  /** Looks at all that was noted. Never rejects: an entry that cannot be looked at is looked at again after the next proof. */
  async look(): Promise<void> {
    this.#looking = this.#looking.then(async () => await this.#lookAtAll());
    await this.#looking;
  }

  async #lookAtAll(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const [entries, sources] = [this.#entries, this.#sources];
    [this.#entries, this.#sources] = [new Set(), new Set()];
    await this.#addUsers(sources, entries);
    for (const entry of entries) {
      if (this.#closed) return;
      await this.#try(
        async () => await this.#lookAt(entry),
        () => this.#entries.add(entry),
      );
      await turn();
    }
  }

  async #addUsers(sources: ReadonlySet<number>, entries: Set<number>): Promise<void> {
    let seen = 0;
    for (const id of sources) {
      if (this.#closed) return;
      await this.#try(
        async () => {
          for (const entry of await this.#parts.store.living.usersOf(id)) entries.add(entry);
        },
        () => this.#sources.add(id),
      );
      if (++seen % PAGE === 0) await turn();
    }
  }

  async #try(work: () => Promise<void>, failed: () => void): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (this.#closed) return;
      failed();
      this.#parts.logger.warn(`sources stay doubted although they may be proven: ${messageOf(error)}`);
    }
  }

  async #lookAt(entry: number): Promise<void> {
    const { store } = this.#parts;
    const found = await store.entryById(entry);
    if (found === undefined) return;
    /** As they are when this begins: what changes meanwhile is not judged. */
    const doubted = new Map<number, Condition>();
    for await (const { base } of store.files(found.infoHash)) {
      for (const { source } of base) {
        const condition = source >= 0 && !doubted.has(source) ? store.living.condition(source) : undefined;
        // Whoever has it open for writing may write yet: its doubt ends with a lease.
        if (condition?.state === 'doubted' && condition.opened !== true) doubted.set(source, condition);
      }
    }
    if (doubted.size === 0) return;
    for (const id of await this.#unproven(entry, found, doubted)) doubted.delete(id);
    for (const [user, shared] of await this.#otherUsers(entry, doubted)) {
      const other = await store.entryById(user);
      if (other === undefined) continue;
      for (const id of await this.#unproven(user, other, shared)) doubted.delete(id);
    }
    await this.#trust(doubted);
  }

  /** Lists the other entries that use sources, and which of these. */
  async #otherUsers(
    entry: number,
    sources: ReadonlyMap<number, Condition>,
  ): Promise<ReadonlyMap<number, ReadonlyMap<number, Condition>>> {
    const users = new Map<number, Map<number, Condition>>();
    for (const [id, condition] of sources) {
      for (const user of await this.#parts.store.living.usersOf(id)) {
        if (user !== entry) users.set(user, (users.get(user) ?? new Map<number, Condition>()).set(id, condition));
      }
    }
    return users;
  }

  /** Lists those of `doubted` that have bytes in a piece of an entry that was not proven since their doubt. */
  async #unproven(
    entry: number,
    { infoHash, pieceLength }: Pieces,
    doubted: ReadonlyMap<number, Condition>,
  ): Promise<ReadonlySet<number>> {
    const { store } = this.#parts;
    const gaps = new Set<number>();
    const waiting: { readonly source: number; readonly piece: number }[] = [];
    for await (const { base, torrentOffset } of store.files(infoHash)) {
      for (const { source, offset, length } of base) {
        const condition = doubted.get(source);
        if (source !== GAP && condition === undefined) continue;
        // A store of an older version does not say where its files lie in the torrent: -1 is never proven.
        const first = torrentOffset === undefined ? -1 : Math.floor((torrentOffset + offset) / pieceLength);
        const last = torrentOffset === undefined ? -1 : Math.floor((torrentOffset + offset + length - 1) / pieceLength);
        for (let piece = first; piece <= last; piece++) {
          if (source === GAP) gaps.add(piece);
          else if (piece < 0 || store.living.provenAt(entry, piece) < (condition?.epoch ?? 0)) {
            waiting.push({ source, piece });
          }
        }
      }
    }
    return new Set(waiting.filter(({ piece }) => !gaps.has(piece)).map(({ source }) => source));
  }

  async #trust(proven: ReadonlyMap<number, Condition>): Promise<void> {
    const { store, note, logger } = this.#parts;
    const changes: Parameters<Store['living']['changeSources']>[0][number][] = [];
    for (const [id, { epoch, observed }] of proven) {
      const was = store.source(id);
      const now = store.living.condition(id);
      if (was === undefined || now?.epoch !== epoch || now.state !== 'doubted') continue;
      if (observed === undefined) {
        // Nobody has noted which file the proofs are of: it is looked at, and proven under that identity.
        logger.debug(`${was.path.toString()} is proven, but not as which file`);
        note?.(id);
        continue;
      }
      const handle = observed.ino === was.ino && was.handle !== undefined ? { handle: was.handle } : {};
      const record = { ...observed, path: was.path, ...handle, ...(was.disk === undefined ? {} : { disk: was.disk }) };
      changes.push({ id, was, now: record, trusted: true, epoch, how: 'is proven: all its pieces were hashed' });
    }
    if (changes.length > 0) await store.living.changeSources(changes);
  }
}

async function turn(): Promise<void> {
  await new Promise(setImmediate);
}
