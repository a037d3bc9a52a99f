/**
 * Sources that are being moved: where each lies now by what the watch reports, until a look has confirmed it.
 *
 * A program that renames a file may do it in several steps (to a temporary name, and to the final one), and may exchange files.
 * So a report changes a place only here. When no report follows at once, the file is looked at in its place and recorded there.
 */
import { isAtOrBelow } from '../../native/mountinfo.ts';
import type { FileHandle } from '../../source/identity.ts';
import { handleKeyOf } from './handle-key.ts';
import type { NewsStore } from './parts.ts';

/** Milliseconds for which a file that is not found may still be on its way. */
const ON_ITS_WAY_MS = 1000;
/** Milliseconds between the two reports of an exchange, at most. */
const EXCHANGE_MS = 300;

interface Move {
  place: Buffer;
  /** The handle of the file that moved, as far as it was reported. */
  handle: string | undefined;
  /** Where the file may be if not there: reports may have been merged, or two files exchanged. */
  readonly others: Map<string, Buffer>;
  /** The time of the last report; `performance.now()`. */
  at: number;
  watch: number | undefined;
}

export class Moves {
  readonly #store: Pick<NewsStore, 'source' | 'living'>;
  readonly #moves = new Map<number, Move>();
  /** The sources in a place, as byte strings. */
  readonly #at = new Map<string, Set<number>>();
  /** Sources whose place another file has taken, and when; `performance.now()`. */
  readonly #displaced = new Map<number, number>();

  constructor(store: Pick<NewsStore, 'source' | 'living'>) {
    this.#store = store;
  }

  /** Where a source is by now. */
  placeOf(id: number): Buffer | undefined {
    return this.#moves.get(id)?.place ?? this.#store.source(id)?.path;
  }

  /** The sources that are at a path by now. */
  sourcesAt(path: Buffer): number[] {
    const recorded = this.#store.living.sourcesAt(path).filter((id) => !this.#moves.has(id));
    return [...recorded, ...(this.#at.get(path.toString('latin1')) ?? [])];
  }

  /** A file was renamed. `handle`: its handle's key. */
  renamed(from: Buffer, to: Buffer, handle: string | undefined, watch: number): void {
    const here = this.sourcesAt(from);
    const there = this.sourcesAt(to);
    const exchanged = here.filter((id) => this.#displaced.has(id));
    for (const id of this.#moved(here, exchanged, handle)) this.#move(id, to, handle, watch);
    // Somebody else's place: it was overwritten, or will be moved by the next report.
    for (const id of there) if (this.placeOf(id)?.equals(to) === true) this.#displaced.set(id, performance.now());
  }

  /** Of the sources in a place those that are the file which moved. */
  #moved(here: readonly number[], exchanged: readonly number[], handle: string | undefined): readonly number[] {
    if (handle === undefined) return exchanged.length > 0 ? exchanged : here;
    const known = here.map((id) => ({ id, key: this.#moves.get(id)?.handle ?? this.#recordedKey(id) }));
    const same = known.filter(({ key }) => key === handle);
    if (same.length > 0) return same.map(({ id }) => id);
    const unknown = known.filter(({ key }) => key === undefined).map(({ id }) => id);
    const displaced = unknown.filter((id) => this.#displaced.has(id));
    return displaced.length > 0 ? displaced : unknown;
  }

  #recordedKey(id: number): string | undefined {
    const handle: FileHandle | undefined = this.#store.source(id)?.handle;
    return handle === undefined ? undefined : handleKeyOf(handle);
  }

  /** A source may be at another path. */
  proposed(id: number, path: Buffer, handle: string | undefined): void {
    this.#move(id, path, handle, undefined);
  }

  #move(id: number, to: Buffer, handle: string | undefined, watch: number | undefined): void {
    const before = this.#moves.get(id);
    const place = before?.place ?? this.#store.source(id)?.path;
    if (place === undefined) return;
    this.#displaced.delete(id);
    const others = before?.others ?? new Map<string, Buffer>();
    others.set(place.toString('latin1'), place);
    if (before !== undefined) this.#leave(id, before.place);
    this.#moves.set(id, { place: to, handle: handle ?? before?.handle, others, at: performance.now(), watch });
    this.#enter(id, to);
  }

  /** A folder was renamed, and the records below it are changed: those on their way go with it. */
  folderRenamed(from: Buffer, to: Buffer): void {
    for (const [id, move] of this.#moves) {
      if (move.place.length <= from.length || !isAtOrBelow(move.place, from)) continue;
      this.#leave(id, move.place);
      move.place = Buffer.concat([to, move.place.subarray(from.length)]);
      this.#enter(id, move.place);
    }
  }

  /** The sources that are on their way, each with the places to look for it in. */
  *underway(): Generator<{ readonly id: number; readonly places: readonly Buffer[] }, void, undefined> {
    for (const [id, { place, others }] of this.#moves) yield { id, places: [place, ...others.values()] };
  }

  /** A source is where it moved, or is looked for by others. */
  arrived(id: number): void {
    const move = this.#moves.get(id);
    if (move === undefined) return;
    this.#leave(id, move.place);
    this.#moves.delete(id);
  }

  /** The watch of a source's new place, as long as that is `place`. */
  watchAt(id: number, place: Buffer): number | undefined {
    const move = this.#moves.get(id);
    return move?.place.equals(place) === true ? move.watch : undefined;
  }

  /** True: it may still arrive. */
  isOnItsWay(id: number): boolean {
    const move = this.#moves.get(id);
    return move !== undefined && performance.now() - move.at < ON_ITS_WAY_MS;
  }

  /** Gives, once, the sources whose places others have taken, when it is clear that no exchange was begun. */
  takeDisplaced(): number[] {
    const old = performance.now() - EXCHANGE_MS;
    const displaced = [...this.#displaced].flatMap(([id, at]) => (at < old ? [id] : []));
    for (const id of displaced) this.#displaced.delete(id);
    return displaced;
  }

  /** True: something has to be looked at again soon. */
  get waiting(): boolean {
    return this.#moves.size > 0 || this.#displaced.size > 0;
  }

  #enter(id: number, place: Buffer): void {
    const key = place.toString('latin1');
    const there = this.#at.get(key);
    if (there === undefined) this.#at.set(key, new Set([id]));
    else there.add(id);
  }

  #leave(id: number, place: Buffer): void {
    const key = place.toString('latin1');
    const there = this.#at.get(key);
    there?.delete(id);
    if (there?.size === 0) this.#at.delete(key);
  }
}
