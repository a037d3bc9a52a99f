/**
 * The sources that nobody reads: their folders are watched as well, and they are looked at, in the background. Disks that
 * nothing else has used lately are left alone.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { folderOf } from '../../source/paths.ts';
import type { SourceWatch } from '../../watch/source-watch.ts';
import { within } from '../../watch/within.ts';
import { type FollowedSources, isAsRecorded } from './followed.ts';
import type { Cases, NewsStore } from './parts.ts';

/** Milliseconds before the first page, and between pages. */
const START_MS = 5000;
const PAUSE_MS = 1000;
/** Sources that are looked at between pauses. */
const LOOKS = 100;
/** Milliseconds after which sources of disks that slept are looked at. */
const AGAIN_MS = 10 * 60_000;
/** Milliseconds for which a disk is waited for. Then the others have their turn, and the rest of its sources the next time. */
const SLOW_MS = 2000;

export interface RestParts {
  readonly store: NewsStore;
  readonly watch: Pick<SourceWatch, 'know' | 'mark'>;
  readonly followed: FollowedSources;
  /** Absent: nobody settles cases. */
  readonly cases?: Cases | undefined;
  readonly use: {
    readonly usedLately: (disk: string) => boolean;
    readonly ownWork: <T>(disk: string, work: () => Promise<T>) => Promise<T>;
  };
}

export class RestOfSources {
  readonly #parts: RestParts;
  readonly #stop = new AbortController();
  #again = new AbortController();
  /** Disks of which a look has not ended. */
  readonly #slow = new Set<string>();
  /** By disk: folders that are not watched, since it sleeps. */
  #asleep = new Map<string, Set<string>>();
  #running: Promise<void> | undefined;

  constructor(parts: RestParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#running = this.#run().catch(() => {});
  }

  /** By disk: how many folders are not watched, since it sleeps. */
  get asleep(): ReadonlyMap<string, number> {
    return new Map([...this.#asleep].map(([disk, folders]) => [disk, folders.size]));
  }

  /** Begins anew: reports were lost, or disks have come. */
  restart(): void {
    this.#again.abort();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#again = new AbortController();
      await sleep(START_MS, undefined, { signal: this.#stop.signal, ref: false }).catch(() => {});
      await this.#know();
      await this.#lookAtAll();
      await this.#pause(AGAIN_MS);
    }
  }

  /** Tells the watch which folders have sources. Nothing is touched where whole file systems are watched. */
  async #know(): Promise<void> {
    const asleep = new Map<string, Set<string>>();
    this.#asleep = asleep;
    for await (const page of this.#parts.store.sources()) {
      if (this.#ended) return;
      const folders = new Map<string, number>();
      for (const { id, path } of page) folders.set(folderOf(path).toString('latin1'), id);
      const left = await this.#parts.watch.know([...folders.keys()].map((name) => Buffer.from(name, 'latin1')));
      const awake = left.filter((folder) => {
        const disk = this.#diskOf(folders.get(folder.toString('latin1')));
        if (disk === undefined || this.#parts.use.usedLately(disk)) return disk !== undefined;
        asleep.set(disk, (asleep.get(disk) ?? new Set<string>()).add(folder.toString('latin1')));
        return false;
      });
      if (awake.length === 0) continue;
      await this.#parts.watch.mark(awake);
      await this.#pause(PAUSE_MS);
    }
  }

  async #lookAtAll(): Promise<void> {
    for await (const page of this.#parts.store.sources()) {
      const byDisk = new Map<string, number[]>();
      for (const { id } of page) {
        const disk = this.#parts.store.source(id)?.disk;
        if (disk !== undefined) byDisk.set(disk, [...(byDisk.get(disk) ?? []), id]);
      }
      for (const [disk, ids] of byDisk) {
        for (let at = 0; at < ids.length; at += LOOKS) await this.#lookAt(disk, ids.slice(at, at + LOOKS));
      }
      if (this.#ended) return;
    }
  }

  async #lookAt(disk: string, ids: readonly number[]): Promise<void> {
    const { followed, store, use } = this.#parts;
    const due = ids.filter((id) => !followed.isSeen(id) && store.living.condition(id) === undefined);
    if (due.length === 0 || this.#ended || this.#slow.has(disk) || !use.usedLately(disk)) return;
    this.#slow.add(disk);
    const looks = use
      .ownWork(disk, async () => {
        for (const id of due) if (!this.#ended) await this.#look(id);
      })
      .finally(() => this.#slow.delete(disk));
    // It may fail after it was waited for.
    looks.catch(() => {});
    await within(SLOW_MS, looks);
    await this.#pause(PAUSE_MS);
  }

  async #look(id: number): Promise<void> {
    const { store, followed, cases } = this.#parts;
    const outcome = await followed.see(id);
    const record = store.source(id);
    if (record?.ctimeNs === undefined || store.living.condition(id) !== undefined) return;
    if (outcome === 'absent') store.living.setCondition(id, { state: 'healing', reason: 'is not there any more' });
    else if (outcome !== undefined && !isAsRecorded(record, outcome)) {
      store.living.setCondition(id, { state: 'doubted', reason: 'was changed', observed: outcome.identity });
    } else return;
    cases?.note(id);
  }

  #diskOf(id: number | undefined): string | undefined {
    return id === undefined ? undefined : this.#parts.store.source(id)?.disk;
  }

  get #ended(): boolean {
    return this.#stop.signal.aborted || this.#again.signal.aborted;
  }

  async #pause(ms: number): Promise<void> {
    const signal = AbortSignal.any([this.#stop.signal, this.#again.signal]);
    await sleep(ms, undefined, { signal, ref: false }).catch(() => {});
  }
}
