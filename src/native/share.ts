/**
 * System calls that share, link, copy and cut out parts of files: FICLONE (ioctl_ficlonerange(2)), linkat(2), lseek(2),
 * fallocate(2), futimens(3).
 * They may wait for a disk: for threads that have nothing else to do.
 */
import { fstatSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import type { CLibrary, LoadedLibrary } from './c-library.ts';
import { fromNanoseconds } from './timestamp.ts';

/** linux/fs.h. */
const FICLONE = 0x40049409;
const FICLONERANGE = 0x4020940d;
/** struct file_clone_range { s64 src_fd; u64 src_offset, src_length, dest_offset }. */
const CLONE_RANGE_FIELDS = 4;
const FS_IOC_GETFLAGS = 0x80086601;
const FS_IOC_SETFLAGS = 0x40086602;
/** Written in place, without checksums: `chattr +C`. */
const FS_NOCOW_FL = 0x00800000;
/** lseek(2). */
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const ENXIO = 6;
/** fallocate(2). */
const FALLOC_FL_KEEP_SIZE = 0x01;
const FALLOC_FL_PUNCH_HOLE = 0x02;
const EOPNOTSUPP = 95;
/** utimensat(2). */
const UTIME_OMIT = 0x3ffffffe;
/** linkat(2). */
const AT_FDCWD = -100;
const AT_SYMLINK_FOLLOW = 0x400;

/** Machines with a `long`, `off_t` and `time_t` of 64 bits, little-endian numbers, and these numbers of ioctls. */
const MACHINES: ReadonlySet<string> = new Set(['x64', 'arm64', 'riscv64', 'loong64']);

/** Bytes of a file: half-open. */
export interface DataPiece {
  readonly start: number;
  readonly end: number;
}

export interface ShareCalls {
  /**
   * Gives `to`, an empty file that is open for writing, all extents of `from`, and its size (FICLONE: btrfs, XFS, bcachefs and
   * others). False where the file system cannot, or the two lie on different ones.
   */
  readonly share: (from: number, to: number) => boolean;
  /** The same, told by the errno's name; undefined: it is done. */
  readonly shareError: (from: number, to: number) => string | undefined;
  /**
   * The same for the bytes from `start` to `end`, at the same place in `to`, which grows. `start` and `end` are multiples of the
   * file systems' blocks (at most 64 KiB); an `end` at or beyond the end of `from` means all that is left.
   */
  readonly shareRange: (from: number, to: number, start: number, end: number) => boolean;
  /** Gives an open file, which has a name, another name. Returns the errno's name; undefined: it is done. */
  readonly link: (fd: number, path: Buffer) => string | undefined;
  /** Finds the first data at or after `start`, up to `end`, that are no hole. Undefined if there are none. Moves the position. */
  readonly dataIn: (fd: number, start: number, end: number) => DataPiece | undefined;
  /** Makes a hole: the size stays, the mtime does not. False where the file system cannot. @throws Error with the errno */
  readonly punch: (fd: number, start: number, end: number) => boolean;
  /** Sets the mtime of an open file, in nanoseconds. False if that fails. */
  readonly setMtime: (fd: number, mtimeNs: bigint) => boolean;
}

export function loadShareCalls(library: CLibrary): ShareCalls | undefined {
  if (!MACHINES.has(process.arch)) return undefined;
  return library.ability('what would be lost of sources is not kept', declareShareCalls);
}

/** @throws if the C library lacks one of these functions */
function declareShareCalls({ koffi, func }: LoadedLibrary): ShareCalls {
  const ioctl = func('int ioctl(int fd, unsigned long request, int64_t value)');
  const ioctlOn = func('int ioctl(int fd, unsigned long request, void *value)');
  const lseek = func('int64_t lseek(int fd, int64_t offset, int whence)');
  const fallocate = func('int fallocate(int fd, int mode, int64_t offset, int64_t length)');
  const futimens = func('int futimens(int fd, const void *times)');
  const linkat = func('int linkat(int from, const char *path, int folder, const void *name, int flags)');
  const flags = Buffer.alloc(8);
  const times = new BigInt64Array(4);
  const timesBytes = Buffer.from(times.buffer);

  /** btrfs shares extents only between files of which both or none have checksums. */
  const becomeLike = (from: number, to: number): void => {
    if (ioctlOn(from, FS_IOC_GETFLAGS, flags) !== 0 || (flags.readUInt32LE() & FS_NOCOW_FL) === 0) return;
    if (ioctlOn(to, FS_IOC_GETFLAGS, flags) !== 0) return;
    flags.writeUInt32LE((flags.readUInt32LE() | FS_NOCOW_FL) >>> 0);
    ioctlOn(to, FS_IOC_SETFLAGS, flags);
  };
  const nameOf = (errno: number): string => {
    try {
      return getSystemErrorName(-errno);
    } catch {
      return `errno ${errno}`;
    }
  };
  const shareError = (from: number, to: number): string | undefined => {
    becomeLike(from, to);
    return ioctl(to, FICLONE, from) === 0 ? undefined : nameOf(koffi.errno());
  };
  const range = new BigInt64Array(CLONE_RANGE_FIELDS);
  const rangeBytes = Buffer.from(range.buffer);
  return {
    share: (from, to) => shareError(from, to) === undefined,
    shareError,
    shareRange(from, to, start, end) {
      if (start === 0) becomeLike(from, to);
      // 0: to the end of the file.
      const length = end < fstatSync(from).size ? end - start : 0;
      range.set([BigInt(from), BigInt(start), BigInt(length), BigInt(start)]);
      return ioctlOn(to, FICLONERANGE, rangeBytes) === 0;
    },
    link(fd, path) {
      const name = Buffer.concat([path, Buffer.alloc(1)]);
      const done = linkat(AT_FDCWD, `/proc/self/fd/${fd}`, AT_FDCWD, name, AT_SYMLINK_FOLLOW) === 0;
      return done ? undefined : nameOf(koffi.errno());
    },
    dataIn(fd, start, end) {
      let data = Number(lseek(fd, start, SEEK_DATA));
      if (data < 0) {
        if (koffi.errno() === ENXIO) return undefined;
        data = start;
      }
      if (data >= end) return undefined;
      const hole = Number(lseek(fd, data, SEEK_HOLE));
      return { start: data, end: hole <= data ? end : Math.min(hole, end) };
    },
    punch(fd, start, end) {
      if (start >= end) return true;
      if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, end - start) === 0) return true;
      const errno = koffi.errno();
      if (errno === EOPNOTSUPP) return false;
      throw new Error(`no hole can be made in a file: errno ${errno}`);
    },
    setMtime(fd, mtimeNs) {
      const { seconds, nanoseconds } = fromNanoseconds(mtimeNs);
      times.set([0n, BigInt(UTIME_OMIT), BigInt(seconds), BigInt(nanoseconds)]);
      return futimens(fd, timesBytes) === 0;
    },
  };
}
