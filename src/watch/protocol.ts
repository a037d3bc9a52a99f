/**
 * What the watch reports, and the messages between the server and the thread of the watch.
 *
 * In messages paths are byte strings (each byte one character, latin1), since a Buffer would be copied with its whole pool.
 */

interface Concerned {
  /** The handle of the file or folder, as `handleKey` makes it. */
  readonly handle?: string;
  /** The ids of followed sources that the file is, by its handle: known even if it was changed by another name. */
  readonly sources?: readonly number[];
}

export interface Renamed<P> extends Concerned {
  readonly kind: 'renamed';
  readonly from: P;
  readonly to: P;
  readonly folder: boolean;
  /** The watch that holds for the new place. */
  readonly watch: number;
}

/** `left`: moved to where no mark is. */
export interface CameOrWent<P> extends Concerned {
  readonly kind: 'left' | 'deleted' | 'appeared';
  readonly path: P;
  readonly folder: boolean;
}

/** `closed`: somebody who might have written to the file has closed it, and no write was seen. */
export interface Changed<P> extends Concerned {
  readonly kind: 'written' | 'closed' | 'attributes';
  /** Absent: a followed file, under a name that the watch does not know. */
  readonly path?: P;
}

/** What happened to a file or folder. `P` is the form of a path. */
export type FileEvent<P> = Renamed<P> | CameOrWent<P> | Changed<P>;

/** `lost`: there are folders with sources on or below a new mount. They are marked when they are used, or asked for. */
export interface MountsChanged {
  readonly kind: 'mounts-changed';
  readonly lost: boolean;
}

export type WatchEvent =
  | FileEvent<Buffer>
  | MountsChanged
  /** Events were lost, or not everything can be watched: look again. */
  | { readonly kind: 'overflow' };

export type WatchKind = 'fanotify-filesystem' | 'fanotify-folders' | 'inotify' | 'none';

export interface WatchFacts {
  /** The best that is in use; `none` before the first mark. */
  readonly kind: WatchKind;
  /** Marks of file systems and folders. */
  readonly marks: number;
  /** True: a limit of the kernel keeps some folders from being watched. */
  readonly limited: boolean;
}

/** How the sources of one file system are watched. */
export interface WatchedFileSystem<P> {
  readonly mountPoint: P;
  readonly kind: WatchKind;
  /** One for the whole file system, or one for each folder. */
  readonly marks: number;
  /** Folders with sources that are not watched. */
  readonly unwatched: number;
  /** Why: a predicate, to follow the folders. Undefined: all are watched. */
  readonly why?: string | undefined;
  /** How often the kernel has lost events of it. */
  readonly overflows: number;
}

/** What the thread is started with. */
export interface WatchSettings {
  /** A descriptor that is readable when there are messages (`WaitingCalls.alarm`). */
  readonly alarm: number;
  /** Folders that are marked at most, where each needs a mark of its own. */
  readonly mostMarks: number;
  /** False: only what an ordinary user may do. */
  readonly wholeFileSystems: boolean;
  /** False: inotify alone. */
  readonly fanotify: boolean;
  /** The numbers of watches are larger: each thread has its own. */
  readonly watchesAfter: number;
}

export type ToThread =
  /** Watch a source: its folder, and the file by its handle. Answered by `followed`. */
  | { readonly kind: 'follow'; readonly request: number; readonly source: number; readonly path: string }
  /** Folders that have sources, which are not touched: answered by those that need marks of their own. */
  | { readonly kind: 'know'; readonly request: number; readonly folders: readonly string[] }
  /** Watch nothing more of the file systems at these mount points. Answered by `done`. */
  | { readonly kind: 'leave'; readonly request: number; readonly folders: readonly string[] }
  /** Mark folders, if there is room. Answered by `done`. */
  | { readonly kind: 'mark'; readonly request: number; readonly folders: readonly string[] }
  /** Answered by how file systems are watched. */
  | { readonly kind: 'describe'; readonly request: number }
  /** Report all that happened before. Answered by `done`. */
  | { readonly kind: 'fence'; readonly request: number }
  /** A batch of events was processed. */
  | { readonly kind: 'taken' }
  | { readonly kind: 'close' };

export type FromThread =
  | { readonly kind: 'events'; readonly events: readonly ThreadEvent[] }
  | {
      readonly kind: 'answer';
      readonly request: number;
      readonly watch?: number;
      /** The watch reports what happens to the file under any name. */
      readonly anyName?: boolean;
      readonly folders?: readonly string[];
      readonly fileSystems?: readonly WatchedFileSystem<string>[];
    }
  /** Watches that hold no longer. */
  | { readonly kind: 'ended'; readonly watches: readonly number[] }
  | { readonly kind: 'facts'; readonly facts: WatchFacts; readonly limit?: string };

export type ThreadEvent = FileEvent<string> | MountsChanged | { readonly kind: 'overflow' };
