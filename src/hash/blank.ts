/** Computes the digests of zeros: of holes in files, and of pads. Pieces have few lengths, so each is hashed once. */

import { Looks } from '../source/looks.ts';
import { SourceAccess } from '../source/source-access.ts';
import type { HashControl, TaskJob } from './hash-task.ts';
import { tableOf, ZEROS_FILE } from './hash-task.ts';
import { SegmentReader } from './segment-reader.ts';

/** Digests kept at most: the last piece of a file and shared pieces have lengths of their own. */
const KEPT = 64;

export class BlankDigests {
  readonly #digest: (reader: SegmentReader, job: TaskJob) => string;
  readonly #known = new Map<string, string>();

  /** `digest` hashes a job. */
  constructor(digest: (reader: SegmentReader, job: TaskJob) => string) {
    this.#digest = digest;
  }

  /** Gives the digest of `job` if all of it is zeros. @throws ReadFailure */
  of(reader: SegmentReader, job: TaskJob): string | undefined {
    if (job.bytes === 0) return undefined;
    for (let i = job.firstSegment; i < job.firstSegment + job.segments; i++) if (!reader.isBlank(i)) return undefined;
    reader.done(job.bytes);
    const key = `${job.bytes}/${job.leaves}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#known.size >= KEPT) this.#known.clear();
    const digest = this.#digest(zeros(job.bytes), { ...job, firstSegment: 0, segments: 1 });
    this.#known.set(key, digest);
    return digest;
  }
}

function zeros(length: number): SegmentReader {
  const control: HashControl = { flags: new Int32Array(1), doneBytes: new BigInt64Array(1) };
  const segments = Float64Array.of(ZEROS_FILE, 0, length);
  const sources = { disks: [] };
  const task = {
    control,
    openFiles: 0,
    sources,
    files: tableOf([]),
    counts: Uint32Array.of(1),
    leaves: Float64Array.of(0),
    segments,
  };
  return new SegmentReader(task, Buffer.alloc(0), { libc: {}, access: new SourceAccess(sources), looks: new Looks() });
}
