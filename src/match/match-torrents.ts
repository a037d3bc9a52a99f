/**
 * Matches torrents with a collection: glossary and invariants in `match.ts`.
 *
 * Torrents are matched side by side, each on its own: one ends as soon as its own pieces are hashed, whatever the others
 * wait for. They share the index's batches, the hash pool, and how many files are aligned at once.
 */
import type { CollectionIndex } from '../collection/index.ts';
import type { HashPool, HashProgress } from '../hash/hash-pool.ts';
import type { Logger } from '../logger.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import type { OwnMounts } from '../source/own-mounts.ts';
import { AlignmentsOfRun, type HashLimit, type HashModeDependencies } from './hash-modes.ts';
import { isHashMode, type MatchMode, type TorrentMatch, type VerifyGoal } from './match.ts';
import { Matching, type MatchingParts } from './matching.ts';
import { mergeQuestions } from './merged-questions.ts';
import { PieceHasher } from './piece-hashing.ts';
import { TorrentTask } from './torrent-task.ts';

export interface MatchOptions {
  /** Tried in the order of `MATCH_MODES`, whatever their order here. */
  readonly scanModes: readonly MatchMode[];
  /** Of torrents that do not say otherwise. */
  readonly verify: VerifyGoal;
  /** Of the hash modes. */
  readonly sizeVarying?: number;
  readonly hashLimit?: HashLimit;
}

const DEFAULT_VARYING = 10;
export const NO_LIMIT: HashLimit = { candidates: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER };

export interface MatchDependencies {
  readonly index: CollectionIndex;
  /** Needed unless nothing is verified and no hash mode is among the modes. */
  readonly pool?: HashPool;
  readonly options: MatchOptions;
  readonly logger: Logger;
  /** Mounts of autotorrent: nothing on them may be a source. */
  readonly ownMounts: OwnMounts;
  readonly signal?: AbortSignal;
  /** Shifts that a candidate's own structure suggests (see `parts.ts`), the likeliest first. */
  readonly hypotheses?: HashModeDependencies['hypotheses'];
  /** Of hashing, over all torrents; `totalBytes` grows as torrents are begun, and when more candidates have to be tried. */
  readonly onProgress?: (progress: HashProgress) => void;
}

/** A .torrent to match: `name` is its file name without extension. */
export interface MatchRequest {
  readonly name: string;
  readonly metainfo: Metainfo;
  /** Default: that of the options. */
  readonly verify?: VerifyGoal;
  /** False: with `full` no second copy is hashed, to be known when the first goes. Default: true. */
  readonly spares?: boolean;
}

export interface Matcher {
  /** Rejects with the signal's reason when aborted, and with what the index or the pool throws. */
  match(request: MatchRequest): Promise<TorrentMatch>;
}

export function createMatcher(dependencies: MatchDependencies): Matcher {
  const { index, pool, options, signal, onProgress, hypotheses, logger, ownMounts } = dependencies;
  const { scanModes, sizeVarying = DEFAULT_VARYING, hashLimit = NO_LIMIT } = options;
  const hashModes = scanModes.some(isHashMode);
  const hasher = pool === undefined ? undefined : new PieceHasher(pool, signal, onProgress);
  const parts: MatchingParts = {
    index: mergeQuestions(index),
    hasher,
    alignments: new AlignmentsOfRun(),
    scanModes,
    hashModeOptions: { sizeVarying, limit: hashLimit },
    hypotheses,
    ownMounts,
    logger,
    signal,
  };
  return {
    async match({ name, metainfo, verify = options.verify, spares = true }) {
      const hashes = verify !== 'none' || hashModes;
      if (hashes && hasher === undefined) throw new Error('hashing needs a hash pool');
      const needed = hashes ? parts : { ...parts, hasher: undefined };
      return await new Matching(new TorrentTask(name, metainfo), verify, spares, needed).run();
    },
  };
}

/** One match a torrent, in their order; all of them side by side. */
export async function matchTorrents(
  requests: readonly MatchRequest[],
  dependencies: MatchDependencies,
): Promise<TorrentMatch[]> {
  const matcher = createMatcher(dependencies);
  return await Promise.all(requests.map(async (request) => await matcher.match(request)));
}
