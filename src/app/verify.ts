/**
 * `autotorrent verify`: hashes entries as they are now, and reports to the server which pieces agree.
 *
 * The hash pool of this process reads the bytes where they lie (sources, overlay files), never through the mount: the server
 * goes on serving. Clients may write meanwhile: the server believes the result for pieces that did not change since the
 * question was asked. Complete files then go to the pool, where other torrents find them.
 */
import type { Config } from '../config/config.ts';
import { poolPath } from '../config/state-paths.ts';
import type { KnownSource } from '../control/cases-served.ts';
import type { ControlClient } from '../control/client.ts';
import type { ServedEntry, ServedFile } from '../control/served.ts';
import { AutotorrentError, messageOf } from '../errors.ts';
import { countBits, emptyBitfield, hasBit, setBit } from '../extent/bitfield.ts';
import type { HashPool, HashProgress, HashResult } from '../hash/hash-pool.ts';
import type { PieceCheck } from '../hash/piece-check.ts';
import type { Logger } from '../logger.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import { parseMetainfo } from '../metainfo/parse.ts';
import { touchedPieces } from '../metainfo/piece-layout.ts';
import { SourceAccess } from '../source/source-access.ts';
import { EntryLayout } from './entry-layout.ts';
import { FoundDamage } from './found-damage.ts';
import { withHashCache } from './hash-cache.ts';
import { rebuildCollection } from './rebuild.ts';
import { requireServer } from './server-connection.ts';
import { returnBytes } from './settling/return-bytes.ts';
import { type SettledSource, settleSources } from './settling/settle-sources.ts';
import { createSettler, type OpenSettler } from './settling/settler.ts';
import { sourceRulesNow } from './source-rules-now.ts';

export interface VerificationOptions {
  /** Hashes only the pieces that are not verified yet. */
  readonly unverified: boolean;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onHashing: (progress: HashProgress) => void;
}

export interface VerifyRequest extends VerificationOptions {
  /** Names or info hashes; none: all entries. */
  readonly entries: readonly string[];
  /** Called while sources of an entry that changed are settled. */
  readonly onSettling: (sources: number) => void;
}

export interface VerifiedEntry {
  readonly name: string;
  readonly infoHash: string;
  readonly pieces: number;
  readonly verifiedPieces: number;
  /** Pieces with all their bytes, which are not the torrent's. */
  readonly badPieces: readonly number[];
  /** Those of `badPieces` of a hybrid torrent that agree with one of their two hashes: the torrent contradicts itself. */
  readonly contradictoryPieces: readonly number[];
  /** The number of pieces that lack bytes. */
  readonly missingPieces: number;
  /** Files that could not be read, each with the reason. */
  readonly unreadable: readonly string[];
  /** The number of bytes that were missing, and are mapped now: their file came back. */
  readonly returnedBytes: number;
  /** Paths of mapped files of which no piece could be hashed, since others in their pieces are missing. */
  readonly unproven: readonly string[];
  /** True if a piece is bad or could not be read. */
  readonly broken: boolean;
  /** Paths in the pool of the files that are now whole and went there. */
  readonly pooled: readonly string[];
  /** Sources that were not as recorded, and what was done. */
  readonly sources: readonly SettledSource[];
  /** The reason, if the entry was not hashed. */
  readonly skipped?: string;
}

/** Verifies. @throws AutotorrentError('NOT_FOUND') for an unknown name; nothing is hashed then */
export async function* verifyEntries(config: Config, request: VerifyRequest): AsyncGenerator<VerifiedEntry> {
  const server = await requireServer(config);
  const entries: ServedEntry[] = request.entries.length === 0 ? await server.entries() : [];
  for (const id of request.entries) {
    const entry = await server.entry(id);
    if (entry === undefined) {
      throw new AutotorrentError('NOT_FOUND', `there is no entry ${id}`, { hint: 'autotorrent list shows them' });
    }
    entries.push(entry);
  }
  const verification = await Verification.open(config, server, request);
  try {
    for (const entry of entries) {
      request.signal.throwIfAborted();
      yield await verification.verify(entry, request.onSettling);
    }
  } finally {
    await verification.close();
  }
}

/** Bytes of such sources cannot be read, but for spares. */
const UNSERVED: ReadonlySet<SettledSource['state']> = new Set(['healing', 'waiting', 'lost']);

/** Hashes entries one after the other, in one pool; `close` indexes the files that became whole. */
export class Verification {
  readonly #config: Config;
  readonly #server: ControlClient;
  readonly #pool: HashPool;
  readonly #access: SourceAccess;
  readonly #options: VerificationOptions;
  #settling: OpenSettler | undefined;
  #pooled = 0;

