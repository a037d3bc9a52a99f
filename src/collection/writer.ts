/** Builds the collection index: the port's other half (`index.ts` has the questions). */
import type { Logger } from '../logger.ts';

/** The scan that a command asks for. Paths are absolute: bytes, or text that is encoded as UTF-8. */
export interface RebuildRequest {
  readonly disks: readonly (Buffer | string)[];
  /** Reads only these, and merges them into the index. Undefined: all disks. */
  readonly paths?: readonly (Buffer | string)[] | undefined;
  /** Reads folders even if they seem unchanged, and replaces an index that is damaged or of another version. */
  readonly full?: boolean;
  /** Patterns: `scan/ignore.ts`. */
  readonly ignoreFiles?: readonly string[];
  /** Folders of autotorrent itself, which are never read: they hold parts of files and copies. */
  readonly own?: readonly (Buffer | string)[];
  /**
   * Milliseconds. A folder that changed less than this before it was read is read again next time: within the grain of
   * its times (2 s on FAT, the default) it may have changed once more.
   */
  readonly racyMs?: number;
  /**
   * Disks that nobody waits for any more, by their names (`uuid:…`, `mount:…`) or by folders at or above them: what is kept of them
   * is taken out where they are away. With no other `paths` nothing is read.
   */
  readonly givenUp?: readonly (Buffer | string)[];
  /** Milliseconds. A file of which mtime or ctime is younger is no candidate until a later rebuild. Default: 0. */
  readonly settleMs?: number;
}

export interface RebuildProgress {
  readonly folders: number;
  readonly files: number;
  readonly bytes: number;
}

/** A folder of a disk that is not there: the index keeps its files. */
export interface DiskAway {
  readonly path: Buffer;
  readonly files: number;
}

/** Counts of the whole index, except `reused`. */
export interface RebuildResult extends RebuildProgress {
  readonly releases: number;
  /** Folders that were not read again, because they had not changed or were not asked for. */
  readonly reused: number;
  /** What of the disks is away. */
  readonly away: readonly DiskAway[];
  /** Files and folders that were left out: the reason, the number, and one path as an example. */
  readonly skipped: ReadonlyMap<string, { readonly count: number; readonly example: Buffer }>;
}

export interface RebuildWatcher {
  /** When it aborts, the index stays as it was and the signal's reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: RebuildProgress) => void) | undefined;
  readonly logger?: Logger | undefined;
}

export interface CollectionWriter {
  /**
   * Scans the disks and replaces the index by what it found, at once and at the end: until then, and where it fails, is
   * aborted or killed, the index answers as before. Rebuilds of one index take turns.
   * @throws AutotorrentError('INDEX') if the index cannot be used, or another rebuild takes longer than a minute
   */
  rebuild(request: RebuildRequest, watcher?: RebuildWatcher): Promise<RebuildResult>;
}
