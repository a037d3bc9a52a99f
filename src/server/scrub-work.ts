/** Answers what `scrub` asks the server: which pieces are due, and what becomes of those that it hashed. */
import type { DamagedSource, DueEntry, DueQuestion, Verified } from '../control/served.ts';
import { hasBit } from '../extent/bitfield.ts';
import type { Logger } from '../logger.ts';
import type { Entry } from '../store/entries/entry.ts';
import type { Store } from '../store/store.ts';
import { dueEntries, duePieces } from './due-pieces.ts';
import type { EntryHealths } from './health/entry-health.ts';

export class ScrubWork {
  readonly #store: Store;
  readonly #healths: EntryHealths;
  readonly #logger: Logger;
  readonly #noteCase: (id: number) => void;

  /** `noteCase` is called with each source that is to be settled. */
  constructor(store: Store, healths: EntryHealths, logger: Logger, noteCase: (id: number) => void) {
    this.#store = store;
    this.#healths = healths;
    this.#logger = logger;
    this.#noteCase = noteCase;
  }

  /** Lists the entries with pieces to hash. */
  due(question: DueQuestion): AsyncIterable<DueEntry> {
    return dueEntries(this.#store, question, async (entry) => await this.#doubted(entry));
  }

  /** Gives one byte for each piece of an entry: why it is due. */
  async pieces(entry: Entry, question: DueQuestion): Promise<Buffer> {
    return duePieces(this.#store, entry, question, await this.#doubted(entry));
  }

  /** Lists the pieces with bytes of a doubted source that nobody has hashed since the doubt began. */
  async #doubted(entry: Entry): Promise<ReadonlySet<number>> {
    const pieces = new Set<number>();
    const { living } = this.#store;
    const id = this.#store.entryId(entry.infoHash);
    if (id === undefined || !this.#healths.isDoubted(entry)) return pieces;
    for await (const { extents, torrentOffset } of this.#store.files(entry.infoHash)) {
      if (torrentOffset === undefined) continue;
      for (const { source, offset, length } of extents) {
        const condition = source < 0 || length === 0 ? undefined : living.condition(source);
        if (condition?.state !== 'doubted') continue;
        const first = Math.floor((torrentOffset + offset) / entry.pieceLength);
        const last = Math.floor((torrentOffset + offset + length - 1) / entry.pieceLength);
        for (let piece = first; piece <= last; piece++) {
          if (living.provenAt(id, piece) < condition.epoch) pieces.add(piece);
        }
      }
    }
    return pieces;
  }

  /** Notes which pieces were proven. */
  proven({ infoHash, pieceCount }: Entry, { epoch, good }: Verified): void {
    const id = this.#store.entryId(infoHash);
    // Without a doubt nothing need be proven at an epoch.
    if (epoch === undefined || id === undefined || this.#healths.allTrusted) return;
    for (let piece = 0; piece < pieceCount; piece++) {
      if (hasBit(good, piece)) this.#store.living.prove(id, piece, epoch);
    }
  }

  /** Takes a report of sources whose bytes do not agree, or that cannot be read: the healer looks for others. */
  async damaged(entry: Entry, sources: readonly DamagedSource[]): Promise<void> {
    const { living } = this.#store;
    const { name, infoHash } = entry;
    const id = this.#store.entryId(infoHash);
    const failed = new Set(sources.flatMap(({ hashed }) => hashed?.pieces ?? []));
    const suspects = await this.#mappedIn(entry, failed);
    for (const { path, reason, hashed } of sources) {
      for (const source of living.sourcesAt(path)) {
        if (id === undefined || !(await living.usersOf(source)).includes(id)) continue;
        // Another record of the same file, of which these pieces are no part.
        if (hashed !== undefined && !suspects.has(source)) continue;
        const before = living.condition(source);
        if (before !== undefined && before.state !== 'doubted') continue;
        const wrong = hashed === undefined ? {} : ({ observed: hashed.file, failed: true } as const);
        living.setCondition(source, { state: 'healing', reason, ...wrong });
        this.#noteCase(source);
        this.#logger.warn(`${name}: ${path.toString()} ${reason}`);
      }
    }
  }

  /** The sources that have bytes of these pieces now. */
  async #mappedIn({ infoHash, pieceLength }: Entry, pieces: ReadonlySet<number>): Promise<ReadonlySet<number>> {
    const found = new Set<number>();
    if (pieces.size === 0) return found;
    for await (const { extents, torrentOffset } of this.#store.files(infoHash)) {
      if (torrentOffset === undefined) continue;
      for (const { source, offset, length } of extents) {
        if (source < 0 || length === 0 || found.has(source)) continue;
        const begin = torrentOffset + offset;
        for (const piece of pieces) {
          if (piece * pieceLength < begin + length && (piece + 1) * pieceLength > begin) found.add(source);
        }
      }
    }
    return found;
  }
}
