/** Matches torrents with a collection: glossary and invariants in `match.ts`. */
import type { CollectionIndex } from '../collection/index.ts';
import type { HashPool, HashProgress } from '../hash/hash-pool.ts';
import type { Logger } from '../logger.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import type { OwnMounts } from '../source/own-mounts.ts';
import { supplyFromArchives } from './archived.ts';
import { proposeExact } from './exact.ts';
import { Alignments, type HashLimit, type HashModeDependencies, proposeHashed } from './hash-modes.ts';
import { FolderNames } from './likeness.ts';
import { Looker, type Source } from './look.ts';
import { HASH_MODES, isHashMode, MATCH_MODES, type MatchMode, type TorrentMatch, type VerifyLevel } from './match.ts';
import { proposeNormal } from './normal.ts';
import { outcomeOf } from './outcome.ts';
import { PieceHasher } from './piece-hashing.ts';
import { findSpares } from './spares.ts';
import { type FileTask, TorrentTask } from './torrent-task.ts';
import { proposeUnsplitable } from './unsplitable.ts';
import { settlePartial, verifyOwn } from './verify-own.ts';
import { verifyShared } from './verify-shared.ts';

export interface MatchOptions {
  /** Tried in the order of `MATCH_MODES`, whatever their order here. */
  readonly scanModes: readonly MatchMode[];
  readonly verify: VerifyLevel;
  /** Of the hash modes. */
  readonly sizeVarying?: number;
  readonly hashLimit?: HashLimit;
}

const DEFAULT_VARYING = 10;
export const NO_LIMIT: HashLimit = { candidates: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER };

export interface MatchDependencies {
  readonly index: CollectionIndex;
  /** Needed unless `verify` is `none` and no hash mode is among the modes. */
  readonly pool?: HashPool;
  readonly options: MatchOptions;
  readonly logger: Logger;
  /** Mounts of autotorrent: nothing on them may be a source. */
  readonly ownMounts: OwnMounts;
  readonly signal?: AbortSignal;
  /** Shifts that a candidate's own structure suggests (see `parts.ts`), the likeliest first. */
  readonly hypotheses?: HashModeDependencies['hypotheses'];
  /** Of hashing; `totalBytes` grows when more candidates have to be tried. */
  readonly onProgress?: (progress: HashProgress) => void;
}

/** A .torrent to match: `name` is its file name without extension. */
export interface MatchRequest {
  readonly name: string;
  readonly metainfo: Metainfo;
}

/**
 * One match a torrent, in their order. The index is asked in a few batches over all of them.
 * Rejects with the signal's reason when aborted, and with what the index or the pool throws.
 */
export async function matchTorrents(
  requests: readonly MatchRequest[],
  dependencies: MatchDependencies,
): Promise<TorrentMatch[]> {
  return new Matching(requests, dependencies).run();
}

class Matching {
  readonly #torrents: readonly TorrentTask[];
  readonly #deps: MatchDependencies;
  readonly #modes: readonly MatchMode[];
  readonly #looker: Looker;
  readonly #folders = new FolderNames();
  readonly #hasher: PieceHasher | undefined;
  /** Files of releases: no mode after `unsplitable` may match them. */
  #kept: ReadonlySet<FileTask> = new Set();
  readonly #wentThrough = new Map<MatchMode, Set<FileTask>>();

  constructor(requests: readonly MatchRequest[], deps: MatchDependencies) {
    const { verify, scanModes } = deps.options;
    const hashes = verify !== 'none' || scanModes.some(isHashMode);
    if (hashes && deps.pool === undefined) throw new Error('hashing needs a hash pool');
    this.#deps = deps;
    this.#torrents = requests.map(({ name, metainfo }) => new TorrentTask(name, metainfo));
    this.#modes = MATCH_MODES.filter((mode) => scanModes.includes(mode));
    this.#looker = new Looker(deps.ownMounts);
    if (hashes && deps.pool !== undefined) {
      this.#hasher = new PieceHasher(deps.pool, deps.signal, deps.onProgress);
    }
  }

