/** Matches one torrent with a collection: mode after mode, then the pieces that files share. */
import type { CollectionIndex } from '../collection/index.ts';
import type { Logger } from '../logger.ts';
import type { SourceAccess } from '../source/source-access.ts';
import { supplyFromArchives } from './archived.ts';
import { findEdges } from './edges.ts';
import { proposeExact } from './exact.ts';
import { Alignments, type AlignmentsOfRun, type HashModeDependencies, proposeHashed } from './hash-modes.ts';
import { nameUnusable } from './left-out.ts';
import { FolderNames } from './likeness.ts';
import { Looker, type Source } from './look.ts';
import {
  HASH_MODES,
  isHashMode,
  MATCH_MODES,
  type MatchMode,
  type TorrentMatch,
  type VerifyGoal,
  type VerifyLevel,
} from './match.ts';
import { proposeNormal } from './normal.ts';
import { outcomeOf } from './outcome.ts';
import type { PieceHasher } from './piece-hashing.ts';
import { findSpares } from './spares.ts';
import type { FileTask, TorrentTask } from './torrent-task.ts';
import { proposeUnsplitable } from './unsplitable.ts';
import { settlePartial, verifyOwn } from './verify-own.ts';
import { verifyShared } from './verify-shared.ts';

/** The parts that the torrents of one run share. */
export interface MatchingParts {
  readonly index: CollectionIndex;
  readonly hasher: PieceHasher | undefined;
  readonly alignments: AlignmentsOfRun;
  readonly scanModes: readonly MatchMode[];
  readonly hashModeOptions: HashModeDependencies['options'];
  readonly hypotheses: HashModeDependencies['hypotheses'];
  readonly access: SourceAccess;
  readonly logger: Logger;
  readonly signal: AbortSignal | undefined;
}

/** Files that a hash mode looks for candidates of at once. */
const HASHED_AT_ONCE = 4096;

export class Matching {
  readonly #torrent: TorrentTask;
  readonly #parts: MatchingParts;
  readonly #goal: VerifyGoal;
  readonly #wantsSpares: boolean;
  #level: VerifyLevel;
  readonly #modes: readonly MatchMode[];
  readonly #looker: Looker;
  readonly #folders = new FolderNames();
  /** Files of releases, which `normal` leaves to `unsplitable` where nothing is hashed. */
  #kept: ReadonlySet<FileTask> = new Set();

  constructor(torrent: TorrentTask, goal: VerifyGoal, wantsSpares: boolean, parts: MatchingParts) {
    this.#torrent = torrent;
    this.#parts = parts;
    this.#goal = goal;
    this.#wantsSpares = wantsSpares;
    this.#level = goal === 'full-if-whole' ? 'probe' : goal;
    this.#modes = MATCH_MODES.filter((mode) => parts.scanModes.includes(mode));
    this.#looker = new Looker(parts.access);
  }