  private constructor(
    config: Config,
    server: ControlClient,
    pool: HashPool,
    access: SourceAccess,
    options: VerificationOptions,
  ) {
    this.#config = config;
    this.#server = server;
    this.#pool = pool;
    this.#access = access;
    this.#options = options;
  }

  static async open(config: Config, server: ControlClient, options: VerificationOptions): Promise<Verification> {
    const { createHashPool } = await import('../hash/piscina-pool.ts');
    const rules = await sourceRulesNow(config, server);
    const access = new SourceAccess(rules, { logger: options.logger });
    const reading = createHashPool({ sources: rules, readersPerDisk: config.hashReaders });
    // A full verification reads everything, without the cache: a disk may have changed without a new mtime.
    const pool = options.unverified ? await withHashCache(reading, config, access, options.logger) : reading;
    return new Verification(config, server, pool, access, options);
  }

  /**
   * Hashes an entry; with `onSettling`, sources that changed are settled before, and missing bytes looked for. Sources with wrong
   * bytes are settled then.
   */
  async verify(entry: ServedEntry, onSettling?: (sources: number) => void): Promise<VerifiedEntry> {
    let sources = onSettling === undefined ? [] : await this.#settle(entry, onSettling);
    const returnedBytes = onSettling === undefined ? 0 : await this.#return(entry);
    const result = await verifyEntry(
      { server: this.#server, pool: this.#pool, access: this.#access },
      entry,
      this.#options,
    );
    this.#pooled += result.pooled.length;
    if (onSettling !== undefined && result.badPieces.length > 0) {
      sources = lastOfEach([...sources, ...(await this.#settle(entry, onSettling))]);
    }
    return {
      ...result,
      sources,
      returnedBytes,
      broken: result.broken || sources.some(({ state }) => UNSERVED.has(state)),
    };
  }

  async #settle(entry: ServedEntry, onWait: (sources: number) => void): Promise<readonly SettledSource[]> {
    if (entry.kind === 'external') return [];
    const { signal } = this.#options;
    const list = (): AsyncGenerator<KnownSource> => this.#server.cases.ofEntry(entry.infoHash);
    return await settleSources(list, { server: this.#server, access: this.#access, signal, onWait });
  }

  async #return(entry: ServedEntry): Promise<number> {
    const { logger, signal } = this.#options;
    const { rules } = this.#access;
    this.#settling ??= createSettler(this.#config, this.#server, { rules, logger, signal });
    return await returnBytes(entry, this.#server, this.#settling);
  }

  async close(): Promise<void> {
    await this.#settling?.close();
    await this.#pool.close();
    if (this.#pooled > 0) await indexPool(this.#config, this.#options);
  }
}

/** What became of each source last. */
function lastOfEach(settled: readonly SettledSource[]): readonly SettledSource[] {
  return [...new Map(settled.map((source) => [source.path.toString('latin1'), source])).values()];
}

interface Tools {
  readonly server: ControlClient;
  readonly pool: HashPool;
  readonly access: SourceAccess;
}

async function verifyEntry(
  { server, pool, access }: Tools,
  entry: ServedEntry,
  request: VerificationOptions,
): Promise<VerifiedEntry> {
  if (entry.kind === 'external') return skipped(entry, 'it is seeded from the original folder');
  // What agrees proves doubted sources, too.
  const begun = await server.beginProof(entry.infoHash);
  const metainfo = parseMetainfo(await server.metainfo(entry.infoHash));
  const known = request.unverified ? await server.pieces(entry.infoHash) : emptyBitfield(entry.pieces);
  const files: ServedFile[] = [];
  for await (const file of server.files(entry.infoHash)) files.push(file);

  const layout = new EntryLayout(metainfo, files, access);
  const asked: { readonly piece: number; readonly checks: readonly PieceCheck[] }[] = [];
  const good = emptyBitfield(entry.pieces);
  const bad = emptyBitfield(entry.pieces);
  const lacking = emptyBitfield(entry.pieces);
  let missing = 0;
  for (let piece = 0; piece < entry.pieces; piece++) {
    if (hasBit(known, piece)) continue;
    const checks = layout.checks(piece);
    if (checks === undefined) {
      // The piece cannot be verified any longer.
      if (layout.hasGap(piece)) setBit(lacking, piece);
      setBit(bad, piece);
      missing++;
    } else asked.push({ piece, checks });
  }
  const results = await pool.hash(
    asked.flatMap(({ checks }) => checks.map(({ job }) => job)),
    { signal: request.signal, onProgress: request.onHashing },
  );
  const badPieces: number[] = [];
  const damage = new FoundDamage(layout);
  const contradictory: number[] = [];
  let next = 0;
  for (const { piece, checks } of asked) {
    const mine = results.slice(next, next + checks.length);
    next += checks.length;
    for (const result of mine) if ('failed' in result) layout.unreadable.add(result.message);
    const agree = checks.filter(({ wanted }, i) => isDigest(mine[i], wanted)).length;
    if (agree === checks.length) {
      setBit(good, piece);
      continue;
    }
    setBit(bad, piece);
    badPieces.push(piece);
    if (!mine.every((result) => 'digest' in result)) continue;
    if (agree === 0) damage.wrong(piece);
    else contradictory.push(piece);
  }
  const after = await server.endVerification(entry.infoHash, { ...begun, good, bad });
  if (!damage.isEmpty) await server.damaged(entry.infoHash, damage.sources());
  const map = await server.pieces(entry.infoHash);
  return {
    name: entry.name,
    infoHash: entry.infoHash,
    pieces: entry.pieces,
    verifiedPieces: countBits(map),
    badPieces,
    contradictoryPieces: contradictory,
    missingPieces: missing,
    unreadable: [...layout.unreadable],
    unproven: unprovenFiles(metainfo, files, lacking),
    broken: badPieces.length > 0 || layout.unreadable.size > 0,
    sources: [],
    returnedBytes: 0,
    pooled: await poolComplete(server, after, { metainfo, files, map }, request.logger),
  };
}

/** Lists the files that have a source, while every piece with bytes of theirs lacks bytes that are a gap. */
function unprovenFiles(metainfo: Metainfo, files: readonly ServedFile[], lacking: Buffer): string[] {
  return files.flatMap(({ path, length, extents }, index) => {
    if (length === 0 || !extents.some(({ kind }) => kind === 'source')) return [];
    const { first, count } = touchedPieces(metainfo, index);
    return allSet(lacking, first, count) ? [path] : [];
  });
}

function isDigest(result: HashResult | undefined, wanted: Buffer): boolean {
  return result !== undefined && 'digest' in result && result.digest.equals(wanted);
}

interface Verified {
  readonly metainfo: Metainfo;
  readonly files: readonly ServedFile[];
  readonly map: Buffer;
}

/** Puts files into the pool if a client wrote every byte and every piece is verified. Gives their paths there. */
async function poolComplete(
  server: ControlClient,
  entry: ServedEntry,
  { metainfo, files, map }: Verified,
  logger: Logger,
): Promise<string[]> {
  const pooled: string[] = [];
  for (const [index, file] of files.entries()) {
    const [extent, more] = file.extents;
    if (extent?.kind !== 'overlay' || more !== undefined || extent.length !== file.length) continue;
    const { first, count } = touchedPieces(metainfo, index);
    if (!allSet(map, first, count)) continue;
    const outcome = await server.pool(entry.infoHash, index);
    if (outcome.pooled !== undefined) pooled.push(outcome.pooled);
    else if (outcome.kept !== undefined) logger.info(`${file.path} stays in the overlay: ${outcome.kept}`);
  }
  return pooled;
}

function allSet(map: Buffer, first: number, count: number): boolean {
  for (let piece = first; piece < first + count; piece++) if (!hasBit(map, piece)) return false;
  return true;
}

/** Indexes the pool, so that the next `add` finds the files that have just become whole. */
async function indexPool(config: Config, request: VerificationOptions): Promise<void> {
  try {
    const { logger, signal } = request;
    const [paths, cwd] = [[poolPath(config.db)], '/'];
    await rebuildCollection(config, { paths, cwd, full: false, logger, signal, onProgress() {} });
  } catch (error) {
    request.logger.warn(`completed files are not in the index until the next rebuild: ${messageOf(error)}`);
  }
}

function skipped(entry: ServedEntry, why: string): VerifiedEntry {
  const { name, infoHash, pieces, verifiedPieces } = entry;
  const nothing = {
    badPieces: [],
    contradictoryPieces: [],
    missingPieces: 0,
    unreadable: [],
    unproven: [],
    broken: false,
    sources: [],
    returnedBytes: 0,
    pooled: [],
  };
  return { name, infoHash, pieces, verifiedPieces, ...nothing, skipped: why };
}