  async run(): Promise<TorrentMatch[]> {
    const { verify } = this.#deps.options;
    const files = this.#torrents.flatMap((torrent) => torrent.files);
    for (const mode of this.#modes.filter((one) => !isHashMode(one))) {
      await this.#propose(
        mode,
        files.filter((file) => !file.judged),
      );
      await this.#settle(files.filter((file) => !file.judged));
    }
    await this.#hashModes(files.filter((file) => !file.judged));
    for (const file of files) settlePartial(file);
    if (this.#hasher !== undefined) {
      const missing = files.filter((file) => !file.judged && file.current === undefined);
      const { index, signal } = this.#deps;
      await supplyFromArchives(missing, { index, looker: this.#looker, hasher: this.#hasher, signal });
    }

    let spares: ReadonlyMap<FileTask, Source> = new Map();
    if (this.#hasher !== undefined) {
      // Whatever hash modes have found needs its shared pieces proven.
      const level = verify === 'none' ? 'probe' : verify;
      const asked = verify === 'none' ? this.#torrents.filter(({ files }) => files.some(isHashed)) : this.#torrents;
      await verifyShared(asked, level, this.#hasher, this.#looker, (suspects) => this.#proposeRest(suspects));
      if (verify === 'full') spares = await findSpares(this.#torrents, this.#hasher, this.#looker);
    }
    const matches = this.#torrents.map((torrent) => outcomeOf(torrent, verify, spares));
    for (const { name, reason } of matches) this.#deps.logger.debug(`${name}: ${reason}`);
    return matches;
  }

  /** What the other modes did not supply, or not wholly. */
  async #hashModes(files: readonly FileTask[]): Promise<void> {
    const modes = HASH_MODES.filter((mode) => this.#modes.includes(mode));
    if (modes.length === 0 || this.#hasher === undefined) return;
    const alignments = new Alignments({ ...this.#hashModeDependencies(), hasher: this.#hasher });
    for (const mode of modes) {
      const open = files.filter((file) => !file.judged);
      await this.#propose(mode, open);
      await alignments.run(
        open.filter((file) => file.own.count > 0),
        mode,
      );
    }
    alignments.settle();
    // Without a piece of its own a file takes the first candidate; its neighbours' pieces judge it.
    for (const file of files) if (file.own.count === 0 && !file.judged) file.judged = file.advance(this.#looker);
  }

  #hashModeDependencies(): Omit<HashModeDependencies, 'hasher'> {
    const { index, options, signal, hypotheses } = this.#deps;
    return {
      index,
      signal,
      looker: this.#looker,
      folders: this.#folders,
      options: { sizeVarying: options.sizeVarying ?? DEFAULT_VARYING, limit: options.hashLimit ?? NO_LIMIT },
      ...(hypotheses === undefined ? {} : { hypotheses }),
    };
  }

  async #propose(mode: MatchMode, files: readonly FileTask[]): Promise<void> {
    this.#deps.signal?.throwIfAborted();
    const { index } = this.#deps;
    const asked = this.#wentThrough.get(mode) ?? new Set();
    this.#wentThrough.set(mode, asked);
    for (const file of files) asked.add(file);
    const torrents = new Set(files.map((file) => file.torrent));
    if (isHashMode(mode)) await proposeHashed(files, mode, this.#hashModeDependencies());
    else if (mode === 'exact') await proposeExact([...torrents], index);
    else if (mode === 'unsplitable') {
      const wanted = new Set(files);
      const kept = await proposeUnsplitable(this.#torrents, (file) => wanted.has(file), index);
      if (this.#kept.size === 0) this.#kept = kept;
    } else {
      await proposeNormal(
        files.filter((file) => !this.#kept.has(file)),
        index,
        this.#folders,
        this.#modes.includes('unsplitable'),
      );
    }
  }

  /** Gives each file a candidate, and verifies as far as the file can be verified alone. */
  async #settle(files: readonly FileTask[]): Promise<void> {
    const { verify } = this.#deps.options;
    const toVerify: FileTask[] = [];
    let looked = 0;
    for (const file of files) {
      if (++looked % 1024 === 0) await this.#breathe();
      if (!file.advance(this.#looker)) continue;
      const alone = file.own.count > 0 && verify !== 'none';
      if (alone) toVerify.push(file);
      else file.judged = true;
    }
    if (verify !== 'none' && this.#hasher !== undefined) {
      await verifyOwn(toVerify, verify, this.#hasher, this.#looker);
    }
  }

  /** For files whose candidates failed in shared pieces: what the modes they were spared would have proposed. */
  async #proposeRest(suspects: readonly FileTask[]): Promise<void> {
    for (const mode of this.#modes) {
      const rest = suspects.filter((file) => this.#wentThrough.get(mode)?.has(file) !== true);
      if (rest.length > 0) await this.#propose(mode, rest);
    }
  }

  /** Looking is synchronous: a signal's listener gets its turn here. */
  async #breathe(): Promise<void> {
    await new Promise(setImmediate);
    this.#deps.signal?.throwIfAborted();
  }
}

function isHashed({ current }: FileTask): boolean {
  return current !== undefined && (current.mode === 'archive' || isHashMode(current.mode));
}
