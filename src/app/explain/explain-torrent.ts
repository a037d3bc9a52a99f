/** `explain TORRENT`: why a torrent does not match: of each file that is not complete, the nearest candidates and what each lacks. */
import type { CollectionIndex } from '../../collection/index.ts';
import type { Config } from '../../config/config.ts';
import { AutotorrentError } from '../../errors.ts';
import type { HashProgress } from '../../hash/hash-pool.ts';
import type { Logger } from '../../logger.ts';
import type { FileMatch } from '../../match/match.ts';
import { type Planned, Planner } from '../planning.ts';
import { findServer } from '../server-connection.ts';
import { sourceRulesNow } from '../source-rules-now.ts';
import { complaintOf, readTorrent, type TorrentFile } from '../torrent-files.ts';
import { verifyEffort } from '../verify-effort.ts';
import { type Candidate, nearestCandidates } from './candidates.ts';

export interface ExplainRequest {
  readonly index: Promise<CollectionIndex>;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onHashing: (progress: HashProgress) => void;
}

export interface ExplainedFile {
  /** Below the torrent's folder. */
  readonly path: string;
  readonly length: number;
  readonly status: FileMatch['status'];
  readonly code: FileMatch['code'];
  /** One sentence. */
  readonly reason: string;
  /** The nearest first. */
  readonly candidates: readonly Candidate[];
}

export interface ExplainedTorrent {
  readonly torrent: string;
  readonly name: string;
  readonly infoHash: string;
  /** What `add` would say, as far as that is known without a client. */
  readonly status: 'OK' | 'Missing';
  /** One sentence. */
  readonly reason: string;
  readonly foundBytes: number;
  readonly missingBytes: number;
  readonly totalFiles: number;
  readonly incompleteFiles: number;
  /** Those that are not complete: the first of them, since a torrent may have a million. */
  readonly files: readonly ExplainedFile[];
}

/** Files that are explained. */
const MOST_EXPLAINED = 500;

/** @throws AutotorrentError('TORRENT') if it is none, ('INDEX') if there is no index, or it cannot be read */
export async function explainTorrent(
  config: Config,
  torrent: TorrentFile,
  { index, logger, signal, onHashing }: ExplainRequest,
): Promise<ExplainedTorrent> {
  const read = await readTorrent(torrent, signal);
  if (read.error !== undefined) {
    throw new AutotorrentError('TORRENT', `${torrent.path}: ${complaintOf(read.error)}`, { cause: read.error });
  }
  const rules = await sourceRulesNow(config, await findServer(config));
  const hashes = config.verify !== 'none';
  const planner = new Planner(config, { index, rules, hashes, changesNothing: true, logger, signal, onHashing });
  try {
    const effort = verifyEffort({ verify: config.verify, fastResume: config.fastResume }, undefined, read.metainfo);
    return await explained(config, await planner.plan(read, effort), await index);
  } finally {
    await planner.close();
  }
}

async function explained(config: Config, planned: Planned, index: CollectionIndex): Promise<ExplainedTorrent> {
  const { plan, verdict, decisions = [], metainfo } = planned;
  const incomplete = decisions.flatMap((match, i) => {
    const file = metainfo.files[i];
    const isBad = match.status === 'missing' || match.status === 'partial';
    return isBad && file !== undefined ? [{ match, file }] : [];
  });
  const some = incomplete.slice(0, MOST_EXPLAINED);
  const candidates = await nearestCandidates(
    some.map(({ match, file }) => ({
      name: file.path.at(-1) ?? '',
      length: file.length,
      match,
      used: new Set(match.extents.flatMap(({ source }) => plan.sources[source]?.path.toString('latin1') ?? [])),
    })),
    { index, scanModes: config.scanModes },
  );
  return {
    torrent: planned.path,
    name: planned.name,
    infoHash: plan.infoHash,
    status: verdict.accepted ? 'OK' : 'Missing',
    reason: planned.reason,
    foundBytes: verdict.foundBytes,
    missingBytes: verdict.missingBytes,
    totalFiles: metainfo.files.length,
    incompleteFiles: incomplete.length,
    files: some.map(({ match, file }, i) => ({
      path: file.path.join('/'),
      length: file.length,
      status: match.status,
      code: match.code,
      reason: match.reason,
      candidates: candidates[i] ?? [],
    })),
  };
}
