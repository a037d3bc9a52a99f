/**
 * Hashes the pieces of one entry that are due, batch by batch, and reports each batch to the server: so a scrub that is
 * stopped or killed goes on where it was.
 *
 * The bytes are read where they lie (sources, overlay files), never through the mount, and never from the cache of digests:
 * that would hide what rotted.
 */
import type { ControlClient } from '../../control/client.ts';
import type { DamagedSource, ServedEntry, ServedFile, Verified } from '../../control/served.ts';
import { emptyBitfield, setBit } from '../../extent/bitfield.ts';
import type { HashPool, HashResult } from '../../hash/hash-pool.ts';
import type { PieceCheck } from '../../hash/piece-check.ts';
import { parseMetainfo } from '../../metainfo/parse.ts';
import type { SourceAccess } from '../../source/source-access.ts';
import { EntryLayout } from '../entry-layout.ts';
import { FoundDamage } from '../found-damage.ts';
import type { Pace } from './pace.ts';

export interface ScrubTools {
  readonly server: ControlClient;
  readonly pool: HashPool;
  readonly access: SourceAccess;
  readonly pace: Pace;
  readonly signal: AbortSignal;
  /** Called with the bytes of each batch that was hashed or passed over. */
  readonly onBytes: (count: number) => void;
  /** Called when the server was told of bad pieces. */
  readonly onDamage: (entry: ServedEntry, damage: Damage) => void;
}

export interface Damage {
  /** Pieces that do not agree, or that cannot be read. */
  readonly pieces: readonly number[];
  readonly sources: readonly DamagedSource[];
}

/** What became of the pieces. */
export interface EntryScrub extends Damage {
  readonly proven: number;
  /** Pieces that lack bytes. */
  readonly missing: number;
  /** Pieces that could not be hashed now: their disk sleeps, or a file changed while it was read. */
  readonly left: number;
  /** The disks that sleep. */
  readonly asleep: readonly string[];
  /** True: the pace says that it is time to end. */
  readonly ended: boolean;
}

/** The bytes that are hashed between two looks at the pace. */
const BATCH_BYTES = 64 * 1024 * 1024;
/** A report makes the server sync its store: not more often than this. */
const REPORT_MS = 3000;

interface Asked {
  readonly piece: number;
  readonly checks: readonly PieceCheck[];
}

/** Hashes these pieces of an entry. @throws AutotorrentError('NOT_FOUND') if the entry is gone */
export async function scrubEntry(
  tools: ScrubTools,
  entry: ServedEntry,
  pieces: readonly number[],
): Promise<EntryScrub> {
  const begun = await tools.server.beginProof(entry.infoHash);
  const metainfo = parseMetainfo(await tools.server.metainfo(entry.infoHash));
  const files: ServedFile[] = [];
  for await (const file of tools.server.files(entry.infoHash)) files.push(file);
  const layout = new EntryLayout(metainfo, files, tools.access);
  return await new Scrubbing(tools, entry, layout, begun, metainfo.pieceLength).run(pieces);
}

class Scrubbing {
  readonly #tools: ScrubTools;
  readonly #entry: ServedEntry;
  readonly #layout: EntryLayout;
  readonly #begun: Pick<Verified, 'since' | 'epoch'>;
  readonly #pieceLength: number;
  readonly #asleep = new Set<string>();
  readonly #bad: number[] = [];
  readonly #damaged = new Map<string, DamagedSource>();
  #good: Buffer;
  #wrong: Buffer;
  #unreported = false;
  #reportedAt = performance.now();
  #proven = 0;
  #missing = 0;
  #left = 0;

  constructor(
    tools: ScrubTools,
    entry: ServedEntry,
    layout: EntryLayout,
    begun: Pick<Verified, 'since' | 'epoch'>,
    pieceLength: number,
  ) {
    this.#tools = tools;
    this.#entry = entry;
    this.#layout = layout;
    this.#begun = begun;
    this.#pieceLength = pieceLength;
    this.#good = emptyBitfield(entry.pieces);
    this.#wrong = emptyBitfield(entry.pieces);
  }

