/**
 * Verifies pieces with bytes of several files: the only proof of files too small for a piece of their own, and of the first
 * and last bytes of the others.
 *
 * Such a piece can only be asked about if all its files have a source. If it does not agree:
 *
 * 1. Other candidates of its files are tried, the likeliest combination first (`piece-variants.ts`), up to the limits below.
 *    The first that agrees supplies the bytes of this piece (`FileTask.atPiece`), and `whole-sources.ts` then sees if it is
 *    the better one for a whole file.
 * 2. If none agrees, candidates of the modes that the piece's files have not been through are tried, too.
 * 3. If still none agrees, the files that no piece proves become missing, since none of their bytes is proven. The proven
 *    files keep their bytes in the piece, unverified.
 * 4. If all its files are proven, nothing tells whose bytes are wrong: all bytes of the piece become gaps.
 */
import { setBit } from '../extent/bitfield.ts';
import type { FolderNames } from './likeness.ts';
import type { Looker } from './look.ts';
import type { VerifyLevel } from './match.ts';
import { bytesIn, type Range } from './parts.ts';
import { filesOfPiece, type PieceHasher, type PieceQuestion } from './piece-hashing.ts';
import { PieceVariants, PlaceScores, type Variant } from './piece-variants.ts';
import type { FileTask, TorrentTask } from './torrent-task.ts';
import { takeBetterSources } from './whole-sources.ts';

/** Variants hashed for one piece in vain, their bytes, and the ranges of files read for them. One is always tried. */
const MAX_VARIANTS = 64;
const MAX_VARIANT_BYTES = 512 * 2 ** 20;
const MAX_VARIANT_RANGES = 8192;
/** The same limits for a whole torrent, beside twice what it has. */
const SPARE_BYTES = 2 ** 30;
const SPARE_RANGES = 65_536;
/** Variants of a piece that are asked at once. What others prove meanwhile tells where to look. */
const ROUNDS = [1, 3, 12, MAX_VARIANTS];
/** Pieces tried side by side, and files of these. */
const PIECES_AT_ONCE = 64;
const FILES_AT_ONCE = 2048;
/** Candidates that are noted as refused for a file without proof. */
const MAX_NOTED = 8;

export interface SharedDependencies {
  readonly hasher: PieceHasher;
  readonly looker: Looker;
  readonly folders: FolderNames;
  /** Adds candidates of modes that these files have not been through. */
  readonly proposeMore: (files: readonly FileTask[]) => Promise<void>;
}

/**
 * Asks about shared pieces: all of them at `probe` and `full`; with `none` those that must prove what hash modes and archives
 * have found.
 */
export async function verifyShared(torrent: TorrentTask, level: VerifyLevel, deps: SharedDependencies): Promise<void> {
  const { shared } = torrent.shares;
  const pieces =
    level === 'none' ? shared.filter((piece) => filesOfPiece(torrent, piece).some(needsNeighbours)) : shared;
  const answers = await deps.hasher.ask(
    pieces.map((piece) => ({ torrent, piece, bytesOf: (task: FileTask, range: Range) => task.bytes(piece, range) })),
  );
  const failing: number[] = [];
  const cutOff = new Set<number>();
  for (const [i, piece] of pieces.entries()) {
    const answer = answers[i];
    if (answer?.agrees === true) {
      prove(torrent, piece);
      continue;
    }
    // All its files are found, but a source ends too early: another candidate may have these bytes.
    if (answer === undefined && filesOfPiece(torrent, piece).every(isFound)) cutOff.add(piece);
    if (answer !== undefined || cutOff.has(piece)) failing.push(piece);
  }
  if (failing.length === 0) return;
  const search = new Search(torrent, deps);
  let left = await search.run(failing);
  if (left.length > 0) {
    const files = [...new Set(left.flatMap((piece) => filesOfPiece(torrent, piece)))];
    const before = new Map(files.map((task) => [task, task.queue.length]));
    await deps.proposeMore(files);
    const grown = new Set(files.filter((task) => task.queue.length > (before.get(task) ?? 0)));
    const again = left.filter((piece) => filesOfPiece(torrent, piece).some((task) => grown.has(task)));
    const still = new Set(await search.run(again, before));
    const tried = new Set(again);
    left = left.filter((piece) => !tried.has(piece) || still.has(piece));
  }
  await takeBetterSources(torrent, level, deps.hasher);
  const blamed = left.filter((piece) => !cutOff.has(piece));
  blame(torrent, blamed, search.tried);
}

function isFound({ current }: FileTask): boolean {
  return current !== undefined;
}

/** True if only shared pieces can prove a file, or the bytes at its ends. */
function needsNeighbours({ own, parts }: FileTask): boolean {
  return own.count === 0 || parts !== undefined;
}

interface Case {
  readonly variants: PieceVariants;
  /** Variants that failed. */
  failed: number;
}

class Search {
  /** Candidates that were hashed for files of pieces that fail, without those that they have. */
  readonly tried = new Map<FileTask, Set<Buffer>>();
  readonly #torrent: TorrentTask;
  readonly #deps: SharedDependencies;
  readonly #scores = new PlaceScores();
  /** By piece: hashes of the variants that were tried. */
  readonly #triedVariants = new Map<number, Set<number>>();
  #bytesLeft: number;
  #rangesLeft: number;

