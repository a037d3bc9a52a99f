/**
 * The system calls that Node does not offer, through koffi. Nothing here is needed to be right, only to be fast or
 * clean: each ability is an optional method, probed once by `loadLibc`, and its absence is one log line.
 *
 * Native code is called with memory addresses: lengths are checked here, before the call.
 */

import { closeSync, openSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import type * as KoffiModule from 'koffi';
import { messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Timestamp } from './timestamp.ts';

/** preadv2(2): answer from the page cache, or not at all. Linux 4.14, for reads of ordinary files. */
const RWF_NOWAIT = 8;
/** umount2(2). */
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
/** fcntl(2). */
const F_SETFD = 2;
const FD_CLOEXEC = 1;
/** posix_fadvise(2). */
const POSIX_FADV_WILLNEED = 3;
/** lseek(2). */
const SEEK_DATA = 3;
const ENXIO = 6;
/** utimensat(2), openat(2). */
const UTIME_OMIT = 0x3ffffffe;
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;

export interface Libc {
  /**
   * Reads up to `length` bytes at `position` into `buffer` from `offset` on, from the page cache only: it never waits
   * for a disk. The bytes read, 0 at the end of the file, -1 where it would have to wait or cannot tell (the caller
   * then reads the ordinary way, which reports errors).
   */
  readonly preadCached?: (fd: number, buffer: Buffer, offset: number, length: number, position: number) => number;
  /**
   * utimensat(2) in nanoseconds, of a file, not of what a symlink leads to; undefined leaves a time as it is. False where
   * it failed.
   */
  readonly setTimes?: (path: string, atime: Timestamp | undefined, mtime: Timestamp | undefined) => boolean;
  /** posix_fadvise(2), POSIX_FADV_WILLNEED: a range that is read soon, so that the disk reads it in one go. */
  readonly willNeed?: (fd: number, offset: number, length: number) => void;
  /**
   * lseek(2), SEEK_DATA: where the first bytes at `offset` or behind it are that do not lie in a hole; Infinity where there
   * are none, `offset` where it cannot tell. Moves the descriptor's position.
   */
  readonly seekData?: (fd: number, offset: number) => number;
  /** FD_CLOEXEC (fcntl(2)) for all descriptors that are open: children get none of them but those that are handed on. */
  readonly keepDescriptors?: () => void;
  /** umount2(2), away from the event loop, since it may have to wait for the server that calls it. */
  readonly unmount?: (path: string, lazy: boolean) => Promise<boolean>;
  /**
   * _exit(2): ends the process without taking it down piece by piece. Threads of libfuse may still take requests (a file
   * of a detached mount that is open elsewhere), and would find Node's memory freed: SIGSEGV. Close everything before.
   */
  readonly exitNow?: (code: number) => void;
  /** dlopen(3) for all that is loaded afterwards (RTLD_GLOBAL). Throws where the library cannot be loaded. */
  readonly loadGlobally?: (library: string) => void;
}

type Koffi = typeof KoffiModule;

export function loadLibc(logger: Logger): Libc {
  let koffi: Koffi;
  try {
    // Not an import: where no prebuilt binary exists, loading it throws, and everything but speed works without it.
    koffi = createRequire(import.meta.url)('koffi');
  } catch (error) {
    logger.warn(`koffi cannot be loaded, reads through the mount will be slower: ${messageOf(error)}`);
    return {};
  }
  try {
    return {
      ...cachedRead(koffi, logger),
      ...timeSetter(koffi),
      ...adviser(koffi),
      ...dataSeeker(koffi),
      keepDescriptors: descriptorKeeper(koffi),
      unmount: unmounter(koffi),
      exitNow: exiter(koffi),
      loadGlobally: (library) => void koffi.load(library, { global: true }),
    };
  } catch (error) {
    logger.warn(`the C library lacks a function that is asked of it: ${messageOf(error)}`);
    return {};
  }
}

function cachedRead(koffi: Koffi, logger: Logger): Pick<Libc, 'preadCached'> {
  const libc = koffi.load(null);
  const preadv2 = libc.func('int64_t preadv2(int fd, const void *iov, int count, int64_t offset, int flags)');
  // struct iovec { void *base; size_t length }, of 64 bits each on every platform that is supported.
  const iovec = new BigUint64Array(2);
  const iovecBytes = Buffer.from(iovec.buffer);
  const preadCached = (fd: number, buffer: Buffer, offset: number, length: number, position: number): number => {
    if (offset < 0 || length < 0 || offset + length > buffer.length) throw new RangeError('read outside of the buffer');
    iovec[0] = koffi.address(buffer) + BigInt(offset);
    iovec[1] = BigInt(length);
    return Number(preadv2(fd, iovecBytes, 1, position, RWF_NOWAIT));
  };
  if (is64Bit() && canReadCached(preadCached)) return { preadCached };
  logger.info('the kernel cannot read from the page cache alone (RWF_NOWAIT): every read takes a thread');
  return {};
}

function is64Bit(): boolean {
  return ['x64', 'arm64', 'riscv64', 'ppc64', 's390x', 'loong64'].includes(process.arch);
}

/** A file that was just read is in the page cache, unless its file system keeps none or the kernel is too old. */
function canReadCached(preadCached: NonNullable<Libc['preadCached']>): boolean {
  const fd = openSync(process.execPath, 'r');
  try {
    const buffer = Buffer.alloc(16);
    return preadCached(fd, buffer, 4, 8, 0) === 8 && buffer[4] !== 0 && buffer[3] === 0 && buffer[12] === 0;
  } finally {
    closeSync(fd);
  }
}

function timeSetter(koffi: Koffi): Pick<Libc, 'setTimes'> {
  if (!is64Bit()) return {};
  const utimensat = koffi.load(null).func('int utimensat(int folder, const char *path, const void *times, int flags)');
  const times = new BigInt64Array(4);
  const bytes = Buffer.from(times.buffer);
  return {
    setTimes: (path, atime, mtime) => {
      for (const [i, time] of [atime, mtime].entries()) {
        times[i * 2] = BigInt(time?.seconds ?? 0);
        times[i * 2 + 1] = BigInt(time?.nanoseconds ?? UTIME_OMIT);
      }
      return utimensat(AT_FDCWD, path, bytes, AT_SYMLINK_NOFOLLOW) === 0;
    },
  };
}

function adviser(koffi: Koffi): Pick<Libc, 'willNeed'> {
  if (!is64Bit()) return {};
  const fadvise = koffi.load(null).func('int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)');
  return { willNeed: (fd, offset, length) => void fadvise(fd, offset, length, POSIX_FADV_WILLNEED) };
}

function dataSeeker(koffi: Koffi): Pick<Libc, 'seekData'> {
  if (!is64Bit()) return {};
  const lseek = koffi.load(null).func('int64_t lseek(int fd, int64_t offset, int whence)');
  return {
    seekData: (fd, offset) => {
      const found = Number(lseek(fd, offset, SEEK_DATA));
      if (found >= 0) return found;
      return koffi.errno() === ENXIO ? Number.POSITIVE_INFINITY : offset;
    },
  };
}

function descriptorKeeper(koffi: Koffi): NonNullable<Libc['keepDescriptors']> {
  const fcntl = koffi.load(null).func('int fcntl(int fd, int command, ...)');
  return () => {
    for (const name of readdirSync('/proc/self/fd')) {
      if (Number(name) > 2) fcntl(Number(name), F_SETFD, 'int', FD_CLOEXEC);
    }
  };
}

function exiter(koffi: Koffi): NonNullable<Libc['exitNow']> {
  const exit = koffi.load(null).func('void _exit(int status)');
  return (code) => void exit(code);
}

function unmounter(koffi: Koffi): NonNullable<Libc['unmount']> {
  const umount2 = koffi.load(null).func('int umount2(const char *target, int flags)');
  return async (path, lazy) => {
    const flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0);
    const result = await new Promise<unknown>((resolve, reject) => {
      umount2.async(path, flags, (error: Error | null, value: unknown) => {
        if (error === null) resolve(value);
        else reject(error);
      });
    });
    return result === 0;
  };
}
