/**
 * Disks that go and come. When one is unmounted its sources wait, and when it is back they are looked at. A disk is known by its
 * file system, so another one at the same place is not taken for it.
 */
import { isAsRecorded } from './followed.ts';
import type { Cases, LookAt, NewsStore } from './parts.ts';

/**
 * Milliseconds for which the mount table has to rest: a disk may be mounted elsewhere next. More than those for which a reading
 * of it is believed (`FileSystems`).
 */
const REST_MS = 1200;

export interface DisksParts {
  readonly store: NewsStore;
  readonly look: LookAt;
  /** Absent: nobody settles cases. */
  readonly cases?: Cases | undefined;
  /** Called when disks have come. */
  readonly onCome: () => void;
  /** Called when mounts have changed, and rest. */
  readonly onMounts: () => Promise<void>;
  /** The disks that are mounted, and where. */
  readonly mounted: () => Promise<ReadonlyMap<string, readonly Buffer[]>>;
}

export class Disks {
  readonly #parts: DisksParts;
  /** Looks at sources that are back, by disk: none waits for another that is slow. */
  readonly #looking = new Map<string, Promise<void>>();
  #before: ReadonlyMap<string, readonly Buffer[]> = new Map();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(parts: DisksParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    this.#before = await this.#parts.mounted();
  }

  /** Mounts have changed. */
  changed(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#running = this.#running.then(async () => await this.#compare()).catch(() => {});
    }, REST_MS);
    this.#timer.unref();
  }

  /** The disk of these sources, which wait, is back. */
  back(ids: readonly number[]): void {
    const byDisk = new Map<string, number[]>();
    for (const id of ids) {
      const disk = this.#parts.store.source(id)?.disk ?? '';
      const some = byDisk.get(disk) ?? [];
      some.push(id);
      byDisk.set(disk, some);
    }
    for (const [disk, some] of byDisk) {
      const before = this.#looking.get(disk) ?? Promise.resolve();
      const looking = before
        .then(async () => await this.#lookAt(some))
        .catch(() => {})
        .finally(() => {
          if (this.#looking.get(disk) === looking) this.#looking.delete(disk);
        });
      this.#looking.set(disk, looking);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await Promise.all([this.#running, ...this.#looking.values()]);
  }

  async #compare(): Promise<void> {
    if (this.#closed) return;
    const [before, now] = [this.#before, await this.#parts.mounted()];
    this.#before = now;
    await this.#parts.onMounts();
    for (const [disk, places] of before) if (!now.has(disk)) await this.#gone(disk, places);
    const back = new Set([...now.keys()].filter((disk) => !before.has(disk)));
    if (back.size > 0) {
      this.#comeBack(back);
      this.#parts.onCome();
    }
    this.#parts.cases?.lookAgain();
  }

  async #gone(disk: string, places: readonly Buffer[]): Promise<void> {
    const { store } = this.#parts;
    for (const place of places) {
      for await (const page of store.living.sourcesBelow(place)) {
        if (this.#closed) return;
        for (const { id } of page) {
          const state = store.living.condition(id)?.state;
          if (store.source(id)?.disk !== disk || state === 'lost' || state === 'waiting') continue;
          store.living.setCondition(id, { state: 'waiting', reason: 'is on a disk that is not mounted', disk });
        }
      }
    }
  }

  #comeBack(disks: ReadonlySet<string>): void {
    const waiting = [...this.#parts.store.living.conditions()].flatMap(([id, { state, disk }]) =>
      state === 'waiting' && disk !== undefined && disks.has(disk) ? [id] : [],
    );
    this.back(waiting);
  }

  async #lookAt(waiting: readonly number[]): Promise<void> {
    const { store, look, cases } = this.#parts;
    for (const id of waiting) {
      if (this.#closed) return;
      const record = store.source(id);
      const sight = record === undefined ? undefined : await look(record.path);
      if (store.living.condition(id)?.state !== 'waiting') continue;
      if (record !== undefined && sight !== undefined && isAsRecorded(record, sight)) {
        store.living.trust(id, 'its disk is back');
      }
      // It is not there, is another file, or one of which pieces failed.
      if (store.living.condition(id)?.state === 'waiting') cases?.note(id);
    }
  }
}
