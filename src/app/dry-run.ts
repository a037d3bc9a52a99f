/** `autotorrent add --dry-run`: what `add` would do. Changes nothing, needs no server and no client. */
import type { Config } from '../config/config.ts';
import { shownPath } from '../control/shown-path.ts';
import { countBits } from '../extent/bitfield.ts';
import { GAP, ZEROS } from '../extent/extent.ts';
import type { AddOutcome } from './add.ts';
import { BATCH, type Planned, type PlanningRequest, planTorrents } from './planning.ts';
import { complaint, readTorrent, type TorrentFile } from './torrent-files.ts';

export interface DryRunFile {
  readonly path: string;
  readonly length: number;
  readonly status: string;
  readonly mode: string;
  readonly extents: readonly object[];
}

export interface DryRunResult extends AddOutcome {
  /** The collection files that would be used. */
  readonly localFiles?: readonly string[];
  readonly verifiedPieces?: number;
  readonly totalPieces?: number;
  readonly files?: readonly DryRunFile[];
}

export async function* dryRun(
  config: Config,
  request: PlanningRequest & { readonly torrents: readonly TorrentFile[] },
): AsyncGenerator<DryRunResult> {
  for (let i = 0; i < request.torrents.length; i += BATCH) {
    const read = await Promise.all(request.torrents.slice(i, i + BATCH).map(readTorrent));
    const parsed = read.filter((torrent) => torrent.error === undefined);
    const planned = await planTorrents(config, parsed, { ...request, changesNothing: true });
    const plans = new Map(planned.map((plan) => [plan.path, plan]));
    for (const torrent of read) {
      const plan = plans.get(torrent.path);
      yield plan === undefined
        ? {
            torrent: torrent.path,
            name: torrent.name,
            status: 'Failed',
            reason: torrent.error === undefined ? '' : complaint(torrent.error),
          }
        : resultOf(plan);
    }
  }
}

function resultOf(planned: Planned): DryRunResult {
  const { plan, verdict } = planned;
  return {
    torrent: planned.path,
    name: planned.name,
    status: verdict.accepted ? 'OK' : 'Missing',
    reason: planned.reason,
    infoHash: plan.infoHash,
    foundBytes: verdict.foundBytes,
    missingBytes: verdict.missingBytes,
    localFiles: plan.sources.map((source) => shownPath(source.path).source),
    verifiedPieces: countBits(plan.verified),
    totalPieces: plan.pieceCount,
    files: plan.files.map((file) => ({
      path: file.path.join('/'),
      length: file.length,
      status: file.status,
      mode: file.mode,
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
