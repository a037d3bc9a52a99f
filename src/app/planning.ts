/**
 * From torrents to plans: matches torrents with the collection side by side, and hashes what each is to have verified.
 *
 * The index and the threads that hash are opened with the first torrent that is planned, and kept for the others. The
 * index stays as it was at that moment, whatever is rebuilt meanwhile.
 */
import { statSync } from 'node:fs';
import { openCollection } from '../collection/open.ts';
import type { Config } from '../config/config.ts';
import { shiftsOfFile } from '../container/payload-files.ts';
import { createCachedPool } from '../hash/cached-pool.ts';
import { createGatheringPool } from '../hash/gathering-pool.ts';
import type { HashPool, HashProgress } from '../hash/hash-pool.ts';
import type { Logger } from '../logger.ts';
import type { TorrentMatch } from '../match/match.ts';
import { createMatcher, type Matcher } from '../match/match-torrents.ts';
import { checkLimits, type LimitVerdict } from '../plan/limits.ts';
import { makePlan } from '../plan/make-plan.ts';
import type { Plan } from '../plan/plan.ts';
import { OwnMounts } from '../source/own-mounts.ts';
import { withHashCache } from './hash-cache.ts';
import type { ParsedTorrent } from './torrent-files.ts';
import type { VerifyEffort } from './verify-effort.ts';

export interface PlanningOptions {
  /** False: nothing is hashed but for the hash modes, and no thread is started for it. */
  readonly hashes: boolean;
  /** Nothing is written, not even what was hashed. */
  readonly changesNothing: boolean;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onHashing: (progress: HashProgress) => void;
}

export interface Planned extends ParsedTorrent {
  readonly plan: Plan;
  readonly verdict: LimitVerdict;
  /** One sentence over the whole torrent. */
  readonly reason: string;
  /** With `exact_target = original` and an exact match: the folder in which the torrent's name lies. */
  readonly originalDirectory?: string;
}

export class Planner {
  readonly #config: Config;
  readonly #options: PlanningOptions;
  readonly #closing: (() => Promise<void>)[] = [];
  #matcher: Promise<Matcher> | undefined;

  constructor(config: Config, options: PlanningOptions) {
    this.#config = config;
    this.#options = options;
  }

  /**
   * Plans one torrent; several may be planned at once.
   *
   * @throws AutotorrentError('INDEX') where the index cannot be read: that is every torrent's failure
   */
  async plan(torrent: ParsedTorrent, effort: VerifyEffort): Promise<Planned> {
    this.#matcher ??= this.#open();
    const { name, metainfo } = torrent;
    return this.#planOf(torrent, await (await this.#matcher).match({ name, metainfo, ...effort }));
  }

  async close(): Promise<void> {
    await this.#matcher?.catch(() => {});
    for (let close = this.#closing.pop(); close !== undefined; close = this.#closing.pop()) await close();
  }

  async #open(): Promise<Matcher> {
    const config = this.#config;
    const { logger, signal, hashes, onHashing } = this.#options;
    const ownMounts = new OwnMounts();
    // The index process starts, where none runs, while the threads that hash are loaded.
    const opening = openCollection(config, { logger, signal }).openIndex();
    const opened = opening.catch(() => undefined); // `opening` is awaited below
    this.#closing.push(async () => await (await opened)?.close());
    const needed = hashes || config.scanModes.some((mode) => mode.startsWith('hash_'));
    const threads = needed ? await startThreads(config) : undefined;
    if (threads !== undefined) this.#closing.push(async () => await threads.close());
    const index = await opening;
    const pool = threads === undefined ? undefined : await this.#remembering(threads);
    if (pool !== undefined) this.#closing.push(async () => await pool.close());
    return createMatcher({
      index,
      options: {
        scanModes: config.scanModes,
        verify: 'none',
        sizeVarying: config.hashSizeVarying,
        hashLimit: config.hashLimit,
      },
      logger,
      signal,
      ownMounts,
      hypotheses: ({ path, identity }, wantedLength) =>
        shiftsOfFile({ path, size: identity.size }, wantedLength, ownMounts),
      onProgress: onHashing,
      ...(pool === undefined ? {} : { pool }),
    });
  }

  async #remembering(threads: HashPool): Promise<HashPool> {
    const { changesNothing, logger } = this.#options;
    const cached = changesNothing
      ? createCachedPool({ pool: threads, database: undefined, logger })
      : await withHashCache(threads, this.#config, logger);
    return createGatheringPool(cached);
  }

  #planOf(torrent: ParsedTorrent, match: TorrentMatch): Planned {
    const config = this.#config;
    const original = config.exactTarget === 'original' ? match.original?.toString('utf8') : undefined;
    return {
      ...torrent,
      plan: makePlan(match, Date.now()),
      verdict: checkLimits(match, config),
      reason: match.reason,
      ...(original === undefined ? {} : { originalDirectory: original }),
    };
  }
}

async function startThreads(config: Config): Promise<HashPool> {
  const { createHashPool } = await import('../hash/piscina-pool.ts');
  const disks = countDisks(config.disks);
  return createHashPool({ readersPerDisk: config.hashReaders, disks, ready: true });
}

/** Folders of one file system count once; one that is not there does not count. */
function countDisks(folders: Config['disks']): number {
  const devices = folders.flatMap((folder) => {
    try {
      return statSync(folder).dev;
    } catch {
      return [];
    }
  });
  return Math.max(1, new Set(devices).size);
}
