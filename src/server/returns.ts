/**
 * Notices that bytes of gaps may lie in the collection again (docs/sources.md, "Bytes that come back"): a file has come to a
 * watched folder that is as long as one with a gap, or the index was renewed. A child hashes what it finds
 * (`server/children/repair/`).
 */
import { GAP } from '../extent/extent.ts';
import type { Entry } from '../store/entries/entry.ts';
import type { StoredFile } from '../store/entries/entry-files.ts';
import type { LookAt } from './news/parts.ts';

export interface ReturnsParts {
  readonly store: {
    readonly entries: () => AsyncIterable<Pick<Entry, 'infoHash' | 'kind' | 'state' | 'missingBytes'>>;
    readonly files: (infoHash: string) => AsyncIterable<Pick<StoredFile, 'length' | 'base'>>;
  };
  /** Called with each entry of which bytes may be there again. */
  readonly note: (infoHash: string) => void;
}

/** Of an entry: the lengths of its files with a gap, as long as so much is missing. */
interface Wanted {
  readonly missingBytes: number;
  readonly lengths: ReadonlySet<number>;
}

/** Places that are remembered for an entry. */
const MOST_PLACES = 64;

export class Returns {
  readonly #parts: ReturnsParts;
  /** By info hash. */
  #wanted: ReadonlyMap<string, Wanted> = new Map();
  /** By info hash: where files have come to, as byte strings. */
  readonly #places = new Map<string, Set<string>>();

  constructor(parts: ReturnsParts) {
    this.#parts = parts;
  }

  /** Files have come to these paths, or were written to there. */
  async came(paths: readonly Buffer[], look: LookAt): Promise<void> {
    const wanted = await this.#look();
    if (wanted.size === 0) return;
    for (const path of paths) {
      const size = (await look(path))?.identity.size;
      for (const [infoHash, { lengths }] of size === undefined ? [] : wanted) {
        if (!lengths.has(size ?? 0)) continue;
        const places = this.#places.get(infoHash) ?? new Set<string>();
        this.#places.set(infoHash, places.add(path.toString('latin1')));
        const [oldest] = places;
        if (places.size > MOST_PLACES && oldest !== undefined) places.delete(oldest);
        this.#parts.note(infoHash);
      }
    }
  }

  /** The index has files that it had not before. */
  async indexRenewed(): Promise<void> {
    for (const infoHash of (await this.#look()).keys()) this.#parts.note(infoHash);
  }

  /** Lists the places of files that have come, which the index may not know. */
  placesOf(infoHash: string): readonly Buffer[] {
    return [...(this.#places.get(infoHash) ?? [])].map((place) => Buffer.from(place, 'latin1'));
  }

  async #look(): Promise<ReadonlyMap<string, Wanted>> {
    const now = new Map<string, Wanted>();
    for await (const { infoHash, kind, state, missingBytes } of this.#parts.store.entries()) {
      if (kind === 'external' || state === 'adding' || missingBytes === 0) continue;
      const known = this.#wanted.get(infoHash);
      now.set(infoHash, known?.missingBytes === missingBytes ? known : await this.#ofEntry(infoHash, missingBytes));
    }
    for (const infoHash of this.#places.keys()) if (!now.has(infoHash)) this.#places.delete(infoHash);
    this.#wanted = now;
    return now;
  }

  async #ofEntry(infoHash: string, missingBytes: number): Promise<Wanted> {
    const lengths = new Set<number>();
    for await (const { length, base } of this.#parts.store.files(infoHash)) {
      if (base.some((extent) => extent.source === GAP && extent.length > 0)) lengths.add(length);
    }
    return { missingBytes, lengths };
  }
}
