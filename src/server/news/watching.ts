/** Puts the watch of sources and what listens to it together. */
import type { Logger } from '../../logger.ts';
import type { CLibrary } from '../../native/c-library.ts';
import type { DescriptorBudget } from '../../native/descriptor-budget.ts';
import { loadWriterCalls } from '../../native/writers.ts';
import type { SourceAccess } from '../../source/source-access.ts';
import { runLater } from '../../source/steps.ts';
import type { DiskUse } from '../../watch/disk-use.ts';
import type { WatchFacts } from '../../watch/protocol.ts';
import { SourceWatch } from '../../watch/source-watch.ts';
import { Disks } from './disks.ts';
import { FollowedSources } from './followed.ts';
import { lookWith } from './look.ts';
import type { Cases, NewsStore } from './parts.ts';
import { RestOfSources } from './rest.ts';
import { SourceNews } from './source-news.ts';

export interface WatchingParts {
  readonly store: NewsStore;
  readonly access: SourceAccess;
  readonly library: CLibrary;
  readonly descriptors: DescriptorBudget;
  readonly logger: Logger;
  /** Which disks something else has used lately. */
  readonly use: DiskUse;
  /** Absent: nobody settles cases. */
  readonly cases?: Cases | undefined;
  /** How the watch works. Default: as the kernel allows. */
  readonly watch?: { readonly wholeFileSystems?: boolean; readonly fanotify?: boolean };
}

export class WatchingSources {
  readonly #watch: SourceWatch;
  readonly #followed: FollowedSources;
  readonly #news: SourceNews;
  readonly #disks: Disks;
  readonly #rest: RestOfSources;
  /** Resolves when it is known which disks are mounted. Never rejects. */
  started: Promise<void> = Promise.resolve();

  constructor(parts: WatchingParts) {
    const { store, access, library, descriptors, logger, cases, use } = parts;
    const look = lookWith({ access, descriptors, writers: loadWriterCalls(library) });
    const mounted = async (): Promise<ReadonlyMap<string, readonly Buffer[]>> =>
      await access.fileSystems.disksMounted();
    this.#watch = new SourceWatch({
      library,
      logger,
      onEvents: (events) => this.#news.take(events),
      ...parts.watch,
    });
    this.#followed = new FollowedSources({ watch: this.#watch, store, look });
    this.#disks = new Disks({ store, look, cases, mounted, onCome: () => this.#rest.restart() });
    this.#rest = new RestOfSources({ store, watch: this.#watch, followed: this.#followed, cases, use });
    this.#news = new SourceNews({
      store,
      followed: this.#followed,
      look,
      mayHold: async (path) => {
        const place = access.folders.known(path) ?? (await runLater(access.folders.placeOf(path)));
        return 'real' in place || place.code !== 'outside';
      },
      cases,
      logger,
      onMounts: () => this.#disks.changed(),
      onOverflow: () => this.#rest.restart(),
    });
  }

  /** Begins. Nothing is scanned: sources are watched as they are read, and the others in the background. */
  start(): void {
    this.#watch.start();
    this.#rest.start();
    this.started = this.#disks.start().catch(() => {});
  }

  get facts(): WatchFacts {
    return this.#watch.facts;
  }

  /** A source was found as recorded. */
  asRecorded(id: number): void {
    this.#followed.note(id);
  }

  /** Tells if a new ctime of a source could be explained. */
  isSeen(id: number): boolean {
    return this.#followed.isSeen(id);
  }

  /** The disk of these sources, which wait, is back. */
  back(ids: readonly number[]): void {
    this.#disks.back(ids);
    this.#rest.restart();
  }

  /** Resolves when all that has happened so far is recorded. */
  async settled(): Promise<void> {
    await this.#watch.fence();
    await this.#news.settled();
  }

  async close(): Promise<void> {
    await Promise.all([this.#rest.close(), this.#disks.close(), this.#news.close()]);
    await this.#watch.close();
  }
}
