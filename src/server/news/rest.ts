/**
 * The sources that nobody reads: their folders are watched as well, and they are looked at, in the background. Disks that
 * nothing else has used lately are left alone.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { returnMemory } from '../../native/return-memory.ts';
import { folderOf } from '../../source/paths.ts';
import type { SourceWatch } from '../../watch/source-watch.ts';
import { within } from '../../within.ts';
import { type FollowedSources, isAsRecorded } from './followed.ts';
import type { Cases, NewsStore } from './parts.ts';

/** Milliseconds before the first page, and between pages. */
const START_MS = 5000;
const PAUSE_MS = 1000;
/** Sources that are looked at, and folders that are marked, between pauses. */
const LOOKS = 100;
const MARKS = 500;
/** Milliseconds after which all sources have another turn. */
const AGAIN_MS = 10 * 60_000;
/** Milliseconds after which it is asked whether a disk that slept is awake. */
const AWAKE_MS = 30_000;
/** More sources than this leave much garbage. */
const MANY = 10_000;
/** Milliseconds for which a disk is waited for. Then the others have their turn, and the rest of its sources the next time. */
const SLOW_MS = 2000;

export interface RestParts {
  readonly store: NewsStore;
  readonly watch: Pick<SourceWatch, 'know' | 'mark'>;
  readonly followed: FollowedSources;
  /** Absent: nobody settles cases. */
  readonly cases?: Cases | undefined;
  readonly use: {
    /** Finds out which disks were used until now. */
    readonly look: () => Promise<void>;
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
  /** The sources of the store, when they were listed last. */
  #listed = 0;

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
      this.#listed = 0;
      await this.#parts.use.look();
      await this.#know();
      this.#returnMemory();
      await this.#lookAtAll();
      this.#returnMemory();
      await this.#untilAgain();
    }
  }

  /** Meanwhile watches the folders of disks that are awake again. */
  async #untilAgain(): Promise<void> {
    const end = performance.now() + AGAIN_MS;
    while (!this.#ended && performance.now() < end) {
      await this.#pause(AWAKE_MS);
      for (const [disk, folders] of this.#asleep) {
        if (!this.#parts.use.usedLately(disk)) continue;
        this.#asleep.delete(disk);
        await this.#mark([...folders].map((folder) => Buffer.from(folder, 'latin1')));
      }
    }
  }

  async #mark(folders: readonly Buffer[]): Promise<void> {
    for (let at = 0; at < folders.length && !this.#ended; at += MARKS) {
      await this.#parts.watch.mark(folders.slice(at, at + MARKS));
      await this.#pause(PAUSE_MS);
    }
  }

  /** What the pages of a large store have left would stay until the next collection, hours later. */
  #returnMemory(): void {
    if (this.#listed > MANY) returnMemory();
  }

  /** Tells the watch which folders have sources. Nothing is touched where whole file systems are watched. */
  async #know(): Promise<void> {
    const asleep = new Map<string, Set<string>>();
    this.#asleep = asleep;
    let awake: Buffer[] = [];
    for await (const page of this.#parts.store.sources()) {
      if (this.#ended) return;
      this.#listed += page.length;
      const folders = new Map<string, string | undefined>();
      for (const { path, disk } of page) folders.set(folderOf(path).toString('latin1'), disk);
      const left = await this.#parts.watch.know([...folders.keys()].map((name) => Buffer.from(name, 'latin1')));
      for (const folder of left) {
        const name = folder.toString('latin1');
        const disk = folders.get(name);
        if (disk === undefined) continue;
        if (this.#parts.use.usedLately(disk)) awake.push(folder);
        else asleep.set(disk, (asleep.get(disk) ?? new Set<string>()).add(name));
      }
      if (awake.length < MARKS) continue;
      await this.#mark(awake);
      awake = [];
    }
    await this.#mark(awake);
  }

  async #lookAtAll(): Promise<void> {
    for await (const page of this.#parts.store.sources()) {
      const byDisk = new Map<string, number[]>();
      for (const { id, disk } of page) {
        if (disk === undefined) continue;
        const some = byDisk.get(disk) ?? [];
        some.push(id);
        byDisk.set(disk, some);
      }
      for (const [disk, ids] of byDisk) {
        for (let at = 0; at < ids.length; at += LOOKS) await this.#lookAt(disk, ids.slice(at, at + LOOKS));
      }
      if (this.#ended) return;
    }
  }

  async #lookAt(disk: string, ids: readonly number[]): Promise<void> {
    const { followed, store, use } = this.#parts;
    if (this.#ended || this.#slow.has(disk) || !use.usedLately(disk)) return;
    const due = ids.filter((id) => !followed.isSeen(id) && store.living.condition(id) === undefined);
    if (due.length === 0) return;
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

  get #ended(): boolean {
    return this.#stop.signal.aborted || this.#again.signal.aborted;
  }

  async #pause(ms: number): Promise<void> {
    const signal = AbortSignal.any([this.#stop.signal, this.#again.signal]);
    await sleep(ms, undefined, { signal, ref: false }).catch(() => {});
  }
}
