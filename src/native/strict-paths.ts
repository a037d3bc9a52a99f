/**
 * System calls that follow no symbolic link on their way: openat2(2), statx(2) of an entry of an open folder, and
 * readlinkat(2) of an open link.
 *
 * A path is a promise only while nobody swaps one of its folders. openat2 resolves all of it in one call of the kernel, and
 * fails where a component is a link. statx asks about a name in a folder that is open already, so no path is resolved.
 */
import { closeSync, constants } from 'node:fs';
import type { FileIdentity } from '../source/identity.ts';
import type { CLibrary, LoadedLibrary } from './c-library.ts';
import { inThread, terminated } from './in-thread.ts';
import { deviceOf } from './mountinfo.ts';

/** openat2(2), since Linux 5.6. System calls have one number on all machines since 424. */
const OPENAT2 = 437;
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_NO_SYMLINKS = 0x04;
/** struct open_how { u64 flags, mode, resolve }. */
const OPEN_HOW_BYTES = 24;
/** openat(2). The same on all machines below; Node does not name them. */
const AT_FDCWD = -100;
const SLASH = 0x2f;
const O_CLOEXEC = 0o2000000;
/** A descriptor for names and fstat alone: it needs no right to read what it is of. */
export const O_PATH = 0o10000000;
/** statx(2), since Linux 4.11: its structure is the same on all machines. */
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_NO_AUTOMOUNT = 0x800;
const STATX_TYPE = 0x1;
const STATX_MTIME = 0x40;
const STATX_CTIME = 0x80;
const STATX_INO = 0x100;
const STATX_SIZE = 0x200;
const WANTED = STATX_TYPE | STATX_MTIME | STATX_CTIME | STATX_INO | STATX_SIZE;
const STATX_BYTES = 256;
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const MODE_AT = 28;
const INO_AT = 32;
const SIZE_AT = 40;
/** struct statx_timestamp { s64 seconds; u32 nanoseconds }. */
const CTIME_AT = 96;
const MTIME_AT = 112;
const DEV_MAJOR_AT = 136;
const DEV_MINOR_AT = 140;

/** PATH_MAX. */
const PATH_BYTES = 4096;

/** Machines with little-endian numbers, a `long` of 64 bits, and the flags above. */
const MACHINES: ReadonlySet<string> = new Set(['x64', 'arm64', 'riscv64', 'loong64']);

/** An entry of a folder; of a symbolic link what it is itself. */
export interface FolderEntry {
  /** With the bits of the type. */
  readonly mode: number;
  readonly ino: bigint;
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  /** The same number as `Stats.dev`. */
  readonly dev: number;
}

export interface StrictCalls {
  /** Opens an absolute path of which no component may be a symbolic link. Gives the descriptor, or -1. */
  readonly openSync?: (path: Buffer, flags: number) => number;
  /** Does the same in a thread of libuv. */
  readonly open?: (path: Buffer, flags: number) => Promise<number>;
  /** Reads a symbolic link that is open (O_PATH | O_NOFOLLOW), in a thread of libuv; undefined if that fails. */
  readonly linkTarget?: (fd: number) => Promise<Buffer | undefined>;
  readonly linkTargetSync?: (fd: number) => Buffer | undefined;
  /** Looks at an entry of an open folder; undefined if that fails. `name` is a byte string. */
  readonly entry?: (folder: number, name: string) => FolderEntry | undefined;
  /** Does what lstat(2) does, for a regular file at an absolute path; undefined for anything else, and if it fails. */
  readonly regularFile?: (path: Buffer) => FileIdentity | undefined;
}

export function loadStrictCalls(library: CLibrary): StrictCalls {
  if (!MACHINES.has(process.arch)) return {};
  const opening = library.ability('sources are opened with more calls', declareOpening);
  const links = library.ability('symbolic links are read with more calls', declareLinkTarget);
  const looking = library.ability('folders are read with more calls', declareLooking);
  return { ...opening, ...links, ...looking };
}

/** @throws if the kernel has no openat2, or forbids it (seccomp) */
function declareOpening({ func }: LoadedLibrary): Required<Pick<StrictCalls, 'open' | 'openSync'>> {
  const openat2 = func('long syscall(long number, int folder, const void *path, const void *how, size_t size)');
  const scratch = Buffer.alloc(PATH_BYTES);
  const hows = new Map<number, Buffer>();
  const openSync = (path: Buffer, flags: number): number => {
    let how = hows.get(flags);
    if (how === undefined) hows.set(flags, (how = howFor(flags)));
    return Number(openat2(OPENAT2, AT_FDCWD, terminatedIn(scratch, path), how, OPEN_HOW_BYTES));
  };
  const open = async (path: Buffer, flags: number): Promise<number> =>
    await inThread(openat2, OPENAT2, AT_FDCWD, terminated(path), howFor(flags), OPEN_HOW_BYTES);
  // Node's process has a root folder in any case, and opening it with O_PATH touches nothing.
  const fd = openSync(Buffer.from('/'), O_PATH | constants.O_DIRECTORY);
  if (fd < 0) throw new Error('the kernel has no openat2');
  closeSync(fd);
  return { openSync, open };
}

