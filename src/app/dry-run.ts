/** `autotorrent add --dry-run`: reports what `add` would do. Changes nothing, needs no server and no client. */

import { shownPath } from '../bytes/shown-path.ts';
import type { CollectionIndex } from '../collection/index.ts';
import type { Config } from '../config/config.ts';
import { countBits } from '../extent/bitfield.ts';
import { GAP, ZEROS } from '../extent/extent.ts';
import type { HashProgress } from '../hash/hash-pool.ts';
import type { Logger } from '../logger.ts';
import { type AddOutcome, outcomeOf } from './add-outcome.ts';
import { type Planned, Planner } from './planning.ts';
import { complaintOf, readTorrent, type TorrentFile } from './torrent-files.ts';
import { verifyEffort } from './verify-effort.ts';

export interface DryRunFile {
  readonly path: string;
  readonly length: number;
  readonly status: string;
  readonly mode: string;
  readonly code: string;
  readonly reason: string;
  readonly refused: readonly object[];
  readonly extents: readonly object[];
}

export interface DryRunResult extends AddOutcome {
  /** The collection files that it would use. */
  readonly localFiles?: readonly string[];
  readonly verifiedPieces?: number;
  readonly totalPieces?: number;
  readonly files?: readonly DryRunFile[];
}

export interface DryRunRequest {
  readonly torrents: readonly TorrentFile[];
  readonly index: Promise<CollectionIndex>;
  readonly verify: Config['verify'];
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onHashing: (progress: HashProgress) => void;
}

/** Torrents that are read and planned side by side. */
const WINDOW = 100;

/** Gives results in the order of the torrents. */
export async function* dryRun(config: Config, request: DryRunRequest): AsyncGenerator<DryRunResult> {
  const { torrents, index, verify, logger, signal, onHashing } = request;
  const hashes = verify !== 'none';
  const planner = new Planner(config, { index, hashes, changesNothing: true, logger, signal, onHashing });
  const settings = { verify, fastResume: config.fastResume };
  const result = async (torrent: TorrentFile): Promise<DryRunResult> => {
    const read = await readTorrent(torrent, signal);
    if (read.error !== undefined) return outcomeOf(read, 'Failed', complaintOf(read.error));
    return resultOf(await planner.plan(read, verifyEffort(settings, undefined, read.metainfo)));
  };
  try {
    for (let i = 0; i < torrents.length; i += WINDOW) {
      const window = torrents.slice(i, i + WINDOW).map(result);
      // A failure while an earlier torrent is awaited is reported at its own place in the order.
      for (const one of window) one.catch(() => {});
      for (const one of window) yield await one;
    }
  } finally {
    await planner.close();
  }
}

function resultOf(planned: Planned): DryRunResult {
  const { plan, verdict, unproven, decisions } = planned;
  return {
    torrent: planned.path,
    name: planned.name,
    status: verdict.accepted ? 'OK' : 'Missing',
    reason: planned.reason,
    infoHash: plan.infoHash,
    foundBytes: verdict.foundBytes,
    missingBytes: verdict.missingBytes,
    ...(unproven === undefined ? {} : { unproven }),
    localFiles: plan.sources.map((source) => shownPath(source.path).source),
    verifiedPieces: countBits(plan.verified),
    totalPieces: plan.pieceCount,
    files: plan.files.map((file, i) => ({
      path: file.path.join('/'),
      length: file.length,
      status: file.status,
      mode: file.mode,
      code: file.code,
      reason: decisions?.[i]?.reason ?? '',
      refused: (decisions?.[i]?.refused ?? []).map(({ source, code }) => ({ ...shownPath(source), code })),
      extents: file.extents.map(({ offset, length, source, sourceOffset }) => ({
        offset,
        length,
        ...sourceOf(plan.sources[source]?.path, source),
        source_offset: sourceOffset,
      })),
    })),
  };
}

function sourceOf(path: Buffer | undefined, source: number): object {
  if (source === ZEROS) return { source: null, kind: 'zeros' };
  if (source === GAP || path === undefined) return { source: null, kind: 'gap' };
  return shownPath(path);
}
