/** `autotorrent rebuild`: scans the disks, or some paths, into the collection index. */
import { resolve } from 'node:path';
import { type RebuildProgress, rebuild } from '../collection/rebuild.ts';
import type { Config } from '../config/config.ts';
import { AutotorrentError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { openLevel } from './open-level.ts';
import { shownPath } from './shown-path.ts';

/** Another command that uses the index is waited for so long. */
const INDEX_WAIT_MS = 60_000;

export interface RebuildRequest {
  /** Only these; none: all disks. Relative to `cwd`. */
  readonly paths: readonly string[];
  readonly cwd: string;
  /** Reads every folder, changed or not. */
  readonly full: boolean;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: RebuildProgress) => void;
}

export interface RebuildReport extends RebuildProgress {
  readonly releases: number;
  /** Folders that were not read again. */
  readonly reusedFolders: number;
  readonly skipped: readonly { readonly reason: string; readonly count: number; readonly example: string }[];
}

/**
 * An interrupted rebuild leaves the index as it was.
 * @throws AutotorrentError('CONFIG') where there is nothing to scan, ('INDEX') where the index cannot be used
 */
export async function rebuildCollection(config: Config, request: RebuildRequest): Promise<RebuildReport> {
  const { logger, signal } = request;
  if (config.disks.length === 0 && request.paths.length === 0) {
    throw new AutotorrentError('CONFIG', `${config.file} names no disks`, {
      hint: 'add a line such as `disk1 = /data` to its [disks] section',
    });
  }
  const db = await openLevel(config.db, {
    code: 'INDEX',
    what: 'the collection index',
    create: true,
    waitMs: INDEX_WAIT_MS,
    signal,
    onWait: (holder) => logger.info(`waiting for the collection index, which ${holder} uses`),
  });
  try {
    const { reused, skipped, ...counts } = await rebuild(db, {
      disks: config.disks,
      paths: request.paths.length === 0 ? undefined : request.paths.map((path) => resolve(request.cwd, path)),
      full: request.full,
      ignoreFiles: config.ignoreFiles,
      onProgress: request.onProgress,
      signal,
      logger,
    });
    return {
      ...counts,
      reusedFolders: reused,
      skipped: [...skipped].map(([reason, { count, example }]) => ({
        reason,
        count,
        example: shownPath(example).source,
      })),
    };
  } finally {
    await db.close();
  }
}