  async run(pieces: readonly number[]): Promise<EntryScrub> {
    const size = Math.max(1, Math.floor(BATCH_BYTES / Math.max(1, this.#pieceLength)));
    let ended = false;
    try {
      for (let from = 0; from < pieces.length && !ended; from += size) {
        this.#tools.signal.throwIfAborted();
        const batch = pieces.slice(from, from + size);
        ended = !(await this.#hash(batch));
        if (performance.now() - this.#reportedAt > REPORT_MS) await this.#report();
      }
    } finally {
      // What was hashed counts, also when the command is being stopped.
      await this.#report();
    }
    return {
      proven: this.#proven,
      missing: this.#missing,
      left: this.#left,
      pieces: this.#bad,
      sources: [...this.#damaged.values()],
      asleep: [...this.#asleep],
      ended,
    };
  }

  /** Hashes a batch. False when it is time to end. */
  async #hash(batch: readonly number[]): Promise<boolean> {
    const { pool, signal, onBytes } = this.#tools;
    const awake = await this.#awake(batch);
    if (awake === undefined) return false;
    this.#left += batch.length - awake.length;
    const refusedBefore = this.#layout.refused.size;
    const asked: Asked[] = [];
    for (const piece of awake) {
      const checks = this.#layout.checks(piece);
      if (checks !== undefined) asked.push({ piece, checks });
      else if (this.#layout.paths(piece).some((path) => this.#layout.refused.has(path.toString('latin1'))))
        this.#left++;
      else this.#missing++;
    }
    const jobs = asked.flatMap(({ checks }) => checks.map(({ job }) => job));
    const results = await pool.hash(jobs, { signal });
    const damage = new FoundDamage(this.#layout);
    for (const { path, reason } of [...this.#layout.refused.values()].slice(refusedBefore))
      damage.refused(path, reason);
    let next = 0;
    for (const { piece, checks } of asked) {
      const mine = results.slice(next, next + checks.length);
      next += checks.length;
      const failed = mine.find((result) => 'failed' in result);
      if (failed?.failed === 'changed') this.#left++;
      else if (failed !== undefined) damage.unreadable(piece, failed.message);
      else {
        const agree = checks.filter(({ wanted }, i) => isDigest(mine[i], wanted)).length;
        if (agree === checks.length) {
          setBit(this.#good, piece);
          this.#proven++;
        } else if (agree === 0) damage.wrong(piece);
        else damage.contradictory(piece);
      }
    }
    for (const piece of damage.pieces) setBit(this.#wrong, piece);
    this.#unreported ||= asked.length > 0;
    onBytes(batch.length * this.#pieceLength);
    if (!damage.isEmpty) await this.#tell(damage);
    return true;
  }

  /** Gives the pieces of a batch whose disks may be read now; undefined when it is time to end. */
  async #awake(batch: readonly number[]): Promise<readonly number[] | undefined> {
    const { pace } = this.#tools;
    const disks = batch.map((piece) => pace.disksOf(this.#layout.paths(piece)));
    const all = new Set(disks.flatMap((some) => [...some]));
    const awake = await pace.turn(all);
    if (awake === undefined) return undefined;
    for (const disk of all) if (!awake.has(disk)) this.#asleep.add(disk);
    return batch.filter((_, i) => [...disks[i]!].every((disk) => awake.has(disk)));
  }

  async #tell(damage: FoundDamage): Promise<void> {
    const sources = damage.sources();
    this.#bad.push(...damage.pieces);
    for (const source of sources) this.#damaged.set(source.path.toString('latin1'), source);
    await this.#report();
    await this.#tools.server.damaged(this.#entry.infoHash, sources);
    this.#tools.onDamage(this.#entry, { pieces: damage.pieces, sources });
  }

  async #report(): Promise<void> {
    this.#reportedAt = performance.now();
    if (!this.#unreported) return;
    const { server } = this.#tools;
    const found = { ...this.#begun, good: this.#good, bad: this.#wrong };
    this.#good = emptyBitfield(this.#entry.pieces);
    this.#wrong = emptyBitfield(this.#entry.pieces);
    this.#unreported = false;
    await server.endVerification(this.#entry.infoHash, found);
  }
}

function isDigest(result: HashResult | undefined, wanted: Buffer): boolean {
  return result !== undefined && 'digest' in result && result.digest.equals(wanted);
}