  constructor(torrent: TorrentTask, deps: SharedDependencies) {
    this.#torrent = torrent;
    this.#deps = deps;
    this.#bytesLeft = SPARE_BYTES + 2 * torrent.metainfo.totalLength;
    this.#rangesLeft = SPARE_RANGES + 2 * torrent.files.length;
    for (const task of torrent.files) {
      const file = task.provenPieces > 0 ? task.current?.file : undefined;
      if (file !== undefined) this.#scores.add(task, deps.folders.placeOf(task, file));
    }
  }

  /** Finds the pieces that no variant makes agree. `before`: see `VariantDependencies`. */
  async run(failing: readonly number[], before?: ReadonlyMap<FileTask, number>): Promise<readonly number[]> {
    const left = await this.#runOver(failing, ROUNDS, before);
    if (left.length === 0 || left.length === failing.length) return left;
    // What the last pieces have proven was not known to the first.
    return await this.#runOver(left, [1], before);
  }

  async #runOver(
    pieces: readonly number[],
    rounds: readonly number[],
    before: ReadonlyMap<FileTask, number> | undefined,
  ): Promise<number[]> {
    const left: number[] = [];
    const { looker, folders } = this.#deps;
    const deps = { looker, folders, scores: this.#scores, ...(before === undefined ? {} : { before }) };
    let cases: Case[] = [];
    let files = 0;
    for (const [i, piece] of pieces.entries()) {
      const tried = this.#triedVariants.get(piece) ?? new Set<number>();
      this.#triedVariants.set(piece, tried);
      const variants = new PieceVariants(this.#torrent, piece, deps, tried);
      cases.push({ variants, failed: 0 });
      files += variants.files.length;
      if (cases.length < PIECES_AT_ONCE && files < FILES_AT_ONCE && i + 1 < pieces.length) continue;
      for (const one of await this.#solve(cases, rounds)) left.push(one.variants.piece);
      [cases, files] = [[], 0];
    }
    return left;
  }

  async #solve(cases: readonly Case[], rounds: readonly number[]): Promise<readonly Case[]> {
    let open = cases;
    for (const most of rounds) {
      const asked = open.map((one) => one.variants.next(this.#allowed(one, most)));
      const questions = asked.flatMap((some, i) => some.map((variant) => this.#question(open[i]!.variants, variant)));
      if (questions.length === 0) break;
      const answers = await this.#deps.hasher.ask(questions);
      let next = 0;
      open = open.filter((one, i) => {
        const some = asked[i] ?? [];
        const mine = answers.slice(next, next + some.length);
        next += some.length;
        const at = mine.findIndex((answer) => answer?.agrees === true);
        this.#charge(one, at === -1 ? some.length : at);
        for (const variant of some) this.#note(variant);
        const found = some[at];
        if (found === undefined) return true;
        this.#take(one, found);
        return false;
      });
    }
    return open;
  }

  /** Counts the variants that the limits leave. The first is always allowed as long as the torrent has any left. */
  #allowed({ variants, failed }: Case, most: number): number {
    const [bytes, ranges] = [this.#torrent.metainfo.pieceLength, Math.max(1, variants.files.length)];
    if (this.#bytesLeft < bytes || this.#rangesLeft < ranges) return 0;
    const byLimits = Math.min(MAX_VARIANTS, MAX_VARIANT_BYTES / bytes, MAX_VARIANT_RANGES / ranges);
    return Math.min(most, Math.max(failed === 0 ? 1 : 0, Math.floor(byLimits) - failed));
  }

  #charge(one: Case, failed: number): void {
    one.failed += failed;
    this.#bytesLeft -= failed * this.#torrent.metainfo.pieceLength;
    this.#rangesLeft -= failed * one.variants.files.length;
  }

  #note(variant: Variant): void {
    for (const [task, { path }] of variant) {
      const paths = this.tried.get(task) ?? new Set<Buffer>();
      this.tried.set(task, paths);
      if (paths.size < MAX_NOTED) paths.add(path);
    }
  }

  #question({ piece }: PieceVariants, variant: Variant): PieceQuestion {
    return {
      torrent: this.#torrent,
      piece,
      bytesOf: (task: FileTask, range: Range) => {
        const chosen = variant.get(task);
        return chosen === undefined ? task.bytes(piece, range) : bytesIn(chosen, chosen.shift, range);
      },
    };
  }

  #take({ variants }: Case, found: Variant): void {
    variants.score(found);
    this.#triedVariants.delete(variants.piece);
    for (const [task, chosen] of found) (task.atPiece ??= new Map()).set(variants.piece, chosen);
    prove(this.#torrent, variants.piece);
  }
}

function prove(torrent: TorrentTask, piece: number): void {
  setBit(torrent.verified, piece);
  for (const task of filesOfPiece(torrent, piece)) task.provenPieces++;
}

function blame(
  torrent: TorrentTask,
  failed: readonly number[],
  tried: ReadonlyMap<FileTask, ReadonlySet<Buffer>>,
): void {
  const guilty = new Map<FileTask, number>();
  for (const piece of failed) {
    const files = filesOfPiece(torrent, piece);
    const suspects = files.filter(({ provenPieces }) => provenPieces === 0);
    for (const task of suspects) guilty.set(task, piece);
    if (suspects.length > 0) continue;
    for (const task of files) (task.gapPieces ??= new Set()).add(piece);
  }
  for (const [task, piece] of guilty) {
    if (task.current !== undefined) task.refuse(task.current.path, 'hash-mismatch');
    for (const path of tried.get(task) ?? []) task.refuse(path, 'hash-mismatch');
    task.drop({
      code: 'hash-mismatch',
      reason: `Piece ${piece}, which it shares with its neighbours, has other bytes with every candidate tried.`,
    });
  }
}
