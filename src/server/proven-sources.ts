/**
 * Ends the doubts of sources of which all pieces were proven: their files are recorded as they are now.
 *
 * Pieces with a gap are proven by nobody, and hold up nothing.
 */
import { messageOf } from '../errors.ts';
import { GAP } from '../extent/extent.ts';
import type { Logger } from '../logger.ts';
import type { Store } from '../store/store.ts';

/** Milliseconds after a proof before an entry is looked at: a reader proves many pieces. */
const QUIET_MS = 3000;

export class ProvenSources {
  readonly #store: Store;
  readonly #logger: Logger;
  /** Entries with new proofs. */
  #entries = new Set<number>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(store: Store, logger: Logger) {
    this.#store = store;
    this.#logger = logger;
  }

  /** Notes that a piece of an entry was proven. */
  note(entry: number): void {
    this.#entries.add(entry);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.look(), QUIET_MS).unref();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** Looks at the entries that were noted. Never rejects: what fails is tried again after the next proof. */
  async look(): Promise<void> {
    const entries = this.#entries;
    this.#entries = new Set();
    try {
      for (const entry of entries) if (!this.#closed) await this.#lookAt(entry);
    } catch (error) {
      if (!this.#closed) this.#logger.warn(`sources stay doubted although they were proven: ${messageOf(error)}`);
    }
  }

  async #lookAt(entry: number): Promise<void> {
    const doubted = new Set<number>();
    const found = await this.#store.entryById(entry);
    if (found === undefined) return;
    for await (const { base } of this.#store.files(found.infoHash)) {
      for (const { source } of base) {
        if (source >= 0 && this.#store.living.condition(source)?.state === 'doubted') doubted.add(source);
      }
    }
    for (const id of await this.#unproven(entry, found, doubted)) doubted.delete(id);
    for (const id of doubted) if (await this.#isProvenElsewhere(id, entry)) await this.#trust(id);
  }

  async #isProvenElsewhere(id: number, entry: number): Promise<boolean> {
    for (const user of await this.#store.living.usersOf(id)) {
      const found = user === entry ? undefined : await this.#store.entryById(user);
      if (found !== undefined && (await this.#unproven(user, found, new Set([id]))).size > 0) return false;
    }
    return true;
  }

  /** Lists those of `doubted` that have bytes in a piece of an entry that was not proven since their doubt. */
  async #unproven(
    entry: number,
    { infoHash, pieceLength }: { readonly infoHash: string; readonly pieceLength: number },
    doubted: ReadonlySet<number>,
  ): Promise<ReadonlySet<number>> {
    const gaps = new Set<number>();
    const waiting: { readonly source: number; readonly piece: number }[] = [];
    for await (const { base, torrentOffset } of this.#store.files(infoHash)) {
      for (const { source, offset, length } of base) {
        const condition = doubted.has(source) ? this.#store.living.condition(source) : undefined;
        if (source !== GAP && condition === undefined) continue;
        // A store of an older version does not say where its files lie in the torrent: -1 is never proven.
        const first = torrentOffset === undefined ? -1 : Math.floor((torrentOffset + offset) / pieceLength);
        const last = torrentOffset === undefined ? -1 : Math.floor((torrentOffset + offset + length - 1) / pieceLength);
        for (let piece = first; piece <= last; piece++) {
          if (source === GAP) gaps.add(piece);
          else if (piece < 0 || this.#store.living.provenAt(entry, piece) < (condition?.epoch ?? 0)) {
            waiting.push({ source, piece });
          }
        }
      }
    }
    return new Set(waiting.filter(({ piece }) => !gaps.has(piece)).map(({ source }) => source));
  }

  async #trust(id: number): Promise<void> {
    const { living } = this.#store;
    const was = this.#store.source(id);
    const condition = living.condition(id);
    const observed = condition?.observed;
    if (was === undefined || observed === undefined || condition?.state !== 'doubted') return;
    const handle = observed.ino === was.ino && was.handle !== undefined ? { handle: was.handle } : {};
    const now = { ...observed, path: was.path, ...handle, ...(was.disk === undefined ? {} : { disk: was.disk }) };
    await living.changeSources([{ id, was, now, trusted: true, how: 'all its pieces were hashed' }]);
  }
}
