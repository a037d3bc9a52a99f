/**
 * What a target cannot do, each with its reason. The generator does not ask for it, or the comparison allows for it:
 * a list that gets shorter, never longer without a reason.
 */
export type Ability =
  /** fallocate(2): preallocation, punched holes, zeroed ranges. */
  | 'fallocate'
  /** renameat2(2) with RENAME_NOREPLACE and RENAME_EXCHANGE. */
  | 'renameFlags'
  /** One file open through two of its names at the same time. */
  | 'aliases'
  /** Times to the nanosecond. */
  | 'nanoseconds'
  /** Times before 1970. */
  | 'negativeTimes'
  /** utimensat(2) with an mtime that is not the atime, with UTIME_NOW and with UTIME_OMIT. */
  | 'separateTimes'
  /** rename(2) over a file that is open, as one step also for a server that is killed in the middle. */
  | 'atomicReplace'
  /** A file that is open still when its folder has gone, too. */
  | 'orphansOfGoneFolders'
  /** The count of names of a file that is open and has lost one of them. */
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
    nanoseconds: 'fuse-native passes times in milliseconds, as doubles, both ways',
    negativeTimes: 'fuse-native takes a time apart as two unsigned numbers',
    separateTimes: 'fuse-native sets the mtime to the atime, and passes UTIME_NOW and UTIME_OMIT as if they were times',
    atomicReplace: 'libfuse 2 renames an open file that is in the way to a hidden name first: two requests',
    orphansOfGoneFolders:
      'libfuse 2 names also a deleted file by a path, through the folder: ENOENT when that has gone',
    orphanLinkCounts: 'libfuse 2 renames a file that is unlinked while open: its count of names stays',
  },
};

export const can = (limits: Limits, ability: Ability): boolean => limits.lacks[ability] === undefined;
