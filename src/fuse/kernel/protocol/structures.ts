/**
 * The kernel's FUSE protocol as numbers: opcodes, the layout of each structure, flags. Linux calls these by the names in
 * `include/uapi/linux/fuse.h`; here they have our spelling. All integers are little-endian, as every machine that we run on.
 *
 * The protocol has versions 7.x. We speak 7.31 (Linux 5.4) to 7.46; what a later version than 7.31 brought says so.
 *
 * A *message* is what one read(2) of /dev/fuse gives: a request, or what one write(2) to it takes: a reply or a
 * notification. Each begins with a header that has the length of the whole.
 */

export const MAJOR = 7;
export const OLDEST_MINOR = 31;
export const NEWEST_MINOR = 46;

export const Opcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  CREATE: 35,
  INTERRUPT: 36,
  DESTROY: 38,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  /** 7.34. */
  SYNCFS: 50,
  /** 7.39. */
  STATX: 52,
  /** 7.45. */
  COPY_FILE_RANGE_64: 53,
} as const;

/** The offset of each field in a structure, and the bytes of the whole. */
export interface Layout<Field extends string> {
  readonly at: Readonly<Record<Field, number>>;
  readonly bytes: number;
}

/** Lays out fields one after the other. `widths`: the bytes of each. The kernel's structures have no gaps of their own. */
function layout<Field extends string>(widths: Readonly<Record<Field, number>>): Layout<Field> {
  let bytes = 0;
  const at = {} as Record<Field, number>;
  for (const [field, width] of Object.entries(widths) as [Field, number][]) {
    at[field] = bytes;
    bytes += width;
  }
  return { at, bytes };
}

/** The header of a request. `extensions` counts units of 8 bytes at the end of the message (7.38; zero before). */
export const IN_HEADER = layout({
  length: 4,
  opcode: 4,
  unique: 8,
  node: 8,
  uid: 4,
  gid: 4,
  pid: 4,
  extensions: 2,
  padding: 2,
});
/** The header of a reply (`error`: 0 or a negative errno), and of a notification (its code as `error`, `unique` 0). */
export const OUT_HEADER = layout({ length: 4, error: 4, unique: 8 });

export const FORGET_IN = layout({ lookups: 8 });
export const BATCH_FORGET_IN = layout({ count: 4, dummy: 4 });
export const FORGET_ONE = layout({ node: 8, lookups: 8 });
export const GETATTR_IN = layout({ flags: 4, dummy: 4, handle: 8 });
export const SETATTR_IN = layout({
  valid: 4,
  padding: 4,
  handle: 8,
  size: 8,
  lockOwner: 8,
  atime: 8,
  mtime: 8,
  ctime: 8,
  atimeNs: 4,
  mtimeNs: 4,
  ctimeNs: 4,
  mode: 4,
  unused1: 4,
  uid: 4,
  gid: 4,
  unused2: 4,
});
export const MKNOD_IN = layout({ mode: 4, rdev: 4, umask: 4, padding: 4 });
export const MKDIR_IN = layout({ mode: 4, umask: 4 });
export const RENAME_IN = layout({ newParent: 8 });
export const RENAME2_IN = layout({ newParent: 8, flags: 4, padding: 4 });
export const LINK_IN = layout({ oldNode: 8 });
export const OPEN_IN = layout({ flags: 4, openFlags: 4 });
export const CREATE_IN = layout({ flags: 4, mode: 4, umask: 4, openFlags: 4 });
export const RELEASE_IN = layout({ handle: 8, flags: 4, releaseFlags: 4, lockOwner: 8 });
export const FLUSH_IN = layout({ handle: 8, unused: 4, padding: 4, lockOwner: 8 });
export const READ_IN = layout({
  handle: 8,
  offset: 8,
  size: 4,
  readFlags: 4,
  lockOwner: 8,
  flags: 4,
  padding: 4,
});
export const WRITE_IN = layout({
  handle: 8,
  offset: 8,
  size: 4,
  writeFlags: 4,
  lockOwner: 8,
  flags: 4,
  padding: 4,
});
export const FSYNC_IN = layout({ handle: 8, flags: 4, padding: 4 });
/** Without `SETXATTR_EXT`, which we do not ask for: with it the structure has 16 bytes. */
export const SETXATTR_IN = layout({ size: 4, flags: 4 });
export const GETXATTR_IN = layout({ size: 4, padding: 4 });
/** Kernels before 7.36 send the first four fields only. */
export const INIT_IN = layout({ major: 4, minor: 4, maxReadahead: 4, flags: 4, flags2: 4, unused: 44 });
export const INIT_IN_BYTES_BEFORE_36 = 16;
export const INTERRUPT_IN = layout({ unique: 8 });
export const FALLOCATE_IN = layout({ handle: 8, offset: 8, length: 8, mode: 4, padding: 4 });
export const LSEEK_IN = layout({ handle: 8, offset: 8, whence: 4, padding: 4 });
export const COPY_FILE_RANGE_IN = layout({
  handle: 8,
  offset: 8,
  toNode: 8,
  toHandle: 8,
  toOffset: 8,
  length: 8,
  flags: 8,
});
export const STATX_IN = layout({ getattrFlags: 4, reserved: 4, handle: 8, flags: 4, mask: 4 });