  async run(): Promise<TorrentMatch> {
    const { files } = this.#torrent;
    await this.#supply(files);
    if (this.#goal === 'full-if-whole' && files.every((file) => file.judged && file.current !== undefined)) {
      await this.#hashTheRest(files);
    }
    for (const file of files) settlePartial(file);
    const { hasher, index, signal, logger } = this.#parts;
    if (hasher !== undefined) {
      const missing = files.filter((file) => !file.judged && file.current === undefined);
      await supplyFromArchives(missing, { index, looker: this.#looker, hasher, signal });
    }

    let spares: ReadonlyMap<FileTask, Source> = new Map();
    if (hasher !== undefined && (this.#level !== 'none' || files.some(isHashed))) {
      const looker = this.#looker;
      const proposeMore = async (suspects: readonly FileTask[]): Promise<void> => await this.#proposeRest(suspects);
      await verifyShared(this.#torrent, this.#level, { hasher, looker, folders: this.#folders, proposeMore });
      await findEdges(this.#torrent, hasher, looker, proposeMore);
      if (this.#level === 'full' && this.#wantsSpares) spares = await findSpares([this.#torrent], hasher, looker);
    }
    const missing = files.filter(({ current }) => current === undefined);
    await nameUnusable(missing, { index, looker: this.#looker });
    const match = outcomeOf(this.#torrent, this.#level, spares);
    logger.debug(`${match.name}: ${match.reason}`);
    return match;
  }

  /** Runs `files` through all modes, until one supplies them. */
  async #supply(files: readonly FileTask[]): Promise<void> {
    for (const mode of this.#modes.filter((one) => !isHashMode(one))) {
      const open = files.filter((file) => !file.judged);
      await this.#propose(mode, open);
      await this.#settle(open);
    }
    await this.#hashModes(files.filter((file) => !file.judged));
  }

  /** Goes from `probe` to `full`: files that now fail go through the modes that they had skipped. */
  async #hashTheRest(files: readonly FileTask[]): Promise<void> {
    this.#level = 'full';
    const { hasher } = this.#parts;
    if (hasher === undefined) return;
    // Hash modes and archives supply only bytes that were proven piece by piece.
    const probed = files.filter(({ own, parts }) => own.count > 0 && parts === undefined);
    // The file may have changed since the probe: what is asked again is proven again.
    for (const file of probed) file.forgetProof();
    await verifyOwn(probed, 'full', hasher, this.#looker);
    const failed = probed.filter((file) => !file.judged);
    if (failed.length > 0) await this.#supply(failed);
  }

  /** The files that the other modes did not supply, or not wholly. */
  async #hashModes(files: readonly FileTask[]): Promise<void> {
    const modes = HASH_MODES.filter((mode) => this.#modes.includes(mode));
    const { hasher } = this.#parts;
    if (modes.length === 0 || hasher === undefined || files.length === 0) return;
    const alignments = new Alignments({ ...this.#hashModeDependencies(), hasher }, this.#parts.alignments);
    for (const mode of modes) {
      const open = files.filter((file) => !file.judged);
      // Candidates are in memory until their file is aligned, and each file may have a hundred.
      for (let from = 0; from < open.length; from += HASHED_AT_ONCE) {
        const some = open.slice(from, from + HASHED_AT_ONCE);
        await this.#propose(mode, some);
        await alignments.run(
          some.filter((file) => file.own.count > 0 && file.queue.length > 0),
          mode,
        );
      }
    }
    alignments.settle();
    // Without a piece of its own a file takes the first candidate; its neighbours' pieces judge it.
    for (const file of files) if (file.own.count === 0 && !file.judged) file.judged = file.advance(this.#looker);
  }

  #hashModeDependencies(): Omit<HashModeDependencies, 'hasher'> {
    const { index, signal, hypotheses, hashModeOptions } = this.#parts;
    return { index, signal, looker: this.#looker, folders: this.#folders, options: hashModeOptions, hypotheses };
  }

  async #propose(mode: MatchMode, files: readonly FileTask[]): Promise<void> {
    const { index, signal } = this.#parts;
    signal?.throwIfAborted();
    for (const file of files) file.asked |= bitOf(mode);
    if (isHashMode(mode)) await proposeHashed(files, mode, this.#hashModeDependencies());
    else if (mode === 'exact') await proposeExact(files.length === 0 ? [] : [this.#torrent], index);
    else if (mode === 'unsplitable') {
      const wanted = new Set(files);
      const kept = await proposeUnsplitable([this.#torrent], (file) => wanted.has(file), index);
      if (this.#kept.size === 0) this.#kept = kept;
    } else {
      // Only where nothing is hashed must a file's folder tell it from that of another release.
      const keepReleases = this.#level === 'none' && this.#modes.includes('unsplitable');
      const open = keepReleases ? files.filter((file) => !this.#kept.has(file)) : files;
      await proposeNormal(open, index, this.#folders, keepReleases);
    }
  }

  /** Gives each file a candidate, and verifies as far as the file can be verified alone. */
  async #settle(files: readonly FileTask[]): Promise<void> {
    const toVerify: FileTask[] = [];
    let looked = 0;
    for (const file of files) {
      if (++looked % 1024 === 0) await this.#breathe();
      if (!file.advance(this.#looker)) continue;
      const alone = file.own.count > 0 && this.#level !== 'none';
      if (alone) toVerify.push(file);
      else file.judged = true;
    }
    const { hasher } = this.#parts;
    if (this.#level !== 'none' && hasher !== undefined) await verifyOwn(toVerify, this.#level, hasher, this.#looker);
  }

  /** Proposes, for files whose candidates failed in shared pieces, the candidates of the modes that they had skipped. */
  async #proposeRest(suspects: readonly FileTask[]): Promise<void> {
    for (const mode of this.#modes) {
      const rest = suspects.filter((file) => (file.asked & bitOf(mode)) === 0);
      if (rest.length > 0) await this.#propose(mode, rest);
    }
  }

  /** Looking is synchronous: a signal's listener gets its turn here. */
  async #breathe(): Promise<void> {
    await new Promise(setImmediate);
    this.#parts.signal?.throwIfAborted();
  }
}

function bitOf(mode: MatchMode): number {
  return 1 << MATCH_MODES.indexOf(mode);
}

function isHashed({ current }: FileTask): boolean {
  return current !== undefined && (current.mode === 'archive' || isHashMode(current.mode));
}
