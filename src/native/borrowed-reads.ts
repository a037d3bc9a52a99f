/**
 * Reads of descriptors that another thread owns: from the page cache alone, and a look at the file afterwards. Nothing here
 * allocates, throws or waits.
 *
 * The owner may close a descriptor at any time, and its number may then be another file's. The caller finds that out afterwards, and
 * uses nothing of what was read. RWF_NOWAIT takes nothing from pipes, sockets and devices, which refuse it.
 */
import type { CLibrary } from './c-library.ts';
import type { StatxWords } from './statx.ts';

/** preadv2(2): answers from the page cache, or not at all. */
const RWF_NOWAIT = 8;
/** statx(2). */
const AT_EMPTY_PATH = 0x1000;
const LOOK = 0x1 | 0x40 | 0x80 | 0x200;
const STATX_BYTES = 256;
/** Offsets in words of 32 bits. */
const MODE_AT = 7;
const SIZE_AT = 10;
const CTIME_AT = 24;
const MTIME_AT = 28;
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const MACHINES: ReadonlySet<string> = new Set(['x64', 'arm64', 'riscv64', 'loong64']);

/** Instead of the ctime's nanoseconds: it may be any. */
const ANY = -1;

export interface BorrowedReads {
  /** Of the buffer. */
  readonly address: number;
  /**
   * Reads up to `length` bytes at `position` to offset `at` of the buffer. Gives their number, 0 at the end of the file, and -1 if
   * it would have to wait, or failed.
   */
  readonly read: (fd: number, at: number, length: number, position: number) => number;
  /** Tells if an open file is regular, and has the size and times of the look at `at` of `table`. False also if that fails. */
  readonly isStill: (fd: number, table: Float64Array, at: number) => boolean;
}

/** Writes a look into a table, as eight numbers: size, mtime and ctime, by words of 32 bits. */
export function putLook(table: Float64Array, at: number, { size, mtime, ctime }: StatxWords): void {
  table.set([...size, ...mtime, ...(ctime ?? [0, 0, ANY])], at);
}

/** `buffer`: where the bytes go. It has memory that does not move. */
export function loadBorrowedReads(library: CLibrary, buffer: Buffer): BorrowedReads | undefined {
  if (!MACHINES.has(process.arch)) return undefined;
  return library.ability('all reads are made by one thread', ({ koffi, func }) => {
    const preadv2 = func('int64_t preadv2(int fd, const void *iov, int count, int64_t offset, int flags)');
    const statx = func('int statx(int folder, const void *name, int flags, unsigned int mask, void *result)');
    const address = Number(koffi.address(buffer));
    // struct iovec { void *base; size_t length }.
    const vector = new Uint32Array(4);
    const vectorBytes = Buffer.from(vector.buffer);
    const itself = Buffer.of(0);
    const words = new Uint32Array(STATX_BYTES / 4);
    const wordsBytes = Buffer.from(words.buffer);
    return {
      address,
      read(fd, at, length, position) {
        if (!(at >= 0 && length >= 0 && at + length <= buffer.length)) return -1;
        const base = address + at;
        vector[0] = base % 2 ** 32;
        vector[1] = Math.floor(base / 2 ** 32);
        vector[2] = length;
        const got = Number(preadv2(fd, vectorBytes, 1, position, RWF_NOWAIT));
        return got < 0 ? -1 : got;
      },
      isStill(fd, table, at) {
        if (Number(statx(fd, itself, AT_EMPTY_PATH, LOOK, wordsBytes)) !== 0) return false;
        if (((words[MODE_AT] ?? 0) & S_IFMT) !== S_IFREG) return false;
        if (words[SIZE_AT] !== table[at] || words[SIZE_AT + 1] !== table[at + 1]) return false;
        for (let i = 0; i < 3; i++) if (words[MTIME_AT + i] !== table[at + 2 + i]) return false;
        if (table[at + 7] === ANY) return true;
        for (let i = 0; i < 3; i++) if (words[CTIME_AT + i] !== table[at + 5 + i]) return false;
        return true;
      },
    };
  });
}
