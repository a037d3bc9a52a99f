/** Asks the pool if pieces agree, each made of the bytes that its files have now. */
import {
  type HashJob,
  type HashPool,
  type HashProgress,
  type HashResult,
  type HashSegment,
  segmentsOf as segmentsOfJob,
} from '../hash/hash-pool.ts';
import { type PieceCheck, pieceCheck } from '../hash/piece-check.ts';
import type { PieceSpan } from '../metainfo/metainfo.ts';
import { pieceHashes } from '../metainfo/piece-hashes.ts';
import { pieceSpans } from '../metainfo/piece-layout.ts';
import type { Range } from './parts.ts';
import type { FileTask, TorrentTask } from './torrent-task.ts';

/**
 * Pieces, and ranges of files, that the pool gets at once: a torrent may have millions, and each takes some hundred bytes of
 * memory on its way. Hardly any torrent has more pieces.
 */
const PIECES_AT_ONCE = 32_768;
const SEGMENTS_AT_ONCE = 65_536;

/** A piece, and the bytes that make it up. */
export interface PieceQuestion {
  readonly torrent: TorrentTask;
  readonly piece: number;
  /** Undefined if nothing supplies these bytes of a file: the piece then cannot be asked about. */
  readonly bytesOf: (task: FileTask, range: Range) => readonly HashSegment[] | undefined;
}

/** The answer for a piece; a reason is a predicate after "piece 3". */
export type PieceAnswer =
  | { readonly agrees: true }
  | { readonly agrees: false; readonly why: string; readonly changed: boolean };

const AGREES: PieceAnswer = { agrees: true };

export class PieceHasher {
  readonly #pool: HashPool;
  readonly #signal: AbortSignal | undefined;
  readonly #onProgress: ((progress: HashProgress) => void) | undefined;
  /** Progress over all questions. */
  #totalBytes = 0;
  #doneBytes = 0;

  constructor(pool: HashPool, signal: AbortSignal | undefined, onProgress: ((p: HashProgress) => void) | undefined) {
    this.#pool = pool;
    this.#signal = signal;
    this.#onProgress = onProgress;
  }

  /** Gives answers in the order of the questions. Undefined for those that cannot be asked. */
  async ask(questions: readonly PieceQuestion[]): Promise<(PieceAnswer | undefined)[]> {
    const answers: (PieceAnswer | undefined)[] = [];
    let checks: (PieceCheck[] | undefined)[] = [];
    let segments = 0;
    for (const [i, question] of questions.entries()) {
      const few = checksOf(question);
      checks.push(few);
      for (const { job } of few ?? []) segments += segmentsOfJob(job).length;
      if (checks.length < PIECES_AT_ONCE && segments < SEGMENTS_AT_ONCE && i + 1 < questions.length) continue;
      for (const answer of await this.#askAtOnce(checks)) answers.push(answer);
      checks = [];
      segments = 0;
    }
    return answers;
  }

  async #askAtOnce(checks: readonly (readonly PieceCheck[] | undefined)[]): Promise<(PieceAnswer | undefined)[]> {
    const jobs = checks.flatMap((few) => few?.map(({ job }) => job) ?? []);
    const results = jobs.length === 0 ? [] : await this.#hash(jobs);
    let next = 0;
    return checks.map((few) => {
      if (few === undefined) return undefined;
      const mine = results.slice(next, next + few.length);
      next += few.length;
      return answerOf(few, mine);
    });
  }

  async #hash(jobs: readonly HashJob[]): Promise<HashResult[]> {
    // Several callers may be asking at the same time.
    let known = { doneBytes: 0, totalBytes: 0 };
    const onProgress = (progress: HashProgress): void => {
      this.#doneBytes += progress.doneBytes - known.doneBytes;
      this.#totalBytes += progress.totalBytes - known.totalBytes;
      known = progress;
      this.#onProgress?.({ doneBytes: this.#doneBytes, totalBytes: this.#totalBytes });
    };
    return await this.#pool.hash(jobs, {
      ...(this.#signal === undefined ? {} : { signal: this.#signal }),
      ...(this.#onProgress === undefined ? {} : { onProgress }),
    });
  }
}

/** Lists the files with bytes in a piece, without pads. */
export function filesOfPiece(torrent: TorrentTask, piece: number): FileTask[] {
  return pieceSpans(torrent.metainfo, piece).flatMap(({ file }) => torrent.byIndex[file] ?? []);
}

function checksOf(question: PieceQuestion): PieceCheck[] | undefined {
  const checks: PieceCheck[] = [];
  for (const hash of pieceHashes(question.torrent.metainfo, question.piece)) {
    const segments = segmentsOf(question, hash.spans);
    if (segments === undefined) return undefined;
    checks.push(pieceCheck(hash, segments));
  }
  return checks;
}

function segmentsOf({ torrent, bytesOf }: PieceQuestion, spans: readonly PieceSpan[]): HashSegment[] | undefined {
  const segments: HashSegment[] = [];
  for (const span of spans) {
    if (torrent.metainfo.files[span.file]?.pad === true) {
      segments.push({ zeros: span.length });
      continue;
    }
    const task = torrent.byIndex[span.file];
    const bytes = task === undefined ? undefined : bytesOf(task, span);
    if (bytes === undefined) return undefined;
    segments.push(...bytes);
  }
  return segments;
}

function answerOf(checks: readonly PieceCheck[], results: readonly HashResult[]): PieceAnswer {
  let agreeing = 0;
  for (const [i, { wanted }] of checks.entries()) {
    const result = results[i];
    if (result === undefined) throw new Error('the hash pool gave fewer results than jobs');
    if ('failed' in result) return { agrees: false, why: `could not be hashed: ${result.message}`, changed: true };
    if (result.digest.equals(wanted)) agreeing++;
  }
  if (agreeing === checks.length) return AGREES;
  const why =
    agreeing === 0 ? 'has other bytes' : 'agrees with one of its two hashes alone: the torrent contradicts itself';
  return { agrees: false, why, changed: false };
}
