/**
 * Encodes many jobs as one message from the pool to a worker: a table of files and arrays of numbers.
 * One message for each job would cost more than hashing a small piece.
 */

import type { FileIdentity } from '../source/identity.ts';
import type { SourceRules } from '../source/source-folders.ts';
import { type HashJob, isMerkle, segmentsOf } from './hash-pool.ts';

export const SHA1_BYTES = 20;
export const SHA256_BYTES = 32;

/** `file` of a segment that is zeros. */
export const ZEROS_FILE = -1;

/** Index into `control.flags`: not 0 when the worker must stop. */
export const CANCELLED = 0;
/** Index into `control.doneBytes`. */
export const DONE_BYTES = 0;

/** Memory that the pool and all workers of one `hash` call share. */
export interface HashControl {
  readonly flags: Int32Array;
  readonly doneBytes: BigInt64Array;
}

export interface HashTask {
  readonly control: HashControl;
  /** Files that a reader may keep open. A worker has two readers. */
  readonly openFiles: number;
  /** Where the files may lie. */
  readonly sources: SourceRules;
  readonly files: readonly { readonly path: Uint8Array; readonly identity: FileIdentity }[];
  /** The number of segments of each job. */
  readonly counts: Uint32Array;
  /** For each job 0 for a SHA-1, else the number of leaves of its merkle tree. */
  readonly leaves: Float64Array;
  /** Three numbers for each segment: index into `files` or `ZEROS_FILE`, offset, length. */
  readonly segments: Float64Array;
}

export interface HashTaskResult {
  /** 32 bytes for each job, in order; a SHA-1 takes the first 20. Meaningless for a job that failed. */
  readonly digests: Uint8Array;
  readonly failures: readonly {
    readonly job: number;
    readonly failed: 'changed' | 'unreadable';
    readonly message: string;
  }[];
}

export function encodeTask(
  jobs: readonly HashJob[],
  { control, openFiles, sources }: Pick<HashTask, 'control' | 'openFiles' | 'sources'>,
): HashTask {
  const files: HashTask['files'][number][] = [];
  // The pieces of one file usually share one identity object, and comparing paths costs more.
  const known = new Map<FileIdentity, number>();
  const counts = new Uint32Array(jobs.length);
  const leaves = new Float64Array(jobs.length);
  const segments: number[] = [];
  for (const [i, job] of jobs.entries()) {
    if (isMerkle(job)) leaves[i] = job.leaves;
    const parts = segmentsOf(job);
    counts[i] = parts.length;
    for (const segment of parts) {
      if ('zeros' in segment) {
        segments.push(ZEROS_FILE, 0, segment.zeros);
        continue;
      }
      let file = known.get(segment.identity);
      if (file === undefined || !sameBytes(files[file]?.path, segment.path)) {
        // A slice of Node's shared slab would take the whole slab into the message, so the path is copied.
        file = files.push({ path: Uint8Array.from(segment.path), identity: segment.identity }) - 1;
        known.set(segment.identity, file);
      }
      segments.push(file, segment.offset, segment.length);
    }
  }
  return { control, openFiles, sources, files, counts, leaves, segments: Float64Array.from(segments) };
}

function sameBytes(a: Uint8Array | undefined, b: Buffer): boolean {
  return a !== undefined && b.equals(a);
}

/** A job of a task. */
export interface TaskJob {
  readonly job: number;
  readonly firstSegment: number;
  readonly segments: number;
  readonly bytes: number;
  /** 0: a SHA-1. */
  readonly leaves: number;
}

/** Decodes the jobs that `encodeTask` was given. */
export function jobsOf({ counts, leaves, segments }: HashTask): TaskJob[] {
  let firstSegment = 0;
  return Array.from(counts, (count, job) => {
    let bytes = 0;
    for (let i = firstSegment; i < firstSegment + count; i++) bytes += segments[i * 3 + 2] ?? 0;
    const found = { job, firstSegment, segments: count, bytes, leaves: leaves[job] ?? 0 };
    firstSegment += count;
    return found;
  });
}
