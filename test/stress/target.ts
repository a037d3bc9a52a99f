/** A target of operations: an ordinary folder, the vfs, a mount. */
import type { Observed, Operation } from './operation.ts';

/** The fields of stat(2), except those on which two file systems need not agree. Times in nanoseconds. */
export interface Stat {
  /** With the bits of the type. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly rdev: number;
  readonly ino: number;
  readonly mtime: bigint;
  readonly ctime: bigint;
}

export interface Request {
  readonly operation: Operation;
  /** The bytes that a write writes. */
  readonly data?: Buffer;
  readonly observe: readonly {
    readonly target: Observed;
    /** The kernel may have stale attributes of it, since it has several names: ask the server. */
    readonly fresh: boolean;
  }[];
}

export interface Outcome {
  /** The errno's name, if it failed. */
  readonly error?: string;
  /** Bytes written, a link's target, the names in a folder, sorted. */
  readonly value?: number | string | readonly string[];
  /** Bytes read. */
  readonly bytes?: Buffer;
  /** True if the written bytes were there already. The reference reports it. */
  readonly identical?: boolean;
  /** In the order of `observe`; none for paths that do not exist. */
  readonly before: readonly (Stat | undefined)[];
  readonly after: readonly (Stat | undefined)[];
  /** Nanoseconds since the epoch. */
  readonly started: bigint;
}

export interface TreeEntry extends Stat {
  readonly path: string;
  /** Hash of a file's bytes. */
  readonly hash?: string;
  /** Readable bytes of a file. */
  readonly read?: number;
  /** Target of a symlink. */
  readonly target?: string;
}

export interface Target {
  readonly name: string;
  run(request: Request): Promise<Outcome>;
  /** The root, whose path is `''`, and everything below it: every folder before its contents, names in order. */
  tree(): Promise<readonly TreeEntry[]>;
  content(path: string): Promise<Buffer>;
}
