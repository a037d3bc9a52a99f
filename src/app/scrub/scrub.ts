/**
 * `autotorrent scrub`: hashes the pieces that are not proven, or were proven long ago, and reports those that rotted.
 *
 * The doubted pieces of all entries come first, then the unproven, then the oldest.
 */
import type { Config } from '../../config/config.ts';
import type { ControlClient } from '../../control/client.ts';
import {
  type DamagedSource,
  DUE_DOUBTED,
  DUE_OLD,
  DUE_UNPROVEN,
  type DueEntry,
  type DueQuestion,
  type ServedEntry,
} from '../../control/served.ts';
import { AutotorrentError } from '../../errors.ts';
import type { HashProgress } from '../../hash/hash-pool.ts';
import type { Logger } from '../../logger.ts';
import { SourceAccess } from '../../source/source-access.ts';
import { requireServer } from '../server-connection.ts';
import { sourceRulesNow } from '../source-rules-now.ts';
import type { Pace } from './pace.ts';
import { type Damage, type EntryScrub, type ScrubTools, scrubEntry } from './scrub-entry.ts';

export interface ScrubRequest extends DueQuestion {
  /** Names or info hashes; none: all entries. */
  readonly entries: readonly string[];
  /** Readers at once on a disk, and threads. */
  readonly readers: number;
  readonly pace: Pace;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: HashProgress, entry: ServedEntry) => void;
  /** Called as soon as something was found that does not agree. */
  readonly onDamage: (entry: ServedEntry, damage: Damage) => void;
}

export interface ScrubbedEntry {
  readonly name: string;
  readonly infoHash: string;
  readonly pieces: number;
  /** Pieces that were hashed now and agreed. */
  readonly provenPieces: number;
  /** Pieces that do not agree, or that cannot be read. */
  readonly badPieces: readonly number[];
  /** The number of pieces that lack bytes. */
  readonly missingPieces: number;
  /** The number of pieces that could not be hashed now: files are not there, changed while they were read, or their disk sleeps. */
  readonly leftPieces: number;
  /** The files that the bad pieces come from, and those that cannot be opened. */
  readonly damaged: readonly DamagedSource[];
  /** The disks that sleep. */
  readonly asleep: readonly string[];
}

const ORDER = [DUE_DOUBTED, DUE_UNPROVEN, DUE_OLD] as const;

/** Scrubs, and gives the entries that had something due, in their order. @throws AutotorrentError('NOT_FOUND') for an unknown name */
export async function scrub(config: Config, request: ScrubRequest): Promise<ScrubbedEntry[]> {
  const server = await requireServer(config);
  const due = await dueOf(server, request);
  const { createHashPool } = await import('../../hash/piscina-pool.ts');
  const { readers, logger } = request;
  const rules = await sourceRulesNow(config, server);
  const access = new SourceAccess(rules, { logger });
  const pool = createHashPool({ sources: rules, readersPerDisk: readers, threads: readers });
  try {
    return await scrubAll(due, request, { server, pool, access });
  } finally {
    await pool.close();
  }
}

async function dueOf(server: ControlClient, request: ScrubRequest): Promise<DueEntry[]> {
  const wanted = new Set<string>();
  for (const id of request.entries) {
    const entry = await server.entry(id);
    if (entry === undefined) {
      throw new AutotorrentError('NOT_FOUND', `there is no entry ${id}`, { hint: 'autotorrent list shows them' });
    }
    wanted.add(entry.infoHash);
  }
  const due: DueEntry[] = [];
  for await (const entry of server.dueEntries(request)) {
    if (wanted.size === 0 || wanted.has(entry.infoHash)) due.push(entry);
  }
  return due;
}

async function scrubAll(
  due: readonly DueEntry[],
  request: ScrubRequest,
  parts: Pick<ScrubTools, 'server' | 'pool' | 'access'>,
): Promise<ScrubbedEntry[]> {
  const { pace, signal, onDamage } = request;
  const totalBytes = due.reduce((sum, one) => sum + piecesOf(one) * one.pieceLength, 0);
  let doneBytes = 0;
  const found = new Map<string, ScrubbedEntry>();
  /** Why each piece of an entry is due, a byte each. */
  const reasons = new Map<string, Buffer>();
  for (const why of ORDER) {
    for (const one of due) {
      if (countOf(one, why) === 0) continue;
      signal.throwIfAborted();
      const entry = await parts.server.entry(one.infoHash);
      if (entry === undefined) continue;
      const onBytes = (count: number): void => {
        doneBytes += count;
        request.onProgress({ doneBytes: Math.min(doneBytes, totalBytes), totalBytes }, entry);
      };
      const tools: ScrubTools = { ...parts, pace, signal, onBytes, onDamage };
      const result = await unlessGone(async () => {
        // Asked once: a piece that was hashed must not be due for another reason then.
        const asked = reasons.get(entry.infoHash) ?? (await parts.server.duePieces(entry.infoHash, request));
        reasons.set(entry.infoHash, asked);
        const pieces = [...asked.keys()].filter((piece) => asked[piece] === why);
        return await scrubEntry(tools, entry, pieces);
      });
      if (result === undefined) continue;
      found.set(entry.infoHash, joined(found.get(entry.infoHash), entry, result));
      if (result.ended) return [...found.values()];
    }
  }
  return [...found.values()];
}

function piecesOf({ doubted, unproven, old }: DueEntry): number {
  return doubted + unproven + old;
}

function countOf(entry: DueEntry, why: (typeof ORDER)[number]): number {
  if (why === DUE_DOUBTED) return entry.doubted;
  return why === DUE_UNPROVEN ? entry.unproven : entry.old;
}

/** Undefined for an entry that was removed meanwhile. */
async function unlessGone(scrubbing: () => Promise<EntryScrub>): Promise<EntryScrub | undefined> {
  try {
    return await scrubbing();
  } catch (error) {
    if (error instanceof AutotorrentError && error.code === 'NOT_FOUND') return undefined;
    throw error;
  }
}

function joined(before: ScrubbedEntry | undefined, entry: ServedEntry, result: EntryScrub): ScrubbedEntry {
  const { name, infoHash, pieces } = entry;
  return {
    name,
    infoHash,
    pieces,
    provenPieces: (before?.provenPieces ?? 0) + result.proven,
    badPieces: [...(before?.badPieces ?? []), ...result.pieces],
    missingPieces: (before?.missingPieces ?? 0) + result.missing,
    leftPieces: (before?.leftPieces ?? 0) + result.left,
    damaged: byPath([...(before?.damaged ?? []), ...result.sources]),
    asleep: [...new Set([...(before?.asleep ?? []), ...result.asleep])],
  };
}

/** Keeps the last report of each file. */
function byPath(sources: readonly DamagedSource[]): DamagedSource[] {
  return [...new Map(sources.map((source) => [source.path.toString('latin1'), source])).values()];
}
