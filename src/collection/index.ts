/**
 * The collection: the user's files under `[disks]`, and an index of them that answers batches of questions.
 *
 * Invariants:
 * - Paths on disk are bytes. `path` and `name` are Buffers from readdir to open and are never re-encoded.
 * - What the index says was true at the last rebuild. A candidate is looked at again (lstat) before it is believed.
 * - Each real file is indexed once by path: disks inside one another and folders mounted twice count once, symbolic links
 *   below a disk are not followed (their targets are found where they are), a disk may itself be one. Hard links are
 *   files of their own.
 * - A file that grew in place does not change its folder: an incremental rebuild does not see it, the planner's look does.
 * - `ignore_files` hides a file that is in no release from `byNameAndSize`, `byName` and `bySize`; never from `trees`
 *   and `byInode`.
 * - Archives (RAR sets and ZIPs) are known with the stored files in them, as they were when their folder was last read.
 *   What is compressed, encrypted or cut off in them is not.
 * - Names are compared normalised (`names.ts`): case folded, runs of space, `_`, `.`, `-` as one.
 */

export interface FolderRef {
  /** Stable as long as the index is; of no meaning outside it. */
  readonly id: number;
  /** Absolute. */
  readonly path: Buffer;
}

export interface CollectionFile {
  readonly folder: number;
  /** Absolute. */
  readonly path: Buffer;
  readonly name: Buffer;
  /** Bytes, at the last rebuild. */
  readonly size: number;
  /** The release (see `release.ts`) whose root contains the file: it is matched inside that release only. */
  readonly release: number | null;
}

/** A file that lies, stored, in an archive. `container/member-extents.ts` says where its bytes are now. */
export interface ArchivedFile {
  /** The archive's first volume. */
  readonly archive: CollectionFile;
  /** As the archive has it, with `/` between components. */
  readonly name: Buffer;
  readonly size: number;
}

/** A release or a folder as a whole: the files below it, with components relative to it. */
export interface FolderTree {
  readonly root: FolderRef;
  readonly name: Buffer;
  readonly files: readonly { readonly file: CollectionFile; readonly relative: readonly Buffer[] }[];
}

/**
 * Questions come in batches and the answers in the same order; an implementation may be a database over a network.
 * Throws `AutotorrentError('INDEX')` where the index cannot be read.
 */
export interface CollectionIndex {
  /**
   * Files with this normalised name and exactly this size, releases' files included. A name need not be normalised yet.
   */
  byNameAndSize(questions: readonly { readonly name: string; readonly size: number }[]): Promise<CollectionFile[][]>;
  /** Files with this normalised name, of any size from `min` to `max` (both inclusive), by size. */
  byName(
    questions: readonly { readonly name: string; readonly min: number; readonly max: number }[],
  ): Promise<CollectionFile[][]>;
  /** Files of `min` to `max` bytes (both inclusive), those nearest to `near` first; at most `limit` of them. */
  bySize(
    questions: readonly {
      readonly min: number;
      readonly max: number;
      readonly near: number;
      readonly limit: number;
    }[],
  ): Promise<CollectionFile[][]>;
  /**
   * Files inside archives of exactly this size, at most `limit` of them; with a name only those whose base name is that,
   * normalised. None of 0 bytes. They are hidden with their archive by `ignore_files`.
   */
  archived(
    questions: readonly { readonly size: number; readonly name?: string; readonly limit: number }[],
  ): Promise<ArchivedFile[][]>;
  /** Release roots with this normalised name. */
  releases(names: readonly string[]): Promise<FolderRef[][]>;
  /** Folders of exactly this name (bytes), for the `exact` mode. */
  folders(names: readonly Buffer[]): Promise<FolderRef[][]>;
  /** Files of exactly this device and inode: where a moved source went. */
  byInode(questions: readonly { readonly dev: number; readonly ino: number }[]): Promise<CollectionFile[][]>;
  /** Everything below these folders. A folder that the index no longer has gives an empty tree. */
  trees(folders: readonly number[]): Promise<FolderTree[]>;
  close(): Promise<void>;
}
