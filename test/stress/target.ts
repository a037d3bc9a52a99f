/** Something that operations can be done to: an ordinary folder, the vfs, a mount. */
import type { Observed, Operation } from './operation.ts';

/** What stat(2) tells, but for what two file systems need not agree on. Times in nanoseconds. */
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
  /** What a write writes. */
  readonly data?: Buffer;
  readonly observe: readonly {
    readonly target: Observed;
    /** The kernel may remember it wrongly, since it has several names: ask the server. */
    readonly fresh: boolean;
  }[];
}

export interface Outcome {
  /** The errno's name, where it failed. */
  readonly error?: string;
  /** Bytes written, a link's target, the names in a folder, sorted. */
  readonly value?: number | string | readonly string[];
  /** Bytes read. */
  readonly bytes?: Buffer;
  /** The bytes that were written were there already. Told by the reference. */
  readonly identical?: boolean;
  /** In the order of `observe`; none of what is not there. */
  readonly before: readonly (Stat | undefined)[];
  readonly after: readonly (Stat | undefined)[];
  /** Nanoseconds since the epoch. */
  readonly started: bigint;
}

export interface TreeEntry extends Stat {
  readonly path: string;
  /** Of a file's bytes. */
  readonly hash?: string;
  /** Bytes that could be read of a file. */
  readonly read?: number;
  /** Of a symlink. */
  readonly target?: string;
}

export interface Target {
  readonly name: string;
  run(request: Request): Promise<Outcome>;
  /** The root, whose path is `''`, and all below it: every folder before what is in it, names in order. */
  tree(): Promise<readonly TreeEntry[]>;
  content(path: string): Promise<Buffer>;
}