export const ATTR = layout({
  ino: 8,
  size: 8,
  blocks: 8,
  atime: 8,
  mtime: 8,
  ctime: 8,
  atimeNs: 4,
  mtimeNs: 4,
  ctimeNs: 4,
  mode: 4,
  nlink: 4,
  uid: 4,
  gid: 4,
  rdev: 4,
  blksize: 4,
  flags: 4,
});
export const ENTRY_OUT = layout({
  node: 8,
  generation: 8,
  entryValid: 8,
  attrValid: 8,
  entryValidNs: 4,
  attrValidNs: 4,
  attr: ATTR.bytes,
});
export const ATTR_OUT = layout({ attrValid: 8, attrValidNs: 4, dummy: 4, attr: ATTR.bytes });
export const OPEN_OUT = layout({ handle: 8, flags: 4, backing: 4 });
export const WRITE_OUT = layout({ size: 4, padding: 4 });
export const STATFS_OUT = layout({
  blocks: 8,
  bfree: 8,
  bavail: 8,
  files: 8,
  ffree: 8,
  bsize: 4,
  namelen: 4,
  frsize: 4,
  padding: 4,
  spare: 24,
});
export const GETXATTR_OUT = layout({ size: 4, padding: 4 });
export const LSEEK_OUT = layout({ offset: 8 });
export const COPY_FILE_RANGE_64_OUT = layout({ copied: 8 });
export const INIT_OUT = layout({
  major: 4,
  minor: 4,
  maxReadahead: 4,
  flags: 4,
  maxBackground: 2,
  congestionThreshold: 2,
  maxWrite: 4,
  timeGranularity: 4,
  maxPages: 2,
  mapAlignment: 2,
  flags2: 4,
  maxStackDepth: 4,
  requestTimeout: 2,
  unused: 22,
});
/** Bytes of the reply that only names the major version. */
export const INIT_OUT_OF_OTHER_MAJOR = 8;
/** The name follows, filled up with zeros to a multiple of 8 bytes. */
export const DIRENT = layout({ ino: 8, offset: 8, nameLength: 4, type: 4 });

export const SX_TIMESTAMP = layout({ seconds: 8, nanoseconds: 4, reserved: 4 });
export const STATX = layout({
  mask: 4,
  blksize: 4,
  attributes: 8,
  nlink: 4,
  uid: 4,
  gid: 4,
  mode: 2,
  spare0: 2,
  ino: 8,
  size: 8,
  blocks: 8,
  attributesMask: 8,
  atime: SX_TIMESTAMP.bytes,
  btime: SX_TIMESTAMP.bytes,
  ctime: SX_TIMESTAMP.bytes,
  mtime: SX_TIMESTAMP.bytes,
  rdevMajor: 4,
  rdevMinor: 4,
  devMajor: 4,
  devMinor: 4,
  spare2: 112,
});
export const STATX_OUT = layout({ attrValid: 8, attrValidNs: 4, flags: 4, spare: 16, stat: STATX.bytes });

