/**
 * Makes plans of torrents: matches them with the collection side by side, and hashes as much of each as wanted.
 *
 * The first torrent starts the hashing threads, which the others share.
 */
import { statSync } from 'node:fs';
import type { CollectionIndex } from '../collection/index.ts';
import type { Config } from '../config/config.ts';
import { isWithin } from '../config/paths.ts';
import { poolPath } from '../config/state-paths.ts';
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
import type { Place } from '../source/placing.ts';
import { SourceAccess } from '../source/source-access.ts';
import type { SourceRules } from '../source/source-folders.ts';
import { withHashCache } from './hash-cache.ts';
import { type IncompleteFiles, incompleteFilesOf } from './incomplete-files.ts';
import { sizeAdvice } from './size-advice.ts';
import type { ParsedTorrent } from './torrent-files.ts';
import type { VerifyEffort } from './verify-effort.ts';

export interface PlanningOptions {
  /** The caller closes it. It answers as it was when it was opened, also during a rebuild. */
  readonly index: Promise<CollectionIndex>;
  readonly rules: SourceRules;
  /** False: only the hash modes hash, and no thread is started otherwise. */
  readonly hashes: boolean;
  /** Writes nothing, not even digests. */
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
  /** Says which files have a candidate that no piece proves, if there are any. */
  readonly unproven?: string;
  /** Absent: all files are complete. */
  readonly incomplete?: IncompleteFiles;
  /** What may find more of a torrent that is not accepted, if anything is known to. */
  readonly advice?: string;
  /** In the torrent's order; only if nothing is changed (a dry run). */
  readonly decisions?: TorrentMatch['files'];
  /** With `exact_target = original` and an exact match: the folder that holds the torrent's name. */
  readonly originalDirectory?: string;
}

export class Planner {
  readonly #config: Config;
  readonly #options: PlanningOptions;
  readonly #closing: (() => Promise<void>)[] = [];
  #matcher: Promise<Matcher> | undefined;
  #access: SourceAccess | undefined;

  constructor(config: Config, options: PlanningOptions) {
    this.#config = config;
    this.#options = options;
  }

  /**
   * Plans one torrent; several may be planned at once.
   *
   * @throws AutotorrentError('INDEX') if the index cannot be read: that fails all torrents
   */
  async plan(torrent: ParsedTorrent, effort: VerifyEffort): Promise<Planned> {
    this.#matcher ??= this.#open();
    const { name, metainfo } = torrent;
    return await this.#planOf(torrent, await (await this.#matcher).match({ name, metainfo, ...effort }));
  }

  async close(): Promise<void> {
    await this.#matcher?.catch(() => {});
    for (let close = this.#closing.pop(); close !== undefined; close = this.#closing.pop()) await close();
  }

  async #open(): Promise<Matcher> {
    const config = this.#config;
    const { rules, logger, signal, hashes, onHashing } = this.#options;
    const access = new SourceAccess(rules, { logger });
    this.#access = access;
    for (const folder of access.released.folders)
      logger.warn(`${folder.toString()} was released: nothing on it is used`);
    const needed = hashes || config.scanModes.some((mode) => mode.startsWith('hash_'));
    const threads = needed ? await startThreads(config, access) : undefined;
    if (threads !== undefined) this.#closing.push(async () => await threads.close());
    const index = await this.#options.index;
    const pool = threads === undefined ? undefined : await this.#remembering(threads, access);
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
      access,
      hypotheses: ({ path, identity }, wantedLength) =>
        shiftsOfFile({ path, size: identity.size }, wantedLength, access),
      onProgress: onHashing,
      ...(pool === undefined ? {} : { pool }),
    });
  }

  /** Nothing is stored of what changes nothing. */
  #placeOf(): ((path: Buffer, dev: number) => Place) | undefined {
    const placing = this.#options.changesNothing ? undefined : this.#access?.placing;
    return placing === undefined ? undefined : (path, dev) => placing.placeOf(path, dev);
  }

  async #remembering(threads: HashPool, access: SourceAccess): Promise<HashPool> {
    const { changesNothing, logger } = this.#options;
    const cached = changesNothing
      ? createCachedPool({ pool: threads, access, database: undefined, logger })
      : await withHashCache(threads, this.#config, access, logger);
    return createGatheringPool(cached);
  }

  async #planOf(torrent: ParsedTorrent, match: TorrentMatch): Promise<Planned> {
    const config = this.#config;
    const verdict = checkLimits(match, config);
    const advice = verdict.accepted ? undefined : await sizeAdvice(match, await this.#options.index, config.scanModes);
    const unproven = unprovenOf(match);
    const incomplete = incompleteFilesOf(match);
    const found = config.exactTarget === 'original' ? match.original?.toString('utf8') : undefined;
    // The pool is for the server alone: a client may not enter it.
    const original = found === undefined || isWithin(found, poolPath(config.db)) ? undefined : found;
    return {
      ...torrent,
      plan: makePlan(match, Date.now(), this.#placeOf()),
      verdict,
      reason: match.reason,
      ...(unproven === undefined ? {} : { unproven }),
      ...(incomplete === undefined ? {} : { incomplete }),
      ...(advice === undefined ? {} : { advice }),
      ...(this.#options.changesNothing ? { decisions: match.files } : {}),
      ...(original === undefined ? {} : { originalDirectory: original }),
    };
  }
}

/** One clause: the name of a file without proof says which of the user's files a stranger's torrent asks for. */
function unprovenOf({ files, metainfo }: TorrentMatch): string | undefined {
  const found = files.flatMap(({ code }, i) => (code === 'unproven' ? [metainfo.files[i]?.path.join('/') ?? ''] : []));
  const [first] = found;
  if (first === undefined) return undefined;
  if (found.length === 1) return `unproven: ${first} is there by name and size, but its bytes could not be hashed`;
  return `unproven: ${found.length} files are there by name and size, but their bytes could not be hashed; the first is ${first}`;
}

async function startThreads(config: Config, { rules, released }: SourceAccess): Promise<HashPool> {
  const { createHashPool } = await import('../hash/piscina-pool.ts');
  const disks = countDisks(config.disks.filter((disk) => !released.holds(Buffer.from(disk))));
  return createHashPool({ sources: rules, readersPerDisk: config.hashReaders, disks, ready: true });
}

/** Counts disks: folders on one file system count once, missing folders not at all. */
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
