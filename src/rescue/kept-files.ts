/**
 * Kept files: what torrents need of a source that is about to be lost, on the source's own disk (`docs/sources.md`, "What would
 * be lost is kept").
 *
 *     DISK/.autotorrent/            0700; in the topmost folder of the source's file system, at or below its disk
 *       kept-<id>/state             whose folder this is: the path of the state
 *       kept-<id>/<random>/NAME     a kept file, with the name of its source
 *       found/<random>/NAME         what was kept for a state that was lost: `rebuild` reads it
 *       pins-<id>/…                 pins: kept files that are made in advance, of all of a file
 *     POOL/.autotorrent/            the same, where no such folder can be made
 *
 * A kept file has the size and the mtime of its source, and the old bytes at their old offsets. One that had to be kept while a writer
 * waited, and could not be in time, is shorter: it ends where that was over. Its mode says who may read it:
 * the closed folders above it let nobody else in. It is nothing more than a doubted source: each piece is hashed before it is served.
 */
import type { Logger } from '../logger.ts';
import type { FileSystems } from '../source/file-system.ts';
import type { FileIdentity } from '../source/identity.ts';
import type { Readers } from '../source/readers.ts';
import type { ReleasedFolders } from '../source/released-folders.ts';

/** How a pin is made: it shares the extents of its source (FICLONE), or is another name of it (link(2)). */
export type PinKind = 'reflink' | 'hardlink';

/** Bytes of a file. */
export interface KeptRange {
  readonly offset: number;
  readonly length: number;
}

export interface ToKeep {
  /** An open descriptor of a file that has the bytes; the file may be deleted. It stays open until the promise settles. */
  readonly fd: number;
  /** Where the file lies or lay: says on which disk it is kept, and under which name. */
  readonly path: Buffer;
  /**
   * What the descriptor must still be, before and after: else nothing is kept. The ctime is not compared: the deletion itself
   * changes it, and all bytes of a kept file are hashed before they are served.
   */
  readonly identity: FileIdentity;
  /** The bytes that torrents need, in order, disjoint. */
  readonly ranges: readonly KeptRange[];
  readonly readers: Readers;
  /**
   * A pin is made: of all of the file, and never by copying. The ctime is compared as well, since a reflink is served
   * unhashed.
   */
  readonly pin?: PinKind;
  /**
   * Somebody waits: after this time (`threadClockMs`) no more of it is shared or copied, and it is kept up to there. At least its
   * beginning is. Default: it takes as long as it takes.
   */
  readonly until?: number;
}

/**
 * `rescue_limit`: it can only be copied, and is more than that. `rescue_total`: there is no room left within that, and nothing
 * expendable. `room`: the disk is full. `changed`: the descriptor is of a file that was written to.
 * Pins only: `file system`: none can be made there; `file`: none can be made of this file.
 */
export type NotKept = 'rescue_limit' | 'rescue_total' | 'room' | 'changed' | 'error' | 'file system' | 'file';

export type Keeping =
  | {
      readonly kind: 'kept';
      readonly path: Buffer;
      /** Its ctime is undefined, but for a reflink: our own punching of holes, and links that come and go change it. */
      readonly identity: FileIdentity;
      /** The extents are the source's (FICLONE). */
      readonly shared: boolean;
      /** The bytes of `ranges` that were not kept, since the time was over: the kept file ends before them. */
      readonly missing: number;
      /** The room that it takes as long as nothing else shares its extents: `st_blocks`. */
      readonly bytes: number;
      /** Of a hard link: what the source is now, since a link changes its ctime. `unwritten`: nobody wrote to it meanwhile. */
      readonly original?: FileIdentity;
      readonly unwritten?: boolean;
    }
  | {
      readonly kind: 'not kept';
      readonly why: NotKept;
      /** A predicate, after the name of the source. */
      readonly says: string;
    };

/** What is kept in one folder. */
export interface KeptUsage {
  /** The folder in which `.autotorrent` lies: of a disk, or the pool. */
  readonly folder: string;
  readonly files: number;
  readonly bytes: number;
}

export interface KeptFiles {
  /** Keeps a file, in a thread. What was kept is not synced yet. Never throws: an error is `not kept`. */
  keep(one: ToKeep): Promise<Keeping>;
  /** Syncs a kept file and the folders above it: before an extent names it. @throws errors of the disk */
  sync(path: Buffer): Promise<void>;
  /**
   * Makes holes of all but `ranges` (in order, disjoint), where the file system can. Its mtime stays, its ctime does not.
   * @throws errors of the disk
   */
  trim(path: Buffer, ranges: readonly KeptRange[]): Promise<void>;
  /** Deletes a kept file. It may be gone already. @throws errors of the disk */
  drop(path: Buffer): Promise<void>;
  /** Tells which of some kept files are not there. None of a disk that was released, or does not answer within half a minute. */
  missing(paths: readonly Buffer[]): Promise<readonly Buffer[]>;
  /** Tells by its path if a file is one that was kept for this state. */
  isKept(path: Buffer): boolean;
  /**
   * Deletes kept files of this state that no record names, at the start of the server. `named`: the paths of those that records
   * name, wherever their disk is mounted now. What was kept since the server started stays. Moves those of a lost state that had
   * the same path to `found`. Disks that are not there are left out. A disk that does not answer is waited for half a minute, and
   * cleaned when it does.
   */
  clean(named: readonly Buffer[]): Promise<void>;
  /** What is kept, as far as it is known: `clean` looks at all disks. Folders with nothing in them are left out. */
  usage(): readonly KeptUsage[];
  /** Ends the threads, when what they do has ended, but after five seconds at the latest. */
  close(): Promise<void>;
}

export interface KeptFilesOptions {
  /** The folders that hold sources: `[disks]`, and those that were given to `rebuild`. Absolute. Asked each time. */
  readonly folders: () => Promise<readonly Buffer[]>;
  readonly fileSystems: Pick<FileSystems, 'diskHolding' | 'mountsBelow'>;
  /** `<db>.pool`. */
  readonly pool: string;
  /** This state, and its path (`state_path`). The id is another one after the state was lost: `state-id.ts`. */
  readonly state: { readonly id: string; readonly path: string; readonly pins?: true };
  /** Bytes: `rescue_limit`. */
  readonly limit: number;
  /** Bytes in each folder: `rescue_total`. */
  readonly total: number;
  /** Kept files that no extent names, the oldest first: some may go when `total` is reached. */
  readonly expendable: () => readonly Buffer[];
  /** Deletes the record of such a file, unless an extent names it by now. True: the file goes. */
  readonly letGo: (path: Buffer) => Promise<boolean>;
  readonly released: ReleasedFolders;
  readonly logger: Logger;
}
