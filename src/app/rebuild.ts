/** `autotorrent rebuild`: scans the disks, or some paths, into the collection index. */
import { lstat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { shownPath } from '../bytes/shown-path.ts';
import { openCollection } from '../collection/open.ts';
import type { RebuildProgress } from '../collection/writer.ts';
import type { Config } from '../config/config.ts';
import { hashCachePath, poolPath } from '../config/state-paths.ts';
import { AutotorrentError, errnoOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { keepPoolPrivate } from '../state/state-folder.ts';

export interface RebuildRequest {
  /** Scans only these paths; none: all disks. Relative to `cwd`. */
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
  /** Folders that did not change and were not read again. */
  readonly reusedFolders: number;
  /** Disks that are not there, of which the index keeps what it has. */
  readonly away: readonly { readonly disk: string; readonly files: number }[];
  readonly skipped: readonly { readonly reason: string; readonly count: number; readonly example: string }[];
}

/**
 * Rebuilds the index. An interrupted rebuild leaves the index as it was.
 * @throws AutotorrentError('CONFIG') if there is nothing to scan, ('INDEX') if the index cannot be used
 */
export async function rebuildCollection(config: Config, request: RebuildRequest): Promise<RebuildReport> {
  const { logger, signal } = request;
  const pool = poolPath(config.db);
  keepPoolPrivate(pool, logger);
  if (config.disks.length === 0 && request.paths.length === 0) {
    throw new AutotorrentError('CONFIG', `${config.file} names no disks`, {
      hint: 'add a line such as `disk1 = /data` to its [disks] section',
    });
  }
  const paths = request.paths.map((path) => resolve(request.cwd, path));
  for (const path of paths) await mustExist(path);
  const { reused, skipped, away, ...counts } = await openCollection(config, { logger, signal }).rebuild(
    {
      // Files that clients have completed supply other torrents, too.
      disks: (await exists(pool)) ? [...config.disks, pool] : config.disks,
      own: [config.statePath, `${config.db}.state`, hashCachePath(config.db)],
      paths: paths.length === 0 ? undefined : paths,
      full: request.full,
      ignoreFiles: config.ignoreFiles,
      settleMs: config.settle * 1000,
    },
    { onProgress: request.onProgress, signal, logger },
  );
  return {
    ...counts,
    reusedFolders: reused,
    away: away.map(({ path, files }) => ({ disk: shownPath(path).source, files })),
    skipped: [...skipped].map(([reason, { count, example }]) => ({
      reason,
      count,
      example: shownPath(example).source,
    })),
  };
}

/**
 * Takes what the index keeps of a disk that is away out of it. `disk`: its name (`uuid:…`, `mount:…`), or a folder. Nothing is read,
 * and without an index there is nothing to do.
 */
export async function forgetDisk(
  config: Config,
  { disk, logger, signal }: { readonly disk: string | Buffer } & Pick<RebuildRequest, 'logger' | 'signal'>,
): Promise<void> {
  const collection = openCollection(config, { logger, signal });
  try {
    await (await collection.openIndex()).close();
  } catch (error) {
    if (error instanceof AutotorrentError && error.code === 'INDEX') return;
    throw error;
  }
  const { ignoreFiles, disks } = config;
  await collection.rebuild({ disks, paths: [], givenUp: [disk], ignoreFiles }, { signal, logger });
}

const exists = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );

/** A disk may be away, but a path that somebody typed must exist. */
async function mustExist(path: string): Promise<void> {
  try {
    await lstat(path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') return;
    throw new AutotorrentError('NOT_FOUND', `there is no ${path}: nothing was indexed`, {
      hint: 'rebuild without paths takes what has gone out of the index',
    });
  }
}
