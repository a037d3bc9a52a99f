/**
 * The limits of a target, each with its reason. The generator does not ask for these, or the comparison allows for them. The
 * list may get shorter, but longer only with a reason.
 */
export type Ability =
  /** fallocate(2): preallocation, punched holes, zeroed ranges. */
  | 'fallocate'
  /** renameat2(2) with RENAME_NOREPLACE and RENAME_EXCHANGE. */
  | 'renameFlags'
  /** One file open through two of its names at the same time. */
  | 'aliases'
  /** Names that are not UTF-8. */
  | 'bytesAsNames'
  /** Times to the nanosecond. */
  | 'nanoseconds'
  /** Times before 1970. */
  | 'negativeTimes'
  /** utimensat(2) of one time alone, the other one being UTIME_OMIT. */
  | 'omittedTimes'
  /** rename(2) over a file that is open, as one step also for a server that is killed in the middle. */
  | 'atomicReplace'
  /** rename(2) of one name of an open file to another one, which does nothing. */
  | 'renameToItself'
  /** A file that is still open when its folder has been removed, too. */
  | 'orphansOfGoneFolders'
  /** fstat(2) of a directory that was deleted while it was open: it has no names, and still exists. */
  | 'orphanDirectories'
  /** The link count that fstat(2) reports of a file that has lost a name while it was open. */
  | 'orphanLinkCounts';

export interface Limits {
  readonly lacks: Readonly<Partial<Record<Ability, string>>>;
}

export const NO_LIMITS: Limits = { lacks: {} };

export const FUSE_NATIVE: Limits = {
  lacks: {
    fallocate: 'fuse-native has no fallocate handler: EOPNOTSUPP',
    renameFlags: 'libfuse 2 speaks a protocol without RENAME2: the kernel answers EINVAL by itself',
    aliases: 'libfuse 2 is path-based: two names of a file are two inodes of the kernel, with a page cache each',
    bytesAsNames: 'fuse-native puts U+FFFD into names that are not UTF-8, so that they cannot be told apart: EILSEQ',
    nanoseconds: 'fuse-native passes times in milliseconds, as doubles, both ways',
    negativeTimes: 'fuse-native takes a time apart as two unsigned numbers',
    omittedTimes:
      'libfuse 2 asks its file system for nothing, and says that it is done (fuse-native lacks utime_omit_ok)',
    atomicReplace: 'libfuse 2 renames an open file that is in the way to a hidden name first: two requests',
    renameToItself:
      'libfuse 2 renames an open file that is in the way to a hidden name first: then it is no other name',
    orphansOfGoneFolders:
      'libfuse 2 names also a deleted file by a path, through the folder: ENOENT when that has gone',
    orphanDirectories:
      'libfuse 2 asks for the attributes of a directory by its path, also where it is open, and forgets the path: ENOENT',
    orphanLinkCounts: 'libfuse 2 takes one away for the hidden name of a deleted file, and fuse-native makes 1 of 0',
  },
};

/** The limits of a mount. */
export const limitsOf = (driver: string): Limits => (driver === 'kernel' ? NO_LIMITS : FUSE_NATIVE);

export const can = (limits: Limits, ability: Ability): boolean => limits.lacks[ability] === undefined;
