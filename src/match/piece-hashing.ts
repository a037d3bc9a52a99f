/** Asking the pool about pieces: what a piece is made of now, and whether it agrees. */
import type { HashJob, HashPool, HashProgress, HashResult, HashSegment } from '../hash/hash-pool.ts';
import { pieceSpans } from '../metainfo/piece-layout.ts';
import type { Range } from './parts.ts';
import type { FileTask, TorrentTask } from './torrent-task.ts';

const SHA1_BYTES = 20;

/** A piece and the bytes to make it of. */
export interface PieceQuestion {
  readonly torrent: TorrentTask;
  readonly piece: number;
  /** Undefined where nobody has these bytes of a file: the piece cannot be asked about. */
  readonly bytesOf: (task: FileTask, range: Range) => readonly HashSegment[] | undefined;
}

/** `agrees`, or why not: a sentence's end after "piece 3". */
export type PieceAnswer =
  | { readonly agrees: true }
  | { readonly agrees: false; readonly why: string; readonly changed: boolean };

export class PieceHasher {
  readonly #pool: HashPool;
  readonly #signal: AbortSignal | undefined;
  readonly #onProgress: ((progress: HashProgress) => void) | undefined;
  /** Of what has been asked. */
  #totalBytes = 0;
  #doneBytes = 0;

  constructor(pool: HashPool, signal: AbortSignal | undefined, onProgress: ((p: HashProgress) => void) | undefined) {
    this.#pool = pool;
    this.#signal = signal;
    this.#onProgress = onProgress;
  }

  /** In the questions' order; undefined for what cannot be asked. */
  async ask(questions: readonly PieceQuestion[]): Promise<(PieceAnswer | undefined)[]> {
    const jobs = questions.map(jobOf);
    const asked = jobs.filter((job) => job !== undefined);
    const results = asked.length === 0 ? [] : await this.#hash(asked);
    let next = 0;
    return questions.map((question, i) => {
      if (jobs[i] === undefined) return undefined;
      return answerOf(question, results[next++]);
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

/** The files with bytes in a piece, pads left out. */
export function filesOfPiece(torrent: TorrentTask, piece: number): FileTask[] {
  return pieceSpans(torrent.metainfo, piece).flatMap(({ file }) => torrent.byIndex.get(file) ?? []);
}

function jobOf({ torrent, piece, bytesOf }: PieceQuestion): HashJob | undefined {
  const job: HashSegment[] = [];
  for (const span of pieceSpans(torrent.metainfo, piece)) {
    if (torrent.metainfo.files[span.file]?.pad === true) {
      job.push({ zeros: span.length });
      continue;
    }
    const task = torrent.byIndex.get(span.file);
    const bytes = task === undefined ? undefined : bytesOf(task, span);
    if (bytes === undefined) return undefined;
    job.push(...bytes);
  }
  return job;
}

function answerOf({ torrent, piece }: PieceQuestion, result: HashResult | undefined): PieceAnswer {
  if (result === undefined) throw new Error('the hash pool gave fewer results than jobs');
  if ('failed' in result) return { agrees: false, why: `could not be hashed: ${result.message}`, changed: true };
  const wanted = torrent.metainfo.pieces.subarray(piece * SHA1_BYTES, (piece + 1) * SHA1_BYTES);
  if (result.digest.equals(wanted)) return { agrees: true };
  return { agrees: false, why: 'has other bytes', changed: false };
}
