/**
 * `autotorrent verify`: hashes entries as they are now, and tells the server which pieces agree.
 *
 * The bytes are read where they lie (sources, overlay files), never through the mount, in the hash pool of this process:
 * the server goes on serving. Clients may write meanwhile: the server believes the result for pieces that did not change
 * since the question was asked. What is complete then goes to the pool, where other torrents find it.
 */
import { lstat } from 'node:fs/promises';
import type { Config } from '../config/config.ts';
import { AutotorrentError, messageOf } from '../errors.ts';
import { countBits, emptyBitfield, hasBit, setBit } from '../extent/bitfield.ts';
import type { FileIdentity, HashJob, HashPool, HashProgress, HashSegment } from '../hash/hash-pool.ts';
import type { Logger } from '../logger.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import { parseMetainfo } from '../metainfo/parse.ts';
import { pieceSpans, touchedPieces } from '../metainfo/piece-layout.ts';
import type { ControlClient } from './control/control-client.ts';
import type { EntryMessage, ExtentMessage, FileMessage } from './control/messages.ts';
import { rebuildCollection } from './rebuild.ts';
import { requireServer } from './server-connection.ts';
import { poolPath } from './state-paths.ts';

export interface VerifyRequest {
  /** Names or info hashes; none: all entries. */
  readonly entries: readonly string[];
  /** Only the pieces that are not verified yet. */
  readonly unverified: boolean;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onHashing: (progress: HashProgress) => void;
}

export interface VerifiedEntry {
  readonly name: string;
  readonly info_hash: string;
  readonly pieces: number;
  readonly verified_pieces: number;
  /** All of their bytes are there, and they are not the torrent's. */
  readonly bad_pieces: readonly number[];
  /** Some of their bytes are nowhere. */
  readonly missing_pieces: number;
  /** Files that could not be read, each with the reason. */
  readonly unreadable: readonly string[];
  /** Some piece is bad, or could not be read. */
  readonly broken: boolean;
  /** Files that are whole now and went to the pool: their paths there. */
  readonly pooled: readonly string[];
  /** Why it was not hashed. */
  readonly skipped?: string;
}

const SHA1_BYTES = 20;

/** @throws AutotorrentError('NOT_FOUND') for a name that no entry has; nothing is hashed then */
export async function* verifyEntries(config: Config, request: VerifyRequest): AsyncGenerator<VerifiedEntry> {
  const server = await requireServer(config);
  const entries: EntryMessage[] = request.entries.length === 0 ? await server.entries() : [];
  for (const id of request.entries) {
    const entry = await server.entry(id);
    if (entry === undefined) {
      throw new AutotorrentError('NOT_FOUND', `there is no entry ${id}`, { hint: 'autotorrent list shows them' });
    }
    entries.push(entry);
  }
  const { createHashPool } = await import('../hash/piscina-pool.ts');
  const pool = createHashPool({ readersPerDisk: config.hashReaders });
  let pooled = 0;
  try {
    for (const entry of entries) {
      request.signal.throwIfAborted();
      const result = await verifyEntry(server, pool, entry, request);
      pooled += result.pooled.length;
      yield result;
    }
  } finally {
    await pool.close();
    if (pooled > 0) await indexPool(config, request);
  }
}

async function verifyEntry(
  server: ControlClient,
  pool: HashPool,
  entry: EntryMessage,
  request: VerifyRequest,
): Promise<VerifiedEntry> {
  if (entry.kind === 'external') return skipped(entry, 'it is seeded from the original folder');
  const since = await server.beginVerification(entry.info_hash);
  const metainfo = parseMetainfo(await server.metainfo(entry.info_hash));
  if (metainfo.version === 'v2') return skipped(entry, 'v2 torrents are not hashed in this version');
  const known = request.unverified ? await server.pieces(entry.info_hash) : emptyBitfield(entry.pieces);
  const files: FileMessage[] = [];
  for await (const file of server.files(entry.info_hash)) files.push(file);

  const layout = new Layout(metainfo, files);
  const asked: number[] = [];
  const jobs: HashJob[] = [];
  const good = emptyBitfield(entry.pieces);
  const bad = emptyBitfield(entry.pieces);
  let missing = 0;
  for (let piece = 0; piece < entry.pieces; piece++) {
    if (hasBit(known, piece)) continue;
    const job = await layout.job(piece);
    if (job === undefined) {
      // It cannot be verified, so it is not.
      setBit(bad, piece);
      missing++;
      continue;
    }
    asked.push(piece);
    jobs.push(job);
  }
  const results = await pool.hash(jobs, { signal: request.signal, onProgress: request.onHashing });
  const badPieces: number[] = [];
  for (const [i, piece] of asked.entries()) {
    const result = results[i];
    const wanted = metainfo.pieces.subarray(piece * SHA1_BYTES, (piece + 1) * SHA1_BYTES);
    if (result !== undefined && 'digest' in result && result.digest.equals(wanted)) setBit(good, piece);
    else {
      if (result !== undefined && 'failed' in result) layout.unreadable.add(result.message);
      setBit(bad, piece);
      badPieces.push(piece);
    }
  }
  const after = await server.endVerification(entry.info_hash, {
    since,
    good: good.toString('base64'),
    bad: bad.toString('base64'),
  });
  const map = await server.pieces(entry.info_hash);
  return {
    name: entry.name,
    info_hash: entry.info_hash,
    pieces: entry.pieces,
    verified_pieces: countBits(map),
    bad_pieces: badPieces,
    missing_pieces: missing,
    unreadable: [...layout.unreadable],
    broken: badPieces.length > 0 || layout.unreadable.size > 0,
    pooled: await poolComplete(server, after, { metainfo, files, map }, request.logger),
  };
}

