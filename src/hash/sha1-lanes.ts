/**
 * Computes the SHA-1 of many jobs, two at a time. Each lane reads its jobs through a reader of its own; the blocks that both
 * lanes have are hashed together. A lane gets as many short jobs at a time as a reader reads at once, so that nothing is
 * read twice.
 */
import { BLOCK_BYTES, type DigestPair, type Lane } from '../native/digest-pair.ts';
import type { BlankDigests } from './blank.ts';
import type { TaskJob } from './hash-task.ts';
import { ReadFailure, type SegmentReader } from './segment-reader.ts';

/** The result of a job: 20 bytes, one character each, or the reason for having no digest. */
export type OnDigest = (job: number, digest: string | ReadFailure) => void;

const LENGTH_BYTES = 8;

export interface LanesOptions {
  readonly pair: DigestPair;
  readonly readers: readonly [SegmentReader, SegmentReader];
  /** The most bytes of jobs that a lane gets at once. */
  readonly dealt: number;
  readonly blanks: BlankDigests;
  readonly onDigest: OnDigest;
}

/** Hashes jobs. Ends early when a reader is cancelled. */
export function hashInLanes(options: LanesOptions, work: readonly TaskJob[]): void {
  const { pair, readers, dealt } = options;
  const total = work.reduce((sum, { bytes }) => sum + bytes, 0);
  const deal = dealer(work, Math.min(dealt, total / 2));
  const lanes = [new LaneOfJobs(options, 0, readers[0], deal), new LaneOfJobs(options, 1, readers[1], deal)] as const;
  for (;;) {
    const [first, second] = [lanes[0].waiting(), lanes[1].waiting()];
    if (first === undefined && second === undefined) return;
    const bytes = Math.min(first?.length ?? Number.MAX_SAFE_INTEGER, second?.length ?? Number.MAX_SAFE_INTEGER);
    pair.update(bytes / BLOCK_BYTES, first, second);
    lanes[0].skip(bytes);
    lanes[1].skip(bytes);
  }
}

/** Deals out the jobs in their order, some neighbours at a time. */
function dealer(work: readonly TaskJob[], dealt: number): () => readonly TaskJob[] {
  let next = 0;
  return () => {
    const first = next;
    for (let bytes = 0; next < work.length; next++) {
      bytes += work[next]?.bytes ?? 0;
      if (next > first && bytes > dealt) break;
    }
    return work.slice(first, next);
  };
}

class LaneOfJobs {
  readonly #pair: DigestPair;
  readonly #blanks: BlankDigests;
  readonly #lane: Lane;
  readonly #reader: SegmentReader;
  readonly #onDigest: OnDigest;
  readonly #blocks: Generator<Buffer, void>;
  #left: Buffer | undefined;

  constructor(
    { pair, blanks, onDigest }: LanesOptions,
    lane: Lane,
    reader: SegmentReader,
    deal: () => readonly TaskJob[],
  ) {
    this.#pair = pair;
    this.#blanks = blanks;
    this.#lane = lane;
    this.#reader = reader;
    this.#onDigest = onDigest;
    this.#blocks = this.#run(deal);
  }

  /** Gives the whole blocks to hash next. Undefined at the end. */
  waiting(): Buffer | undefined {
    if (this.#left === undefined || this.#left.length === 0) this.#left = this.#blocks.next().value ?? undefined;
    return this.#left;
  }

  skip(bytes: number): void {
    this.#left = this.#left?.subarray(bytes);
  }

  *#run(deal: () => readonly TaskJob[]): Generator<Buffer, void> {
    for (let jobs = deal(); jobs.length > 0; jobs = deal()) {
      for (const work of jobs) {
        if (this.#reader.cancelled()) return;
        try {
          const blank = this.#blanks.of(this.#reader, work);
          if (blank !== undefined) {
            this.#onDigest(work.job, blank);
            continue;
          }
          this.#pair.begin(this.#lane);
          yield* this.#padded(work);
          this.#onDigest(work.job, this.#pair.digest(this.#lane));
        } catch (error) {
          if (!(error instanceof ReadFailure)) throw error;
          this.#onDigest(work.job, error);
        }
      }
    }
  }

  /** Gives a job's bytes and SHA-1's padding in whole blocks. Each chunk must be hashed before the next is asked for. */
  *#padded({ firstSegment, segments, bytes }: TaskJob): Generator<Buffer, void> {
    const tail = Buffer.allocUnsafe(2 * BLOCK_BYTES);
    let kept = 0;
    for (let segment = firstSegment; segment < firstSegment + segments; segment++) {
      for (const chunk of this.#reader.chunks(segment)) {
        let at = 0;
        if (kept > 0) {
          at = chunk.copy(tail, kept, 0, BLOCK_BYTES - kept);
          kept += at;
          if (kept < BLOCK_BYTES) continue;
          yield tail.subarray(0, BLOCK_BYTES);
        }
        const end = chunk.length - ((chunk.length - at) % BLOCK_BYTES);
        if (end > at) yield chunk.subarray(at, end);
        kept = chunk.copy(tail, 0, end);
      }
    }
    const end = kept + 1 + LENGTH_BYTES <= BLOCK_BYTES ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    tail[kept] = 0x80;
    tail.fill(0, kept + 1, end);
    tail.writeBigUInt64BE(BigInt(bytes) * 8n, end - LENGTH_BYTES);
    yield tail.subarray(0, end);
  }
}
