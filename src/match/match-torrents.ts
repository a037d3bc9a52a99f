/**
 * Matches torrents with a collection: glossary and invariants in `match.ts`.
 *
 * Torrents are matched side by side, each on its own: one ends as soon as its own pieces are hashed, whatever the others
 * wait for. They share batches of the index, the hash pool, and a limit on files that are aligned at once.
 */
import type { CollectionIndex } from '../collection/index.ts';
import type { HashPool, HashProgress } from '../hash/hash-pool.ts';
import type { Logger } from '../logger.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import type { SourceAccess } from '../source/source-access.ts';
import { AlignmentsOfRun, type HashLimit, type HashModeDependencies } from './hash-modes.ts';
import { isHashMode, type MatchMode, type TorrentMatch, type VerifyGoal } from './match.ts';
import { Matching, type MatchingParts } from './matching.ts';
import { mergeQuestions } from './merged-questions.ts';
import { PieceHasher } from './piece-hashing.ts';
import { TorrentTask } from './torrent-task.ts';

export interface MatchOptions {
  /** The modes to try, in the order of `MATCH_MODES`, whatever their order here. */
  readonly scanModes: readonly MatchMode[];
  /** Default of torrents without their own. */
  readonly verify: VerifyGoal;
  /** For the hash modes. */
  readonly sizeVarying?: number;
  readonly hashLimit?: HashLimit;
}

const DEFAULT_VARYING = 10;
export const NO_LIMIT: HashLimit = { candidates: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER };

export interface MatchDependencies {
  readonly index: CollectionIndex;
  /** Required unless nothing is verified and no hash mode is used. */
  readonly pool?: HashPool;
  readonly options: MatchOptions;
  readonly logger: Logger;
  readonly access: SourceAccess;
  readonly signal?: AbortSignal;
  /** Shifts that a candidate's own structure suggests (see `parts.ts`), the likeliest first. */
  readonly hypotheses?: HashModeDependencies['hypotheses'];
  /** Reports hashing over all torrents; `totalBytes` grows as torrents begin, and when more candidates must be tried. */
  readonly onProgress?: (progress: HashProgress) => void;
}

/** A .torrent to match: `name` is its file name without extension. */
export interface MatchRequest {
  readonly name: string;
  readonly metainfo: Metainfo;
  /** Default: that of the options. */
  readonly verify?: VerifyGoal;
  /** False: `full` hashes no second copy, which would serve when the first goes away. Default: true. */
  readonly spares?: boolean;
}

export interface Matcher {
  /** Matches. Rejects with the signal's reason when aborted, and with the errors of the index or the pool. */
  match(request: MatchRequest): Promise<TorrentMatch>;
}

export function createMatcher(dependencies: MatchDependencies): Matcher {
  const { index, pool, options, signal, onProgress, hypotheses, logger, access } = dependencies;
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
    access,
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

/** Gives one match for each torrent, in order, all matched side by side. */
export async function matchTorrents(
  requests: readonly MatchRequest[],
  dependencies: MatchDependencies,
): Promise<TorrentMatch[]> {
  const matcher = createMatcher(dependencies);
  return await Promise.all(requests.map(async (request) => await matcher.match(request)));
}
