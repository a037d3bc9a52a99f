/** The hash pool's contract: SHA-1 over lists of ranges of files, computed off the main thread. */

/** What a file must still be, by fstat, before and after its bytes are read: hashing never half-believes a change. */
export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
  /** Bytes. */
  readonly size: number;
  /** As Node's `Stats.mtimeMs`: milliseconds with a fraction. */
  readonly mtimeMs: number;
}

export type HashSegment =
  | {
      readonly path: Buffer;
      readonly offset: number;
      readonly length: number;
      /** Segments of one file are cheapest when they share one object: it is sent, opened and checked once for them. */
      readonly identity: FileIdentity;
    }
  /** Zeros: a pad file's bytes. */
  | { readonly zeros: number };

/** One digest is wanted over the segments, end to end. */
export type HashJob = readonly HashSegment[];

/** `changed`: not the recorded identity, before or after reading. `unreadable`: an errno or a short read. */
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
  /** Results in the order of `jobs`. Rejects with the signal's reason when aborted. */
  hash(jobs: readonly HashJob[], options?: HashOptions): Promise<HashResult[]>;
  close(): Promise<void>;
}