export const Notification = { INVAL_INODE: 2, INVAL_ENTRY: 3, DELETE: 6 } as const;
export const INVAL_INODE_OUT = layout({ node: 8, offset: 8, length: 8 });
/** The name and a NUL follow, which `nameLength` does not count. */
export const INVAL_ENTRY_OUT = layout({ parent: 8, nameLength: 4, flags: 4 });
export const DELETE_OUT = layout({ parent: 8, child: 8, nameLength: 4, padding: 4 });
/** Of `INVAL_ENTRY_OUT.flags` (7.38): the name stays in use, and is looked up again. */
export const EXPIRE_ONLY = 1;

/** Of `SETATTR_IN.valid`: which fields count. */
export const SetattrValid = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  HANDLE: 1 << 6,
  ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8,
  CTIME: 1 << 10,
  /** 7.33. */
  KILL_SUIDGID: 1 << 11,
} as const;
/** Of `GETATTR_IN.flags`: the handle counts. */
export const GETATTR_HANDLE = 1;
/** Of `OPEN_IN.openFlags` (7.33). */
export const OPEN_KILL_SUIDGID = 1;
export const WriteFlag = { FROM_CACHE: 1, LOCK_OWNER: 2, KILL_SUIDGID: 4 } as const;
export const RELEASE_FLUSH = 1;
export const FSYNC_DATA_ONLY = 1;

/** Of `OPEN_OUT.flags`. */
export const OpenReplyFlag = {
  /** Reads and writes go past the page cache. */
  DIRECT_IO: 1 << 0,
  /** The open keeps what the page cache holds of the file. */
  KEEP_CACHE: 1 << 1,
  NONSEEKABLE: 1 << 2,
  /** Of a directory: its listing may be cached. */
  CACHE_DIR: 1 << 3,
  /** 7.35: no FLUSH at close(2). */
  NO_FLUSH: 1 << 5,
  /** 7.38: writes past the page cache may run side by side. */
  PARALLEL_DIRECT_WRITES: 1 << 6,
  /** 7.40: reads and writes go to the file that `backing` names. */
  PASSTHROUGH: 1 << 7,
} as const;

/** The flags of INIT: 64 bits, of which kernels before 7.36 know the lower half. */
export const InitFlag = {
  ASYNC_READ: 1n << 0n,
  POSIX_LOCKS: 1n << 1n,
  ATOMIC_O_TRUNC: 1n << 3n,
  EXPORT_SUPPORT: 1n << 4n,
  BIG_WRITES: 1n << 5n,
  DONT_MASK: 1n << 6n,
  FLOCK_LOCKS: 1n << 10n,
  AUTO_INVAL_DATA: 1n << 12n,
  DO_READDIRPLUS: 1n << 13n,
  READDIRPLUS_AUTO: 1n << 14n,
  ASYNC_DIO: 1n << 15n,
  WRITEBACK_CACHE: 1n << 16n,
  NO_OPEN_SUPPORT: 1n << 17n,
  PARALLEL_DIROPS: 1n << 18n,
  HANDLE_KILLPRIV: 1n << 19n,
  POSIX_ACL: 1n << 20n,
  ABORT_ERROR: 1n << 21n,
  MAX_PAGES: 1n << 22n,
  CACHE_SYMLINKS: 1n << 23n,
  NO_OPENDIR_SUPPORT: 1n << 24n,
  EXPLICIT_INVAL_DATA: 1n << 25n,
  /** 7.33. */
  HANDLE_KILLPRIV_V2: 1n << 28n,
  /** 7.33. */
  SETXATTR_EXT: 1n << 29n,
  /** 7.36: `flags2` counts. */
  INIT_EXT: 1n << 30n,
  /** 7.38. */
  HAS_EXPIRE_ONLY: 1n << 35n,
  /** 7.39. */
  DIRECT_IO_ALLOW_MMAP: 1n << 36n,
  /** 7.40. */
  PASSTHROUGH: 1n << 37n,
} as const;

/** XATTR_SIZE_MAX and XATTR_LIST_MAX: no value and no list is longer. */
export const LONGEST_XATTR = 65_536;
/** No READ, READDIR or WRITE of ours has more bytes: INIT allows less. */
export const LARGEST_TRANSFER = 2 ** 28;
/** What a message may have beside the bytes that it carries: a page, in which every header and structure fits. */
export const MESSAGE_ROOM = 4096;
/** The kernel refuses to fill a smaller buffer (FUSE_MIN_READ_BUFFER). */
export const SMALLEST_BUFFER = 8192;
