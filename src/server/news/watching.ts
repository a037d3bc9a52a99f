/** Puts the watch of sources and what listens to it together. */
import type { Logger } from '../../logger.ts';
import type { CLibrary } from '../../native/c-library.ts';
import type { DescriptorBudget } from '../../native/descriptor-budget.ts';
import { loadWriterCalls } from '../../native/writers.ts';
import type { SourceAccess } from '../../source/source-access.ts';
import type { DiskUse } from '../../watch/disk-use.ts';
import type { WatchedFileSystem } from '../../watch/protocol.ts';
import { LOCAL, SourceWatch } from '../../watch/source-watch.ts';
import { within } from '../../within.ts';
import { Disks } from './disks.ts';
import { FollowedSources } from './followed.ts';
import { lookWith } from './look.ts';
import { NewFolders } from './new-folders.ts';
import type { Cases, LookAt, NewsStore } from './parts.ts';
import { RestOfSources } from './rest.ts';
import { SourceNews } from './source-news.ts';

/** Milliseconds for looks that have begun: a disk may not answer. */
const END_MS = 2000;

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
  /** Called with paths to which files have come, or where they were written. */
  readonly onFiles?: (paths: readonly Buffer[], look: LookAt) => void;
  /** Called when mounts have changed, and rest. */
  readonly onMounts?: () => Promise<void>;
  /** How the watch works. Default: as the kernel allows. */
  readonly watch?: { readonly wholeFileSystems?: boolean; readonly fanotify?: boolean };
}

export class WatchingSources {
  readonly #watch: SourceWatch;
  readonly #followed: FollowedSources;
  /** By the lane of the watch: a file system that is slow to be looked at makes no other one wait. */
  readonly #news = new Map<string, SourceNews>();
  readonly #newsIn: (lane: string) => SourceNews;
  readonly #disks: Disks;
  readonly #rest: RestOfSources;
  readonly #newFolders: NewFolders;
  readonly #store: NewsStore;
  #unwatchStore = (): void => {};
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
      laneOf: async (path) => {
        const place = await access.folders.find(path);
        const slow = await access.fileSystems.slowMountOf('real' in place ? place.real : path);
        return slow?.toString('latin1') ?? LOCAL;
      },
      isReleased: (path) => access.released.holds(path),
      onEvents: (events, lane) => this.#newsIn(lane).take(events),
      ...parts.watch,
    });
    this.#followed = new FollowedSources({ watch: this.#watch, store, look });
    this.#disks = new Disks({
      store,
      look,
      cases,
      mounted,
      onCome: () => this.#rest.restart(),
      onMounts: async () => await parts.onMounts?.(),
    });
    this.#rest = new RestOfSources({ store, watch: this.#watch, followed: this.#followed, cases, use });
    this.#newFolders = new NewFolders(this.#watch);
    this.#store = store;
    this.#newsIn = (lane) => {
      const known = this.#news.get(lane);
      if (known !== undefined) return known;
      const news = new SourceNews({
        store,
        followed: this.#followed,
        look,
        mayHold: async (path) => {
          const place = await access.folders.find(path);
          return 'real' in place || place.code !== 'outside';
        },
        cases,
        logger,
        onMounts: (lost) => {
          this.#disks.changed();
          if (lost) this.#rest.restart();
        },
        onOverflow: () => this.#rest.restart(),
        onFiles: (paths) => parts.onFiles?.(paths, look),
      });
      this.#news.set(lane, news);
      return news;
    };
  }

  /** Begins. Nothing is scanned: sources are watched as they are read, and the others in the background. */
  start(): void {
    this.#watch.start();
    this.#rest.start();
    this.#unwatchStore = this.#store.watch({ placed: (paths) => this.#newFolders.take(paths) });
    this.started = this.#disks.start().catch(() => {});
  }

  /** A source was found as recorded. */
  asRecorded(id: number): void {
    this.#followed.note(id);
  }

  /** Tells if a new ctime of a source could be explained. */
  isSeen(id: number): boolean {
    return this.#followed.isSeen(id);
  }

  /** The file systems at these mount points are about to be unmounted. Resolves when the watch does nothing on them any more. */
  async leave(mountPoints: readonly Buffer[]): Promise<void> {
    await this.#watch.leave(mountPoints);
  }

  /** The disk of these sources, which wait, is back. */
  back(ids: readonly number[]): void {
    this.#disks.back(ids);
    this.#rest.restart();
  }

  /** Tells how file systems with sources are watched, and how many folders are not, since their disks sleep. */
  async watched(): Promise<{
    readonly fileSystems: readonly WatchedFileSystem<Buffer>[];
    readonly asleep: ReadonlyMap<string, number>;
  }> {
    return { fileSystems: await this.#watch.fileSystems(), asleep: this.#rest.asleep };
  }

  /** Resolves when all that has happened on local file systems so far is recorded. */
  async settled(): Promise<void> {
    await this.#watch.fence();
    await this.#news.get(LOCAL)?.settled();
  }

  async close(): Promise<void> {
    this.#unwatchStore();
    const news = [...this.#news.values()].map(async (one) => await one.close());
    await within(END_MS, Promise.all([this.#rest.close(), this.#newFolders.close(), this.#disks.close(), ...news]));
    await this.#watch.close();
  }
}
