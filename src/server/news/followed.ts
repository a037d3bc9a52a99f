/**
 * The sources that were seen as recorded while they were watched: only of them a new ctime can be explained.
 *
 * A source is *seen* if its file and folder are watched, and a look that began after the watch did found it as recorded: size,
 * mtime and ctime. From then on every change of the file is reported. It is unseen, before anything else is done with the
 * report, by a write, by the end of its watch, and by lost events.
 */
import type { RecordedSource } from '../../source/identity.ts';
import type { SourceWatch } from '../../watch/source-watch.ts';
import type { LookAt, NewsStore, Sight } from './parts.ts';

/** Sources of a disk that are being looked at: each opens a file for a moment. No disk waits for another that is slow. */
const MOST_AT_ONCE = 4;
/** Sources of a disk that wait for their look. The others are found again when they are read. */
const MOST_WAITING = 1000;

export interface FollowedParts {
  readonly watch: Pick<SourceWatch, 'follow' | 'holds' | 'coversAllNames' | 'fence'>;
  readonly store: NewsStore;
  readonly look: LookAt;
}

export class FollowedSources {
  readonly #parts: FollowedParts;
  /** The number of the watch, by source. */
  readonly #seen = new Map<number, number>();
  /** By disk: sources that wait for their look, or are being looked at, and how many of them are. */
  readonly #disks = new Map<string, { readonly ids: Set<number>; looking: number }>();
  /** Counts what makes looks under way worthless, by source. */
  readonly #unseen = new Map<number, number>();

  constructor(parts: FollowedParts) {
    this.#parts = parts;
  }

  isSeen(id: number): boolean {
    const watch = this.#seen.get(id);
    if (watch === undefined) return false;
    if (this.#parts.watch.holds(watch)) return true;
    this.#seen.delete(id);
    return false;
  }

  /** Follows a source that is in use. Called at each look that found it as recorded. */
  note(id: number): void {
    if (this.isSeen(id)) return;
    const name = this.#parts.store.source(id)?.disk ?? '';
    const disk = this.#disks.get(name) ?? { ids: new Set<number>(), looking: 0 };
    if (disk.ids.size >= MOST_WAITING || disk.ids.has(id)) return;
    disk.ids.add(id);
    this.#disks.set(name, disk);
    this.#next(name);
  }

  #next(name: string): void {
    const disk = this.#disks.get(name);
    for (const id of disk?.ids ?? []) {
      if (disk === undefined || disk.looking >= MOST_AT_ONCE) return;
      if (this.#unseen.has(id)) continue;
      disk.looking++;
      void this.see(id)
        .catch(() => {})
        .finally(() => {
          disk.ids.delete(id);
          disk.looking--;
          if (disk.ids.size === 0) this.#disks.delete(name);
          else this.#next(name);
        });
    }
  }

  /** Follows a source and looks at it. Gives what was found; undefined if it cannot be followed. */
  async see(id: number): Promise<Sight | 'absent' | undefined> {
    const record = this.#parts.store.source(id);
    if (record === undefined) return undefined;
    this.#unseen.set(id, 0);
    try {
      const watch = await this.#parts.watch.follow(id, record.path);
      const sight = await this.#parts.look(record.path);
      if (watch === undefined) return sight === undefined ? 'absent' : undefined;
      if (sight !== undefined && isAsRecorded(record, sight) && this.#unseen.get(id) === 0) this.seenAt(id, watch);
      return sight ?? 'absent';
    } finally {
      this.#unseen.delete(id);
    }
  }

  /** Notes that a source that was seen is watched by another watch now: it was renamed. */
  seenAt(id: number, watch: number): void {
    this.#seen.set(id, watch);
  }

  unsee(id: number): void {
    this.#seen.delete(id);
    const looks = this.#unseen.get(id);
    if (looks !== undefined) this.#unseen.set(id, looks + 1);
  }

  unseeAll(): void {
    this.#seen.clear();
    for (const [id, times] of this.#unseen) this.#unseen.set(id, times + 1);
  }

  /**
   * Tells which of these looks are explained by what the watch saw: the source was seen, and nothing was written since, also
   * not between the look and now.
   */
  async explained(looks: readonly { readonly id: number; readonly sight: Sight }[]): Promise<ReadonlySet<number>> {
    const open = looks.filter(({ id, sight }) => {
      const watch = this.isSeen(id) ? this.#seen.get(id) : undefined;
      // By another name of the file, in a folder that is not watched, it may have been written to.
      return watch !== undefined && sight.quiet && (sight.links === 1 || this.#parts.watch.coversAllNames(watch));
    });
    if (open.length === 0 || !(await this.#parts.watch.fence())) return new Set();
    return new Set(open.map(({ id }) => id).filter((id) => this.isSeen(id)));
  }
}

/** Tells if a look found exactly what is recorded. */
export function isAsRecorded(record: RecordedSource, { identity }: Sight): boolean {
  return (
    record.ctimeNs !== undefined &&
    identity.size === record.size &&
    identity.mtimeNs === record.mtimeNs &&
    identity.ctimeNs === record.ctimeNs
  );
}
