/**
 * The contract of a hash pool: it digests lists of ranges of files, off the main thread.
 *
 * A digest is a SHA-1 (v1 pieces) or the root of a merkle tree of SHA-256 (v2 pieces and whole files, BEP 52).
 */

import type { FileIdentity } from '../source/identity.ts';

export type HashSegment =
  | {
      readonly path: Buffer;
      readonly offset: number;
      readonly length: number;
      /**
       * The file must have this identity, by fstat, before and after its bytes are read.
       * Segments of one file should share one object: the file is then sent, opened and checked once for them.
       */
      readonly identity: FileIdentity;
      /** A look of this run found the file so (`match/look.ts`): the identity is no record of an earlier time. */
      readonly seen?: boolean | undefined;
    }
  /** Zeros: a pad file's bytes. */
  | { readonly zeros: number };

/** The SHA-1 over the segments, end to end: 20 bytes. */
export type Sha1Job = readonly HashSegment[];

/** The root of the merkle tree over the segments, end to end, cut into blocks of 16 KiB: 32 bytes. */
export interface MerkleJob {
  readonly segments: readonly HashSegment[];
  /** Leaves of the tree: a power of two, at least one for each block. The others are padding. */
  readonly leaves: number;
}

/** Asks for one digest. Jobs are cheapest in the order in which their bytes lie in their files. */
export type HashJob = Sha1Job | MerkleJob;

/** `changed`: the file was not as recorded, before or after reading. `unreadable`: an errno or a short read. */
export type HashResult =
  | { readonly digest: Buffer }
  | { readonly failed: 'changed' | 'unreadable'; readonly message: string };

export interface HashProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface HashOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: HashProgress) => void;
}

export interface HashPool {
  /** Hashes. Results come in the order of `jobs`. Rejects with the signal's reason when aborted. */
  hash(jobs: readonly HashJob[], options?: HashOptions): Promise<HashResult[]>;
  close(): Promise<void>;
}

export function isMerkle(job: HashJob): job is MerkleJob {
  return 'leaves' in job;
}

export function segmentsOf(job: HashJob): readonly HashSegment[] {
  return isMerkle(job) ? job.segments : job;
}

/** Counts the bytes of a job, zeros included. */
export function jobBytes(job: HashJob): number {
  let bytes = 0;
  for (const segment of segmentsOf(job)) bytes += 'zeros' in segment ? segment.zeros : segment.length;
  return bytes;
}