/** What pieces are made of now. */
class Layout {
  /** Why files cannot be read. */
  readonly unreadable = new Set<string>();
  readonly #metainfo: Metainfo;
  readonly #files: readonly FileMessage[];
  readonly #identities = new Map<string, Promise<FileIdentity | undefined>>();

  constructor(metainfo: Metainfo, files: readonly FileMessage[]) {
    this.#metainfo = metainfo;
    this.#files = files;
  }

  /** Undefined where some of its bytes are nowhere. */
  async job(piece: number): Promise<HashJob | undefined> {
    const job: HashSegment[] = [];
    for (const span of pieceSpans(this.#metainfo, piece)) {
      let covered = 0;
      for (const extent of this.#files[span.file]?.extents ?? []) {
        const from = Math.max(extent.offset, span.offset);
        const length = Math.min(extent.offset + extent.length, span.offset + span.length) - from;
        if (length <= 0) continue;
        const segment = await this.#segment(extent, from - extent.offset, length);
        if (segment === undefined) return undefined;
        job.push(segment);
        covered += length;
      }
      if (covered < span.length) return undefined;
    }
    return job;
  }

  async #segment(extent: ExtentMessage, skip: number, length: number): Promise<HashSegment | undefined> {
    if (extent.kind === 'zeros') return { zeros: length };
    if (extent.kind === 'gap' || extent.source === null) return undefined;
    const path =
      extent.source_bytes === undefined ? Buffer.from(extent.source) : Buffer.from(extent.source_bytes, 'base64');
    const key = path.toString('latin1');
    const identity = this.#identities.get(key) ?? this.#identify(path);
    this.#identities.set(key, identity);
    const found = await identity;
    return found === undefined ? undefined : { path, identity: found, offset: extent.source_offset + skip, length };
  }

  async #identify(path: Buffer): Promise<FileIdentity | undefined> {
    try {
      const { dev, ino, size, mtimeMs } = await lstat(path);
      return { dev, ino, size, mtimeMs };
    } catch (error) {
      this.unreadable.add(`${path.toString()}: ${messageOf(error)}`);
      return undefined;
    }
  }
}

interface Verified {
  readonly metainfo: Metainfo;
  readonly files: readonly FileMessage[];
  readonly map: Buffer;
}

/** Files of which every byte was written by a client and verified. */
async function poolComplete(
  server: ControlClient,
  entry: EntryMessage,
  { metainfo, files, map }: Verified,
  logger: Logger,
): Promise<string[]> {
  const pooled: string[] = [];
  for (const [index, file] of files.entries()) {
    const [extent, more] = file.extents;
    if (extent?.kind !== 'overlay' || more !== undefined || extent.length !== file.length) continue;
    const { first, count } = touchedPieces(metainfo, index);
    if (!allSet(map, first, count)) continue;
    const outcome = await server.pool(entry.info_hash, index);
    if (outcome.pooled !== undefined) pooled.push(outcome.pooled);
    else if (outcome.kept !== undefined) logger.info(`${file.path} stays in the overlay: ${outcome.kept}`);
  }
  return pooled;
}

function allSet(map: Buffer, first: number, count: number): boolean {
  for (let piece = first; piece < first + count; piece++) if (!hasBit(map, piece)) return false;
  return true;
}

/** So that the next `add` finds what has just been completed. */
async function indexPool(config: Config, request: VerifyRequest): Promise<void> {
  try {
    const { logger, signal } = request;
    const [paths, cwd] = [[poolPath(config.db)], '/'];
    await rebuildCollection(config, { paths, cwd, full: false, logger, signal, onProgress() {} });
  } catch (error) {
    request.logger.warn(`what was completed is not in the index until the next rebuild: ${messageOf(error)}`);
  }
}

function skipped(entry: EntryMessage, why: string): VerifiedEntry {
  const { name, info_hash, pieces, verified_pieces } = entry;
  const nothing = { bad_pieces: [], missing_pieces: 0, unreadable: [], broken: false, pooled: [] };
  return { name, info_hash, pieces, verified_pieces, ...nothing, skipped: why };
}
