/**
 * Encodes many jobs as one message from the pool to a worker: a table of files and arrays of numbers.
 * One message for each job would cost more than hashing a small piece.
 */

import type { FileIdentity } from '../source/identity.ts';
import type { SourceRules } from '../source/source-folders.ts';
import { type HashJob, type HashSegment, isMerkle, segmentsOf } from './hash-pool.ts';

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
  readonly files: FileTable;
  /** The number of segments of each job. */
  readonly counts: Uint32Array;
  /** For each job 0 for a SHA-1, else the number of leaves of its merkle tree. */
  readonly leaves: Float64Array;
  /** Three numbers for each segment: index into `files` or `ZEROS_FILE`, offset, length. */
  readonly segments: Float64Array;
}

/** Files in columns: an object for each would cost more to send than its file to read, where that is small. */
export interface FileTable {
  /** One after the other. */
  readonly paths: Uint8Array;
  /** Where each path ends. */
  readonly ends: Uint32Array;
  /** Two numbers for each file: device, size. */
  readonly numbers: Float64Array;
  /** Three for each file: inode (signed, as Node has it), mtime and ctime in nanoseconds. */
  readonly longs: BigInt64Array;
  /** Identities that do not fit these: without a ctime, or with a number of more than 64 bits. */
  readonly unusual: ReadonlyMap<number, FileIdentity>;
}

/** @throws RangeError if there is no such file */
export function pathOf({ paths, ends }: FileTable, file: number): Buffer {
  const end = ends[file];
  if (end === undefined) throw new RangeError(`the task has no file ${file}`);
  const start = file === 0 ? 0 : (ends[file - 1] ?? 0);
  return Buffer.from(paths.buffer, paths.byteOffset + start, end - start);
}

export function identityOfFile({ numbers, longs, unusual }: FileTable, file: number): FileIdentity {
  const known = unusual.size === 0 ? undefined : unusual.get(file);
  if (known !== undefined) return known;
  return {
    dev: numbers[file * 2] ?? 0,
    ino: longs[file * 3] ?? 0n,
    size: numbers[file * 2 + 1] ?? 0,
    mtimeNs: longs[file * 3 + 1] ?? 0n,
    ctimeNs: longs[file * 3 + 2] ?? 0n,
  };
}

export function tableOf(files: readonly FileOfJob[]): FileTable {
  const ends = new Uint32Array(files.length);
  const numbers = new Float64Array(files.length * 2);
  const longs = new BigInt64Array(files.length * 3);
  const unusual = new Map<number, FileIdentity>();
  let length = 0;
  for (const [i, { path }] of files.entries()) ends[i] = length += path.length;
  const paths = new Uint8Array(length);
  for (const [i, { path, identity }] of files.entries()) {
    paths.set(path, (ends[i] ?? 0) - path.length);
    const { dev, ino, size, mtimeNs, ctimeNs } = identity;
    numbers[i * 2] = dev;
    numbers[i * 2 + 1] = size;
    longs[i * 3] = ino;
    longs[i * 3 + 1] = mtimeNs;
    longs[i * 3 + 2] = ctimeNs ?? 0n;
    if (ctimeNs === undefined || !fits(ino) || !fits(mtimeNs) || !fits(ctimeNs)) unusual.set(i, identity);
  }
  return { paths, ends, numbers, longs, unusual };
}

function fits(ns: bigint): boolean {
  return BigInt.asIntN(64, ns) === ns;
}

type FileOfJob = Extract<HashSegment, { readonly path: Buffer }>;

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
  const files: FileOfJob[] = [];
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
        file = files.push(segment) - 1;
        known.set(segment.identity, file);
      }
      segments.push(file, segment.offset, segment.length);
    }
  }
  const table = tableOf(files);
  return { control, openFiles, sources, files: table, counts, leaves, segments: Float64Array.from(segments) };
}

/** The memory of a task that is the task's alone, to be handed over with it. */
export function ownMemory({ files, counts, leaves, segments }: HashTask): ArrayBuffer[] {
  const arrays = [files.paths, files.ends, files.numbers, files.longs, counts, leaves, segments];
  return arrays.map(({ buffer }) => buffer as ArrayBuffer);
}

function sameBytes(a: Buffer | undefined, b: Buffer): boolean {
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
