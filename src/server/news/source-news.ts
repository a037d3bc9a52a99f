/**
 * What the server does with what the watch reports: records follow renamed files and folders, changed files are doubted, and
 * what is gone becomes a case for the healer (`docs/sources.md`).
 *
 * Reports are processed in their order, one batch after the other; only what makes a source unseen (`followed.ts`) happens at
 * once. No report costs more than the sources it concerns. A renamed folder's files are not touched.
 */
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { isHiddenForOpen } from '../../source/hidden-files.ts';
import type { WatchEvent } from '../../watch/protocol.ts';
import { FolderNews } from './folder-news.ts';
import type { FollowedSources } from './followed.ts';
import { Moves } from './moves.ts';
import { NewFiles } from './new-files.ts';
import type { Cases, LookAt, MayHold, NewsStore } from './parts.ts';
import { Reckoning } from './reckoning.ts';

/** Milliseconds after which a file that is on its way is looked for again. */
const AGAIN_MS = 200;

export interface SourceNewsParts {
  readonly store: NewsStore;
  readonly followed: FollowedSources;
  readonly look: LookAt;
  readonly mayHold: MayHold;
  /** Absent: nobody settles cases. */
  readonly cases?: Cases | undefined;
  readonly logger: Logger;
  /** Called when mounts have changed; `lost`: folders with sources are not watched any more. */
  readonly onMounts: (lost: boolean) => void;
  /** Called when reports were lost. */
  readonly onOverflow: () => void;
  /** Called with paths to which files have come, or where they were written. */
  readonly onFiles: (paths: readonly Buffer[]) => void;
}

export class SourceNews {
  readonly #parts: SourceNewsParts;
  readonly #moves: Moves;
  readonly #folders: FolderNews;
  readonly #reckoning: Reckoning;
  readonly #newFiles: NewFiles;
  #reports: WatchEvent[] = [];
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(parts: SourceNewsParts) {
    this.#parts = parts;
    this.#moves = new Moves(parts.store);
    this.#newFiles = new NewFiles(parts.onFiles);
    const shared = { ...parts, moves: this.#moves };
    this.#reckoning = new Reckoning(shared);
    this.#folders = new FolderNews({ ...shared, reckoning: this.#reckoning });
  }

  /** Takes reports of the watch. */
  take(seen: readonly WatchEvent[]): void {
    const reports = seen.map(asDeleted);
    for (const report of reports) this.#unsee(report);
    this.#reports.push(...reports);
    this.#newFiles.take(reports);
    this.#run();
  }

  /** Resolves when all reports so far were processed. */
  async settled(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    await this.#folders.settled();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#newFiles.close();
    this.#reports = [];
    await this.#running;
    await this.#folders.close();
  }

  #unsee(report: WatchEvent): void {
    const { followed, store } = this.#parts;
    if (report.kind === 'overflow') followed.unseeAll();
    else if (report.kind !== 'renamed' && report.kind !== 'attributes' && report.kind !== 'mounts-changed') {
      // Out of sight it may be written to.
      for (const id of report.sources ?? []) followed.unsee(id);
      for (const id of report.path === undefined ? [] : store.living.sourcesAt(report.path)) followed.unsee(id);
    }
  }

  #unseeMoved(id: number, path: Buffer | undefined): void {
    const { followed, store } = this.#parts;
    if (path === undefined || store.source(id)?.path.equals(path) !== true) followed.unsee(id);
  }

  #run(): void {
    if (this.#closed) return;
    this.#running ??= this.#process()
      .catch((error: unknown) => {
        // A look that ended late.
        if (this.#closed) return;
        this.#parts.logger.error(`what the watch of sources saw could not be recorded: ${messageOf(error)}`);
      })
      .finally(() => {
        this.#running = undefined;
        if (this.#reports.length > 0) this.#run();
        else this.#later();
      });
  }

  #later(): void {
    clearTimeout(this.#timer);
    if (this.#closed || !(this.#moves.waiting || this.#reckoning.waiting)) return;
    this.#timer = setTimeout(() => this.#run(), AGAIN_MS);
    this.#timer.unref();
  }

  async #process(): Promise<void> {
    const reports = this.#reports;
    this.#reports = [];
    for (const report of reports) {
      if (this.#closed) return;
      await this.#one(report);
    }
    if (!this.#closed) await this.#reckoning.reckon();
  }

  async #one(report: WatchEvent): Promise<void> {
    switch (report.kind) {
      case 'mounts-changed':
        this.#parts.onMounts(report.lost);
        break;
      case 'overflow':
        this.#parts.onOverflow();
        break;
      case 'renamed':
        if (report.folder) {
          // Files that were renamed before are recorded before.
          await this.#reckoning.reckon();
          await this.#folders.renamed(report.from, report.to);
        } else this.#moves.renamed(report.from, report.to, report.handle, report.watch);
        break;
      case 'left':
      case 'deleted': {
        const seenDeleted = report.kind === 'deleted';
        if (report.folder) {
          await this.#reckoning.reckon();
          await this.#folders.gone(report.path, seenDeleted);
        } else for (const id of this.#moves.sourcesAt(report.path)) this.#reckoning.gone(id, seenDeleted);
        break;
      }
      case 'appeared':
        if (report.folder) await this.#folders.appeared(report.path);
        else this.#appeared(report.path, report.handle, report.sources ?? []);
        break;
      case 'written':
      case 'closed':
      case 'attributes': {
        const here = report.path === undefined ? [] : this.#moves.sourcesAt(report.path);
        // One that is on its way there was not known by this path when the report came.
        if (report.kind !== 'attributes') for (const id of here) this.#unseeMoved(id, report.path);
        for (const id of new Set([...(report.sources ?? []), ...here])) this.#reckoning.changed(id, report.kind);
        break;
      }
      default:
        break;
    }
  }

  #appeared(path: Buffer, handle: string | undefined, sources: readonly number[]): void {
    const { living } = this.#parts.store;
    for (const id of living.sourcesAt(path)) this.#reckoning.back(id);
    // It may be a file that was moved out of sight.
    for (const id of sources) {
      const place = this.#moves.placeOf(id);
      if (place !== undefined && !place.equals(path) && living.condition(id) !== undefined) {
        this.#moves.proposed(id, path, handle);
      }
    }
  }
}

/** A file that was only hidden, since it is open, is deleted. */
function asDeleted(report: WatchEvent): WatchEvent {
  if (report.kind !== 'renamed' || report.folder || !isHiddenForOpen(report.to)) return report;
  const { from, handle, sources } = report;
  return {
    kind: 'deleted',
    path: from,
    folder: false,
    ...(handle === undefined ? {} : { handle }),
    ...(sources === undefined ? {} : { sources }),
  };
}
