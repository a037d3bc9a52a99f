/** System calls on files: preadv2(2), utimensat(2), posix_fadvise(2), lseek(2). */
import { closeSync, openSync } from 'node:fs';
import type { CLibrary, LoadedLibrary } from './c-library.ts';
import type { Timestamp } from './timestamp.ts';

/** preadv2(2) with RWF_NOWAIT: answers from the page cache, or not at all. Linux 4.14, for reads of ordinary files. */
const RWF_NOWAIT = 8;
/** posix_fadvise(2). */
const POSIX_FADV_WILLNEED = 3;
/** lseek(2). */
const WHENCE = { data: 3, hole: 4 } as const;
const ENXIO = 6;
/** utimensat(2), openat(2). */
const UTIME_OMIT = 0x3ffffffe;
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;

/** Machines with a `size_t`, `off_t` and `time_t` of 64 bits, as declared here. */
const MACHINES: ReadonlySet<string> = new Set(['x64', 'arm64', 'riscv64', 'ppc64', 's390x', 'loong64']);

export interface FileCalls {
  /**
   * Reads up to `length` bytes at `position` into `buffer` from `offset` on, from the page cache only: it never waits for a
   * disk. Gives the number of bytes read, 0 at the end of the file, and -1 if it would have to wait or failed (the caller
   * then reads the ordinary way, which reports errors).
   */
  readonly preadCached?: (fd: number, buffer: Buffer, offset: number, length: number, position: number) => number;
  /**
   * Sets times in nanoseconds; for a symlink its own, not its target's. Undefined leaves a time unchanged. Gives false if the
   * call failed.
   */
  readonly setTimes?: (path: string, atime: Timestamp | undefined, mtime: Timestamp | undefined) => boolean;
  /** Announces that a range will be read soon (POSIX_FADV_WILLNEED), so that the disk reads it in one go. */
  readonly willNeed?: (fd: number, offset: number, length: number) => void;
  /**
   * Finds the first byte at or after `offset` that is not in a hole (SEEK_DATA), or that is in one (SEEK_HOLE; the end of the file
   * counts): Infinity if there is none. Where the file system cannot tell, all is data. Moves the descriptor's position.
   */
  readonly seek?: (fd: number, offset: number, to: keyof typeof WHENCE) => number;
}

export function loadFileCalls(library: CLibrary): FileCalls {
  if (!MACHINES.has(process.arch)) return {};
  const preadCached = library.ability('reads through the mount will be slower', declarePreadCached);
  const setTimes = library.ability('times are set in microseconds, not nanoseconds', declareSetTimes);
  const willNeed = library.ability('the disk is not told what will be read next', declareWillNeed);
  const seek = library.ability('holes are read like data', declareSeek);
  return {
    ...(preadCached === undefined ? {} : { preadCached }),
    ...(setTimes === undefined ? {} : { setTimes }),
    ...(willNeed === undefined ? {} : { willNeed }),
    ...(seek === undefined ? {} : { seek }),
  };
}

/** @throws if the kernel, or the file system of Node's own program, has no page cache to read from */
function declarePreadCached({ koffi, func }: LoadedLibrary): NonNullable<FileCalls['preadCached']> {
  const preadv2 = func('int64_t preadv2(int fd, const void *iov, int count, int64_t offset, int flags)');
  // struct iovec { void *base; size_t length }.
  const iovec = new BigUint64Array(2);
  const iovecBytes = Buffer.from(iovec.buffer);
  const preadCached = (fd: number, buffer: Buffer, offset: number, length: number, position: number): number => {
    if (offset < 0 || length < 0 || offset + length > buffer.length) throw new RangeError('read outside of the buffer');
    iovec[0] = koffi.address(buffer) + BigInt(offset);
    iovec[1] = BigInt(length);
    return Number(preadv2(fd, iovecBytes, 1, position, RWF_NOWAIT));
  };
  if (!canReadCached(preadCached)) throw new Error('the kernel cannot read from the page cache alone (RWF_NOWAIT)');
  return preadCached;
}

/** Reads Node's own program, which is in the page cache unless its file system has none or the kernel is too old. */
function canReadCached(preadCached: NonNullable<FileCalls['preadCached']>): boolean {
  const fd = openSync(process.execPath, 'r');
  try {
    const buffer = Buffer.alloc(16);
    return preadCached(fd, buffer, 4, 8, 0) === 8 && buffer[4] !== 0 && buffer[3] === 0 && buffer[12] === 0;
  } finally {
    closeSync(fd);
  }
}

function declareSetTimes({ func }: LoadedLibrary): NonNullable<FileCalls['setTimes']> {
  const utimensat = func('int utimensat(int folder, const char *path, const void *times, int flags)');
  const times = new BigInt64Array(4);
  const bytes = Buffer.from(times.buffer);
  return (path, atime, mtime) => {
    for (const [i, time] of [atime, mtime].entries()) {
      times[i * 2] = BigInt(time?.seconds ?? 0);
      times[i * 2 + 1] = BigInt(time?.nanoseconds ?? UTIME_OMIT);
    }
    return utimensat(AT_FDCWD, path, bytes, AT_SYMLINK_NOFOLLOW) === 0;
  };
}

function declareWillNeed({ func }: LoadedLibrary): NonNullable<FileCalls['willNeed']> {
  const fadvise = func('int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)');
  return (fd, offset, length) => void fadvise(fd, offset, length, POSIX_FADV_WILLNEED);
}

function declareSeek({ koffi, func }: LoadedLibrary): NonNullable<FileCalls['seek']> {
  const lseek = func('int64_t lseek(int fd, int64_t offset, int whence)');
  return (fd, offset, to) => {
    const found = Number(lseek(fd, offset, WHENCE[to]));
    if (found >= 0) return found;
    return to === 'hole' || koffi.errno() === ENXIO ? Number.POSITIVE_INFINITY : offset;
  };
}