/** @throws if the C library has no readlinkat */
function declareLinkTarget({ func }: LoadedLibrary): Required<Pick<StrictCalls, 'linkTarget' | 'linkTargetSync'>> {
  const readlinkat = func('int64_t readlinkat(int fd, const void *path, void *target, size_t size)');
  const itself = Buffer.of(0);
  /** A target as long as this may have been cut. */
  const whole = (target: Buffer, length: number): Buffer | undefined =>
    length > 0 && length < PATH_BYTES ? target.subarray(0, length) : undefined;
  return {
    linkTargetSync(fd) {
      const target = Buffer.alloc(PATH_BYTES);
      return whole(target, Number(readlinkat(fd, itself, target, PATH_BYTES)));
    },
    async linkTarget(fd) {
      const target = Buffer.alloc(PATH_BYTES);
      return whole(target, await inThread(readlinkat, fd, itself, target, PATH_BYTES));
    },
  };
}

function howFor(flags: number): Buffer {
  const how = Buffer.alloc(OPEN_HOW_BYTES);
  how.writeUInt32LE(flags | O_CLOEXEC, 0);
  how.writeUInt32LE(RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS, 16);
  return how;
}

/** Writes a path into a buffer that each call uses again: a new one would be a third of a call's time. */
function terminatedIn(scratch: Buffer, path: Buffer): Buffer {
  if (path.length >= PATH_BYTES || path.includes(0)) return terminated(path);
  scratch[path.copy(scratch)] = 0;
  return scratch;
}

/** @throws if the kernel has no statx */
function declareLooking({ func }: LoadedLibrary): Required<Pick<StrictCalls, 'entry' | 'regularFile'>> {
  const statx = func('int statx(int folder, const void *name, int flags, unsigned int mask, void *result)');
  const result = Buffer.from(new ArrayBuffer(STATX_BYTES));
  const path = Buffer.alloc(PATH_BYTES);
  const [flags, mask] = [AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, WANTED];
  const words = new Uint32Array(result.buffer, result.byteOffset, STATX_BYTES / 4);
  const longs = new BigUint64Array(result.buffer, result.byteOffset, STATX_BYTES / 8);
  const sizeOf = (): number => (words[SIZE_AT / 4 + 1] ?? 0) * 2 ** 32 + (words[SIZE_AT / 4] ?? 0);
  const inodeOf = (): bigint => longs[INO_AT / 8] ?? 0n;
  const deviceIn = (): number => deviceOf(words[DEV_MAJOR_AT / 4] ?? 0, words[DEV_MINOR_AT / 4] ?? 0);
  const nanosecondsAt = (at: number): bigint =>
    BigInt.asIntN(64, longs[at / 8] ?? 0n) * 1_000_000_000n + BigInt(words[at / 4 + 2] ?? 0);
  return {
    entry(folder, name) {
      if (name.includes('\0') || name.includes('/')) throw new RangeError('not the name of an entry');
      if (name.length >= PATH_BYTES) return undefined;
      path[path.write(name, 'latin1')] = 0;
      if (Number(statx(folder, path, flags, mask, result)) !== 0) return undefined;
      return {
        mode: result.readUInt16LE(MODE_AT),
        ino: inodeOf(),
        size: sizeOf(),
        mtimeMs: millisecondsAt(result, MTIME_AT),
        ctimeMs: millisecondsAt(result, CTIME_AT),
        dev: deviceIn(),
      };
    },
    regularFile(at) {
      if (at[0] !== SLASH || at.length >= PATH_BYTES) return undefined;
      if (statx(AT_FDCWD, terminatedIn(path, at), AT_SYMLINK_NOFOLLOW, mask, result) !== 0) return undefined;
      if (((words[MODE_AT / 4] ?? 0) & S_IFMT) !== S_IFREG) return undefined;
      return {
        dev: deviceIn(),
        // Signed, as Node has it.
        ino: BigInt.asIntN(64, inodeOf()),
        size: sizeOf(),
        mtimeNs: nanosecondsAt(MTIME_AT),
        ctimeNs: nanosecondsAt(CTIME_AT),
      };
    },
  };
}

function millisecondsAt(result: Buffer, at: number): number {
  const seconds = result.readInt32LE(at + 4) * 2 ** 32 + result.readUInt32LE(at);
  return seconds * 1000 + result.readUInt32LE(at + 8) / 1e6;
}
