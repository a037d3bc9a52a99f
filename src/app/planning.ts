/**
 * From torrents to plans: opens the collection index for as long as it is needed, matches a batch, hashes what
 * `verify` asks for, and lets go of the index again, since other commands and configurations share it.
 */
import { openIndex } from '../collection/level/open-index.ts';
import type { Config } from '../config/config.ts';
import { shiftsOfFile } from '../container/payload-files.ts';
import type { HashPool, HashProgress } from '../hash/hash-pool.ts';
import { openIndexDatabase } from '../leveldb/open.ts';
import type { Logger } from '../logger.ts';
import type { TorrentMatch } from '../match/match.ts';
import { matchTorrents } from '../match/match-torrents.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import { checkLimits, type LimitVerdict } from '../plan/limits.ts';
import { makePlan } from '../plan/make-plan.ts';
import type { Plan } from '../plan/plan.ts';
import { OwnMounts } from '../source/own-mounts.ts';
import { withHashCache } from './hash-cache.ts';
import type { TorrentFile } from './torrent-files.ts';

/** How many torrents are matched together: enough for the index to answer in batches, few enough to hold in memory. */
export const BATCH = 100;
export interface PlanningRequest {
  readonly verify: 'none' | 'probe' | 'full';
  /** Nothing is written, not even what was hashed. */
  readonly changesNothing?: boolean;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onHashing: (progress: HashProgress) => void;
}

export interface Planned extends TorrentFile {
  readonly metainfo: Metainfo;
  readonly plan: Plan;
  readonly verdict: LimitVerdict;
  /** One sentence over the whole torrent. */
  readonly reason: string;
  /** With `exact_target = original` and an exact match: the folder in which the torrent's name lies. */
  readonly originalDirectory?: string;
}

/** One plan a torrent, in their order. Nothing is opened for an empty list. */
export async function planTorrents(
  config: Config,
  torrents: readonly (TorrentFile & { readonly metainfo: Metainfo })[],
  request: PlanningRequest,
): Promise<Planned[]> {
  if (torrents.length === 0) return [];
  const { logger, signal, verify, changesNothing } = request;
  const ownMounts = new OwnMounts();
  // Its threads start while the index is opened.
  const threads = hashes(config, verify) ? await startThreads(config) : undefined;
  try {
    const db = await openIndexDatabase(config, { create: false, logger, signal });
    try {
      const index = await openIndex(db);
      const pool =
        threads === undefined || changesNothing === true ? threads : await withHashCache(threads, config, logger);
      try {
        const matches = await matchTorrents(torrents, {
          index,
          options: {
            scanModes: config.scanModes,
            verify,
            sizeVarying: config.hashSizeVarying,
            hashLimit: config.hashLimit,
          },
          logger,
          signal,
          ownMounts,
          hypotheses: ({ path, identity }, wantedLength) =>
            shiftsOfFile({ path, size: identity.size }, wantedLength, ownMounts),
          onProgress: request.onHashing,
          ...(pool === undefined ? {} : { pool }),
        });
        return plansOf(config, torrents, matches);
      } finally {
        await pool?.close();
        await index.close();
      }
    } finally {
      await db.close();
    }
  } finally {
    await threads?.close();
  }
}

function plansOf(
  config: Config,
  torrents: readonly (TorrentFile & { readonly metainfo: Metainfo })[],
  matches: readonly TorrentMatch[],
): Planned[] {
  const now = Date.now();
  return torrents.map((torrent, i) => {
    const match = matches[i];
    if (match === undefined) throw new Error(`${torrent.path} was not matched`);
    const original = config.exactTarget === 'original' ? match.original?.toString('utf8') : undefined;
    return {
      ...torrent,
      plan: makePlan(match, now),
      verdict: checkLimits(match, config),
      reason: match.reason,
      ...(original === undefined ? {} : { originalDirectory: original }),
    };
  });
}

function hashes({ scanModes }: Config, verify: PlanningRequest['verify']): boolean {
  return verify !== 'none' || scanModes.some((mode) => mode.startsWith('hash_'));
}

async function startThreads(config: Config): Promise<HashPool> {
  const { createHashPool } = await import('../hash/piscina-pool.ts');
  return createHashPool({ readersPerDisk: config.hashReaders, ready: true });
}
