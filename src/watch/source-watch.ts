/**
 * The watch: what other programs do to the files and folders of sources, as the kernel reports it to threads.
 *
 * *Followed* is a source whose folder and file are watched. The watch of a source has a number; while `holds` says so of it, no
 * change of the file has gone unreported (other than those that `docs/sources.md` names). `fence` waits until all that has
 * happened so far was reported. The watch opens no file for longer than a call, so it keeps no disk from being unmounted.
 * Folders in which we keep files ourselves are left out.
 *
 * Local file systems share a thread. Each file system that may take long to answer (network, FUSE) is a *lane* with a thread of its
 * own, so that none makes the others wait.
 */
import { messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { CLibrary } from '../native/c-library.ts';
import { loadWaitingCalls, type WaitingCalls } from '../native/waiting.ts';
import { isLeftOut } from '../source/own-folder.ts';
import { within } from '../within.ts';
import type { ThreadEvent, WatchEvent, WatchedFileSystem, WatchFacts, WatchKind } from './protocol.ts';
import { NO_FACTS, type ThreadAnswer, WatchThread } from './watch-thread.ts';

/** Folders that are marked at most, where each has a mark of its own: about a kilobyte of kernel memory each. */
const MOST_MARKS = 100_000;
/** Threads for file systems that may be slow. Further ones share the last. */
const MOST_SLOW = 8;
/** Numbers of watches for each thread. */
const WATCHES = 2 ** 40;
/** Milliseconds for which a slow file system is waited for before others have their turn. */
const SLOW_MS = 1000;
/** Folders of one that are marked together. */
const SLOW_FOLDERS = 16;
/** Milliseconds after which a slow file system counts as one that does not answer. */
const SILENT_MS = 500;
/** Milliseconds for local file systems. */
const FENCE_MS = 10_000;
/** The lane of local file systems. */
export const LOCAL = '';
/** The best last. */
const KINDS: readonly WatchKind[] = ['none', 'inotify', 'fanotify-folders', 'fanotify-filesystem'];

export interface SourceWatchOptions {
  readonly library: CLibrary;
  readonly logger: Logger;
  /** Called in the order in which things happened in a lane. */
  readonly onEvents: (events: readonly WatchEvent[], lane: string) => void;
  /** Names the lane of a path: the mount point of a file system that may be slow, as a byte string, or `LOCAL`, the default. */
  readonly laneOf?: (path: Buffer) => Promise<string>;
  /** Tells of a path that is not to be touched: its disk is about to be unmounted. Default: none is. */
  readonly isReleased?: (path: Buffer) => boolean;
  readonly mostMarks?: number;
  /** Default true: whole file systems are marked where the kernel allows it. */
  readonly wholeFileSystems?: boolean;
  /** Default true. False: inotify alone. */
  readonly fanotify?: boolean;
}

export class SourceWatch {
  readonly #options: SourceWatchOptions;
  #calls: WaitingCalls | undefined;
  readonly #threads = new Map<string, WatchThread>();
  /** Marking that a slow file system has not ended, by lane. */
  readonly #marking = new Map<string, Promise<unknown>>();
  #closed = false;
  #saidLimited = false;
  #saidOverflow = false;
  readonly #wake = (): void => {
    for (const thread of this.#threads.values()) thread.wake();
  };

  constructor(options: SourceWatchOptions) {
    this.#options = options;
  }

  /** The best kind that is in use, and the marks of all. */
  get facts(): WatchFacts {
    let { kind, marks, limited } = NO_FACTS;
    for (const { facts } of new Set(this.#threads.values())) {
      if (KINDS.indexOf(facts.kind) > KINDS.indexOf(kind)) kind = facts.kind;
      marks += facts.marks;
      limited ||= facts.limited;
    }
    return { kind, marks, limited };
  }

  /** Starts the thread of local file systems. Without koffi there is no watch, and `facts` says so. */
  start(): void {
    this.#calls = loadWaitingCalls(this.#options.library);
    if (this.#calls === undefined) return;
    // An end of the process waits for its threads, and these wait for events.
    process.once('exit', this.#wake);
    this.#thread(LOCAL);
  }

  /** Undefined: there is no watch. */
  #thread(lane: string): WatchThread | undefined {
    const known = this.#threads.get(lane);
    if (known !== undefined || this.#calls === undefined || this.#closed) return known;
    const slow = [...this.#threads.keys()].filter((one) => one !== LOCAL);
    const last = slow.at(MOST_SLOW - 1);
    const thread = last === undefined ? this.#start(lane, this.#calls) : this.#threads.get(last);
    if (thread !== undefined) this.#threads.set(lane, thread);
    return thread;
  }

  #start(lane: string, calls: WaitingCalls): WatchThread | undefined {
    const { logger, mostMarks = MOST_MARKS, wholeFileSystems = true, fanotify = true } = this.#options;
    try {
      return new WatchThread({
        calls,
        settings: { mostMarks, wholeFileSystems, fanotify, watchesAfter: this.#threads.size * WATCHES },
        onEvents: (events) => this.#report(events, lane),
        onFacts: ({ limited }, limit) => this.#sayLimited(limited, limit),
        onFailed: (error) =>
          logger.error(
            `the watch of sources has ended, their changes are noticed when they are read: ${messageOf(error)}`,
          ),
      });
    } catch (error) {
      logger.warn(`changes of sources are noticed only when they are read: ${messageOf(error)}`);
      return undefined;
    }
  }

  async #laneOf(path: Buffer): Promise<string> {
    return (await this.#options.laneOf?.(path)) ?? LOCAL;
  }

  /**
   * Watches a source. Gives the number of its watch, or undefined if it cannot be watched. What happens from then on is
   * reported.
   */
  async follow(source: number, path: Buffer): Promise<number | undefined> {
    if (isLeftOut(path)) return undefined;
    const thread = this.#thread(await this.#laneOf(path));
    if (this.#options.isReleased?.(path) === true) return undefined;
    return (await thread?.ask({ kind: 'follow', source, path: path.toString('latin1') }))?.watch;
  }

  /** False once changes may have gone unreported. */
  holds(watch: number): boolean {
    for (const thread of this.#threads.values()) if (thread.holds(watch)) return true;
    return false;
  }

  /** False: what is done to a file under a name in a folder that is not watched goes unreported. */
  coversAllNames(watch: number): boolean {
    for (const thread of this.#threads.values()) if (thread.coversAllNames(watch)) return true;
    return false;
  }

  /** Notes folders with sources, without touching them. Gives those that `mark` has to mark one by one. */
  async know(folders: readonly Buffer[]): Promise<readonly Buffer[]> {
    const own: Buffer[] = [];
    for (const [lane, some] of await this.#byLane(folders)) {
      // None of them can be marked whole.
      if (lane !== LOCAL) own.push(...some.map(inBytes));
      else own.push(...((await this.#ask(this.#thread(lane), 'know', some))?.folders ?? []).map(inBytes));
    }
    return own;
  }

  /**
   * Marks folders that are not in use, while there is room. A slow file system goes on with it beside the others; gives what is
   * left out, since it was still at work on what it was given before.
   */
  async mark(folders: readonly Buffer[]): Promise<readonly Buffer[]> {
    const waits: Promise<unknown>[] = [];
    const left: Buffer[] = [];
    for (const [lane, some] of await this.#byLane(folders)) {
      const thread = this.#thread(lane);
      if (thread === undefined) continue;
      if (lane === LOCAL) {
        waits.push(this.#ask(thread, 'mark', some));
        continue;
      }
      if (this.#marking.has(lane)) left.push(...some.map(inBytes));
      else {
        const marking = this.#markSlowly(thread, some).finally(() => this.#marking.delete(lane));
        this.#marking.set(lane, marking);
      }
      waits.push(within(SLOW_MS, this.#marking.get(lane)));
    }
    await Promise.all(waits);
    return left;
  }

  /** Not all at once: the disk may be released meanwhile. */
  async #markSlowly(thread: WatchThread, folders: readonly string[]): Promise<void> {
    for (let at = 0; at < folders.length; at += SLOW_FOLDERS) {
      await this.#ask(thread, 'mark', folders.slice(at, at + SLOW_FOLDERS));
    }
  }

  async #ask(
    thread: WatchThread | undefined,
    kind: 'know' | 'mark',
    folders: readonly string[],
  ): Promise<ThreadAnswer | undefined> {
    const isReleased = this.#options.isReleased ?? (() => false);
    return await thread?.ask({ kind, folders: folders.filter((folder) => !isReleased(inBytes(folder))) });
  }

  async #byLane(folders: readonly Buffer[]): Promise<ReadonlyMap<string, string[]>> {
    const lanes = new Map<string, string[]>();
    for (const folder of folders.filter((one) => !isLeftOut(one))) {
      const lane = await this.#laneOf(folder);
      const some = lanes.get(lane) ?? [];
      some.push(folder.toString('latin1'));
      lanes.set(lane, some);
    }
    return lanes;
  }

  /** Watches nothing more of the file systems at these mount points. Resolves when no thread is at work on them. */
  async leave(mountPoints: readonly Buffer[]): Promise<void> {
    const folders = mountPoints.map((path) => path.toString('latin1'));
    const threads = new Set([LOCAL, ...folders].map((lane) => this.#threads.get(lane)));
    await Promise.all([...threads].map(async (thread) => await thread?.ask({ kind: 'leave', folders })));
  }

  /** Resolves when all that has happened on local file systems before this call was reported. False if that is not known. */
  async fence(): Promise<boolean> {
    const answer = this.#threads.get(LOCAL)?.ask({ kind: 'fence' });
    return (await within(FENCE_MS, answer)) !== undefined;
  }

  /** Tells how file systems with sources are watched. One that does not answer is named by its mount point. */
  async fileSystems(): Promise<readonly WatchedFileSystem<Buffer>[]> {
    const described = await Promise.all(
      [...this.#threads].map(async ([lane, thread]): Promise<WatchedFileSystem<string>[]> => {
        const answer = await within(lane === LOCAL ? FENCE_MS : SILENT_MS, thread.ask({ kind: 'describe' }));
        if (answer?.fileSystems !== undefined) return [...answer.fileSystems];
        if (lane === LOCAL) return [];
        const { kind, marks } = thread.facts;
        return [{ mountPoint: lane, kind, marks, unwatched: 0, why: 'do not answer', overflows: 0 }];
      }),
    );
    const byPlace = new Map(described.flat().map((one) => [one.mountPoint, one]));
    return [...byPlace.values()].map((one) => ({ ...one, mountPoint: inBytes(one.mountPoint) }));
  }

  async close(): Promise<void> {
    this.#closed = true;
    process.off('exit', this.#wake);
    await Promise.all([...this.#threads.values()].map(async (thread) => await thread.close()));
  }

  #sayLimited(limited: boolean, limit = 'raise the limits of the kernel'): void {
    if (!limited || this.#saidLimited) return;
    this.#saidLimited = true;
    this.#options.logger.warn(`not all folders of sources can be watched: ${limit}`);
  }

  #report(events: readonly ThreadEvent[], lane: string): void {
    if (events.some(({ kind }) => kind === 'overflow')) {
      if (!this.#saidOverflow)
        this.#options.logger.warn('more changed at once than could be watched: sources are looked at again');
      this.#saidOverflow = true;
    }
    this.#options.onEvents(events.map(eventInBytes), lane);
  }
}

function inBytes(path: string): Buffer {
  return Buffer.from(path, 'latin1');
}

function eventInBytes(event: ThreadEvent): WatchEvent {
  if (event.kind === 'renamed') return { ...event, from: inBytes(event.from), to: inBytes(event.to) };
  if (event.kind === 'overflow' || event.kind === 'mounts-changed') return event;
  if ('folder' in event) return { ...event, path: inBytes(event.path) };
  const { path, ...rest } = event;
  return path === undefined ? rest : { ...rest, path: inBytes(path) };
}
