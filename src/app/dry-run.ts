/** `autotorrent add --dry-run`: reports what `add` would do. Changes nothing, needs no server and no client. */

import { shownPath } from '../bytes/shown-path.ts';
import type { CollectionIndex } from '../collection/index.ts';
import type { Config } from '../config/config.ts';
import { countBits } from '../extent/bitfield.ts';
import { GAP, ZEROS } from '../extent/extent.ts';
import type { HashProgress } from '../hash/hash-pool.ts';
import type { Logger } from '../logger.ts';
import { type AddOutcome, outcomeOf } from './add-outcome.ts';
import { refusedJson } from './incomplete-files.ts';
import { type Planned, Planner } from './planning.ts';
import { findServer } from './server-connection.ts';
import { sourceRulesNow } from './source-rules-now.ts';
import {
  complaintOf,
  type LoadedTorrent,
  loadTorrent,
  parseTorrent,
  type ReadTorrent,
  type TorrentFile,
} from './torrent-files.ts';
import { verifyEffort } from './verify-effort.ts';
import { roomForTorrents, weightOf } from './weight.ts';

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
  readonly localFiles?: Iterable<string>;
  readonly verifiedPieces?: number;
  readonly totalPieces?: number;
  /** Made while they are read: there may be a million. */
  readonly files?: Iterable<DryRunFile>;
}

export interface DryRunRequest {
  readonly torrents: readonly TorrentFile[];
  readonly index: Promise<CollectionIndex>;
  readonly verify: Config['verify'];
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onHashing: (progress: HashProgress) => void;
}

/** Torrents that are planned side by side at most; what they weigh bounds them, too. */
const WINDOW = 100;

/** Gives results in the order of the torrents. */
export async function* dryRun(config: Config, request: DryRunRequest): AsyncGenerator<DryRunResult> {
  const { torrents, index, verify, logger, signal, onHashing } = request;
  const hashes = verify !== 'none';
  const rules = await sourceRulesNow(config, await findServer(config));
  const planner = new Planner(config, { index, rules, hashes, changesNothing: true, logger, signal, onHashing });
  const room = roomForTorrents();
  const settings = { verify, fastResume: config.fastResume };
  const result = async (read: ReadTorrent, printing: Printing): Promise<DryRunResult> => {
    if (read.error !== undefined) return outcomeOf(read, 'Failed', complaintOf(read.error));
    printing.planned = await planner.plan(read, verifyEffort(settings, undefined, read.metainfo));
    return resultOf(printing.planned, printing);
  };
  /** A function of its own, so that nothing of a torrent outlives it in this generator. */
  const begin = (loaded: LoadedTorrent): void => {
    const read = parseTorrent(loaded);
    const own = read.error === undefined ? weightOf(read.metainfo) : 0;
    weight += own;
    const printing: Printing = { planned: undefined };
    const one = result(read, printing);
    // A failure while an earlier torrent is awaited is reported at its own place in the order.
    one.catch(() => {});
    underWay.push({ weight: own, printing, result: one });
  };
  /** Ends the first torrent under way. */
  async function* first(): AsyncGenerator<DryRunResult> {
    const one = underWay.shift();
    if (one === undefined) return;
    try {
      yield await one.result;
    } finally {
      one.printing.planned = undefined;
      weight -= one.weight;
    }
  }
  const underWay: { readonly weight: number; readonly printing: Printing; readonly result: Promise<DryRunResult> }[] =
    [];
  let weight = 0;
  try {
    for (const torrent of torrents) {
      const loaded = await loadTorrent(torrent, signal, room);
      while (underWay.length > 0 && (underWay.length >= WINDOW || weight + loaded.weight > room.all)) {
        yield* first();
      }
      begin(loaded);
    }
    while (underWay.length > 0) yield* first();
  } finally {
    await planner.close();
  }
}

/** What a result is printed from; undefined afterwards, since whoever gets results may keep the last one. */
interface Printing {
  planned: Planned | undefined;
}

function* sourcesOf({ planned }: Printing): Generator<string> {
  for (const source of planned?.plan.sources ?? []) yield shownPath(source.path).source;
}

function* filesOf({ planned }: Printing): Generator<DryRunFile> {
  if (planned === undefined) return;
  const { plan, decisions } = planned;
  for (const [i, file] of plan.files.entries()) {
    yield {
      path: file.path.join('/'),
      length: file.length,
      status: file.status,
      mode: file.mode,
      code: file.code,
      reason: decisions?.[i]?.reason ?? '',
      refused: refusedJson(decisions?.[i]?.refused ?? []),
      extents: file.extents.map(({ offset, length, source, sourceOffset }) => ({
        offset,
        length,
        ...sourceOf(plan.sources[source]?.path, source),
        source_offset: sourceOffset,
      })),
    };
  }
}

function resultOf(planned: Planned, printing: Printing): DryRunResult {
  const { plan, verdict, unproven, incomplete, advice } = planned;
  return {
    torrent: planned.path,
    name: planned.name,
    status: verdict.accepted ? 'OK' : 'Missing',
    reason: planned.reason,
    infoHash: plan.infoHash,
    foundBytes: verdict.foundBytes,
    missingBytes: verdict.missingBytes,
    ...(unproven === undefined ? {} : { unproven }),
    ...(incomplete === undefined ? {} : { incomplete }),
    ...(advice === undefined ? {} : { advice }),
    localFiles: { [Symbol.iterator]: () => sourcesOf(printing) },
    verifiedPieces: countBits(plan.verified),
    totalPieces: plan.pieceCount,
    files: { [Symbol.iterator]: () => filesOf(printing) },
  };
}

function sourceOf(path: Buffer | undefined, source: number): object {
  if (source === ZEROS) return { source: null, kind: 'zeros' };
  if (source === GAP || path === undefined) return { source: null, kind: 'gap' };
  return shownPath(path);
}
