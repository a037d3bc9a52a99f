/**
 * The collection: the user's files under `[disks]`, and an index of them that answers batches of questions.
 *
 * Invariants:
 * - Paths on disk are bytes. `path` and `name` are Buffers from readdir to open and are never re-encoded.
 * - What the index says was true at the last rebuild. A candidate is looked at again (lstat) before it is believed.
 * - Each real file is indexed once by path: disks inside one another and folders mounted twice count once, symbolic links
 *   below a disk are not followed (their targets are found where they are), a disk may itself be one. Hard links are
 *   files of their own.
 * - A file that grew in place does not change its folder: a rebuild looks at the files of unchanged folders, too.
 * - A file that is still being written (`scan/growth.ts`) answers `byInode` alone, until a later rebuild.
 * - `ignore_files` hides a file that is in no release from `byNameAndSize`, `byName` and `bySize`; never from `trees`
 *   and `byInode`.
 * - A disk that is away keeps its records, through rebuilds, until it is no disk any more or was given up.
 * - What is no candidate is known by name, with why: `leftOut`. Of a folder the first thousand such names are.
 * - Archives (RAR sets and ZIPs) are known with the stored files in them, as they were when their folder was last read.
 *   What is compressed, encrypted or cut off in them is not.
 * - Names are compared normalised (`names.ts`): case folded, runs of space, `_`, `.`, `-` as one.
 */

export interface FolderRef {
  /** Means this folder in indexes of the same `version` only. */
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

/** A file that an archive holds uncompressed. `container/member-extents.ts` finds its bytes. */
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

export interface NameAndSize {
  /** Need not be normalised. */
  readonly name: string;
  readonly size: number;
}

/** Sizes are inclusive. */
export interface NameAndRange {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** At most so many answer, the smallest first. Default: all. */
  readonly limit?: number;
}

/** Sizes are inclusive. */
export interface SizeRange {
  readonly min: number;
  readonly max: number;
  readonly near: number;
  /** At most so many files answer. */
  readonly limit: number;
}

export interface ArchivedQuestion {
  readonly size: number;
  /** The base name, compared normalised. */
  readonly name?: string;
  readonly limit: number;
}

/** Sizes are inclusive. */
export interface LeftOutQuestion extends NameAndRange {
  /** At most so many answer. */
  readonly limit: number;
}

/**
 * Why something below a disk is no candidate: `ignore_files` matches it, it was still being written, it is a symbolic link, or its
 * folder does not let it be looked at.
 */
export type LeftOutCode = 'ignored' | 'growing' | 'link' | 'unreadable';

export interface LeftOutFile {
  /** Absolute. */
  readonly path: Buffer;
  /** Bytes, at the last rebuild; null: not known (`link`, `unreadable`). */
  readonly size: number | null;
  readonly code: LeftOutCode;
}

/** What the index knows of a path. */
export interface Indexed {
  /** The disk, or given folder, that holds the path; null: none does. */
  readonly disk: Buffer | null;
  /** `nothing`: it was not there at the last rebuild, or was left out without its name. */
  readonly kind: 'file' | 'folder' | 'left out' | 'nothing';
  /** Of a file that is no candidate, or a name that was left out. */
  readonly code?: LeftOutCode;
  /** Bytes, of a file. */
  readonly size?: number;
  /** The root of the release that holds it, if one does. */
  readonly release?: Buffer;
  /** When the last rebuild ended, milliseconds since 1970. */
  readonly builtMs: number;
}

export interface FileNumbers {
  readonly dev: number;
  readonly ino: bigint;
}

/**
 * Answers batches of questions, each batch in the order of its questions: an implementation may be a database over a
 * network. It answers from one state of the collection, even while that is being rebuilt.
 * @throws AutotorrentError('INDEX') from every method where the index cannot be read
 */
export interface CollectionIndex {
  /** Names the state that answers: folder ids mean the same in indexes of one `version`, and nothing in others. */
  readonly version: string;
  /** Finds files with this name and exactly this size, those of releases included. */
  byNameAndSize(questions: readonly NameAndSize[]): Promise<CollectionFile[][]>;
  /** Finds files with this name, of any size in the range; ordered by size. */
  byName(questions: readonly NameAndRange[]): Promise<CollectionFile[][]>;
  /** Finds files in a range of sizes, those nearest to `near` first. */
  bySize(questions: readonly SizeRange[]): Promise<CollectionFile[][]>;
  /** Finds files in archives, of exactly this size. Never those of 0 bytes. `ignore_files` hides them with their archive. */
  archived(questions: readonly ArchivedQuestion[]): Promise<ArchivedFile[][]>;
  /** Finds the roots of releases with this normalised name. */
  releases(names: readonly string[]): Promise<FolderRef[][]>;
  /** Finds folders of exactly this name (bytes), for the `exact` mode. */
  folders(names: readonly Buffer[]): Promise<FolderRef[][]>;
  /** Finds files of exactly this device and inode: where a moved source went. */
  byInode(questions: readonly FileNumbers[]): Promise<CollectionFile[][]>;
  /**
   * Finds what has this name and is no candidate: of a size in the range, then what has no size yet (`growing`), or none that is
   * known.
   */
  leftOut(questions: readonly LeftOutQuestion[]): Promise<LeftOutFile[][]>;
  /**
   * Finds the folders of disks that are away now, at or below which these paths lie. Null where the disk is there, or no disk of
   * the index would hold the path. What the index has on such a disk was there before it went: candidates on it are absent.
   */
  awayDisks(paths: readonly Buffer[]): Promise<(Buffer | null)[]>;
  /** Tells what it knows of these paths: absolute, as the user names the disks or with their links resolved. */
  known(paths: readonly Buffer[]): Promise<Indexed[]>;
  /** Gives everything below these folders. A folder that the index does not have gives an empty tree. */
  trees(folders: readonly number[]): Promise<FolderTree[]>;
  close(): Promise<void>;
}
