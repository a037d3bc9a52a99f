/**
 * statx(2) of open files, into one buffer that is used again and again: a look that costs a microsecond, and allocates
 * nothing.
 *
 * Only for file systems that answer from memory: the call is made in the thread that asks.
 */
import type { CLibrary, LoadedLibrary } from './c-library.ts';
import { inThread, terminated } from './in-thread.ts';
import { deviceOf } from './mountinfo.ts';
import { fromNanoseconds } from './timestamp.ts';

/** statx(2), since Linux 4.11: its structure is the same on all machines. */
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_NO_AUTOMOUNT = 0x800;
const AT_EMPTY_PATH = 0x1000;
/** Answers with what is known, and asks no server. */
const AT_STATX_DONT_SYNC = 0x4000;
/** STATX_TYPE | STATX_MTIME | STATX_CTIME | STATX_SIZE. */
const LOOK = 0x1 | 0x40 | 0x80 | 0x200;
/** These, STATX_INO and STATX_BLOCKS. */
const WHOLE_LOOK = LOOK | 0x100 | 0x400;
/** Since Linux 5.8. */
const STATX_MNT_ID = 0x1000;
const STATX_BYTES = 256;
/** Offsets in words of 32 bits. A time has seconds in two words, then nanoseconds. */
const MASK_AT = 0;
const MODE_AT = 7;
const INO_AT = 8;
const SIZE_AT = 10;
const BLOCKS_AT = 12;
const CTIME_AT = 24;
const MTIME_AT = 28;
const DEV_MAJOR_AT = 34;
const DEV_MINOR_AT = 35;
const MNT_ID_AT = 36;
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;

/** Machines with little-endian numbers. */
const MACHINES: ReadonlySet<string> = new Set(['x64', 'arm64', 'riscv64', 'loong64']);

/** What a look compares, as the kernel writes it. Made once, compared often. */
export interface StatxWords {
  readonly size: readonly [low: number, high: number];
  readonly mtime: readonly [low: number, high: number, nanoseconds: number];
  /** Absent: it may be any. */
  readonly ctime?: readonly [low: number, high: number, nanoseconds: number] | undefined;
}

export interface StatxCalls {
  /** Tells if an open file is regular, and its size and times are these. False also if the look fails. */
  readonly isStill: (fd: number, words: StatxWords) => boolean;
  /**
   * Tells if an open file is regular, and is the one with these numbers, of this state: the bytes on its disk, in blocks of 512;
   * undefined if it is not, or the look fails.
   */
  readonly blocksOf: (fd: number, dev: number, ino: bigint, words: StatxWords) => number | undefined;
  /** The id of the mount that a path is on (`MountedAt.id`). Undefined if that fails. */
  readonly mountOfSync: (path: Buffer) => number | undefined;
  /** Does the same in a thread of libuv. */
  readonly mountOf: (path: Buffer) => Promise<number | undefined>;
  /** The id of the mount that an open file is on. Asks no server, even of a network file system. */
  readonly mountOfOpen: (fd: number) => number | undefined;
}

export function loadStatx(library: CLibrary): StatxCalls | undefined {
  if (!MACHINES.has(process.arch)) return undefined;
  return library.ability('looks at open files take longer', declareStatx);
}

/** @throws if the C library or the kernel has no statx */
function declareStatx({ func }: LoadedLibrary): StatxCalls {
  const statx = func('int statx(int folder, const void *name, int flags, unsigned int mask, void *result)');
  const itself = Buffer.of(0);
  const words = new Uint32Array(STATX_BYTES / 4);
  const longs = new BigInt64Array(words.buffer);
  const bytes = Buffer.from(words.buffer);
  // Node's process has a root folder in any case.
  if (statx(AT_FDCWD, Buffer.from('/\0'), 0, LOOK, bytes) !== 0) throw new Error('the kernel has no statx');
  const isTime = (at: number, [low, high, nanoseconds]: readonly [number, number, number]): boolean =>
    words[at] === low && words[at + 1] === high && words[at + 2] === nanoseconds;
  const isFound = ({ size, mtime, ctime }: StatxWords): boolean =>
    ((words[MODE_AT] ?? 0) & S_IFMT) === S_IFREG &&
    words[SIZE_AT] === size[0] &&
    words[SIZE_AT + 1] === size[1] &&
    isTime(MTIME_AT, mtime) &&
    (ctime === undefined || isTime(CTIME_AT, ctime));
  const mountIn = (found: Uint32Array): number | undefined =>
    ((found[MASK_AT] ?? 0) & STATX_MNT_ID) === 0 ? undefined : found[MNT_ID_AT];
  const ofPath = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
  return {
    isStill: (fd, wanted) => statx(fd, itself, AT_EMPTY_PATH, LOOK, bytes) === 0 && isFound(wanted),
    blocksOf(fd, dev, ino, wanted) {
      if (statx(fd, itself, AT_EMPTY_PATH, WHOLE_LOOK, bytes) !== 0 || !isFound(wanted)) return undefined;
      if (longs[INO_AT / 2] !== ino) return undefined;
      if (deviceOf(words[DEV_MAJOR_AT] ?? 0, words[DEV_MINOR_AT] ?? 0) !== dev) return undefined;
      return (words[BLOCKS_AT + 1] ?? 0) * 2 ** 32 + (words[BLOCKS_AT] ?? 0);
    },
    mountOfSync: (path) =>
      statx(AT_FDCWD, terminated(path), ofPath, STATX_MNT_ID, bytes) === 0 ? mountIn(words) : undefined,
    async mountOf(path) {
      const own = new Uint32Array(STATX_BYTES / 4);
      const failed = await inThread(statx, AT_FDCWD, terminated(path), ofPath, STATX_MNT_ID, Buffer.from(own.buffer));
      return failed === 0 ? mountIn(own) : undefined;
    },
    mountOfOpen: (fd) =>
      statx(fd, itself, AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, bytes) === 0 ? mountIn(words) : undefined,
  };
}

/** Writes a size in bytes and times in nanoseconds as the kernel does. */
export function statxWords(size: number, mtimeNs: bigint, ctimeNs: bigint | undefined): StatxWords {
  return {
    size: [size >>> 0, Math.floor(size / 2 ** 32)],
    mtime: timeWords(mtimeNs),
    ctime: ctimeNs === undefined ? undefined : timeWords(ctimeNs),
  };
}

function timeWords(ns: bigint): [number, number, number] {
  const { seconds, nanoseconds } = fromNanoseconds(ns);
  return [seconds >>> 0, Math.floor(seconds / 2 ** 32) >>> 0, nanoseconds];
}
