/**
 * Agrees with the kernel, at INIT, on the version of the protocol and on what each side may do.
 *
 * Asked for, where the kernel offers it (`USUAL_FLAGS`):
 * - ASYNC_READ, ASYNC_DIO, PARALLEL_DIROPS: the vfs takes requests side by side.
 * - BIG_WRITES, MAX_PAGES: reads and writes of more than a page, and of more than 32.
 * - ATOMIC_O_TRUNC: the vfs's open truncates; without it the kernel sends a setattr before the open.
 * - DO_READDIRPLUS, READDIRPLUS_AUTO: attributes come with the names where a program is likely to want them.
 * - CACHE_SYMLINKS: the target of a symlink inode never changes, and its number is never used again.
 * - DIRECT_IO_ALLOW_MMAP: for opens whose replies ask for DIRECT_IO.
 *
 * Asked for beside these by a driver that can do what they demand:
 * - EXPORT_SUPPORT: `.` and `..` can be looked up, for file handles.
 * - PASSTHROUGH: for opens whose replies have a backing id. Only with a `maxStackDepth`.
 * - HANDLE_KILLPRIV_V2: the vfs clears set-id bits when a request says so (`killSetIds`). The kernel then needs no request for
 *   `security.capability` before each write (`../extended-attributes.ts`).
 *
 * Never asked for:
 * - WRITEBACK_CACHE: the store must see each write when it is made.
 * - POSIX_LOCKS, FLOCK_LOCKS: locks are local to the kernel, since all users of the mount are on this machine.
 * - AUTO_INVAL_DATA: it drops pages when the mtime changes, and neither size nor mtime of a file changes with its source
 *   (`vfs/file-system.ts`). EXPLICIT_INVAL_DATA: a size that changes from the side should drop the pages, and does without it.
 * - NO_OPEN_SUPPORT, NO_OPENDIR_SUPPORT: the vfs has handles.
 * - DONT_MASK: the kernel applies the caller's umask. POSIX_ACL: the vfs keeps none.
 * - SETXATTR_EXT: it makes the request longer for a flag of ACLs; without it a decoder needs not know what was agreed on.
 */
import type { InitRequest } from './request.ts';
import {
  INIT_OUT,
  INIT_OUT_OF_OTHER_MAJOR,
  InitFlag,
  MAJOR,
  MESSAGE_ROOM,
  NEWEST_MINOR,
  OLDEST_MINOR,
  OUT_HEADER,
  SMALLEST_BUFFER,
} from './structures.ts';

export const USUAL_FLAGS: bigint =
  InitFlag.ASYNC_READ |
  InitFlag.ASYNC_DIO |
  InitFlag.PARALLEL_DIROPS |
  InitFlag.BIG_WRITES |
  InitFlag.MAX_PAGES |
  InitFlag.ATOMIC_O_TRUNC |
  InitFlag.DO_READDIRPLUS |
  InitFlag.READDIRPLUS_AUTO |
  InitFlag.CACHE_SYMLINKS |
  InitFlag.DIRECT_IO_ALLOW_MMAP;

/** Pages of a request without MAX_PAGES. */
const USUAL_PAGES = 32;
const LARGEST_U16 = 0xffff;
const LOW_HALF = 0xffff_ffffn;

export interface Wanted {
  /** `InitFlag`s that are asked for where they are offered. INIT_EXT comes with those of the upper half. */
  readonly flags: bigint;
  /** Bytes of a write, and of a read where MAX_PAGES is agreed on. */
  readonly maxWrite: number;
  /** Bytes. The kernel reads ahead no more than its own limit, which `read_ahead_kb` of the mount's bdi raises. */
  readonly maxReadahead: number;
  /** Requests that the kernel has under way to fill its page cache. */
  readonly maxBackground: number;
  /** As many of them make the mount count as congested. */
  readonly congestionThreshold: number;
  /** File systems that may lie on each other below a passthrough file: 1, or 2 for sources on overlayfs. */
  readonly maxStackDepth: number;
  /** Bytes of a page of this machine. */
  readonly pageBytes: number;
}

export interface Agreed {
  readonly minor: number;
  readonly flags: bigint;
  readonly maxReadahead: number;
  readonly maxBackground: number;
  readonly congestionThreshold: number;
  readonly maxWrite: number;
  /** 0 without MAX_PAGES. */
  readonly maxPages: number;
  /** 0 without PASSTHROUGH. */
  readonly maxStackDepth: number;
  /** Bytes that the buffer of each read(2) of the device needs. */
  readonly bufferBytes: number;
}

export type Negotiated =
  | { readonly kind: 'agreed'; readonly agreed: Agreed }
  /** The kernel has a newer major version: the reply is `otherMajorReply`, and the kernel sends another INIT. */
  | { readonly kind: 'again' }
  /** The kernel is too old. The reply is an error (EPROTO), and the mount is of no use. */
  | { readonly kind: 'tooOld'; readonly version: string };

export function negotiate(init: InitRequest, wanted: Wanted): Negotiated {
  const { major, minor, offered } = init;
  if (major > MAJOR) return { kind: 'again' };
  if (major < MAJOR || minor < OLDEST_MINOR) return { kind: 'tooOld', version: `${major}.${minor}` };
  let flags = wanted.flags & offered & ~InitFlag.INIT_EXT;
  // The two go together.
  if ((flags & InitFlag.DO_READDIRPLUS) === 0n) flags &= ~InitFlag.READDIRPLUS_AUTO;
  if (wanted.maxStackDepth <= 0) flags &= ~InitFlag.PASSTHROUGH;
  if (flags > LOW_HALF) flags |= InitFlag.INIT_EXT;
  const has = (flag: bigint): boolean => (flags & flag) !== 0n;
  const { pageBytes } = wanted;
  const pages = has(InitFlag.MAX_PAGES) ? Math.min(LARGEST_U16, Math.ceil(wanted.maxWrite / pageBytes)) : USUAL_PAGES;
  // Without BIG_WRITES a write has a page.
  const writePages = has(InitFlag.BIG_WRITES) ? pages : 1;
  const maxWrite = Math.max(pageBytes, Math.min(wanted.maxWrite, writePages * pageBytes));
  return {
    kind: 'agreed',
    agreed: {
      minor: Math.min(minor, NEWEST_MINOR),
      flags,
      maxReadahead: Math.min(init.maxReadahead, wanted.maxReadahead),
      maxBackground: Math.min(LARGEST_U16, wanted.maxBackground),
      congestionThreshold: Math.min(LARGEST_U16, wanted.congestionThreshold),
      maxWrite,
      maxPages: has(InitFlag.MAX_PAGES) ? pages : 0,
      maxStackDepth: has(InitFlag.PASSTHROUGH) ? wanted.maxStackDepth : 0,
      bufferBytes: Math.max(SMALLEST_BUFFER, maxWrite + MESSAGE_ROOM),
    },
  };
}

/** The reply to INIT. All versions that we agree on take it whole. */
export function initReply(unique: bigint, agreed: Agreed): Buffer {
  const { at } = INIT_OUT;
  const reply = Buffer.alloc(OUT_HEADER.bytes + INIT_OUT.bytes);
  const body = reply.subarray(OUT_HEADER.bytes);
  body.writeUInt32LE(MAJOR, at.major);
  body.writeUInt32LE(agreed.minor, at.minor);
  body.writeUInt32LE(agreed.maxReadahead, at.maxReadahead);
  body.writeUInt32LE(Number(agreed.flags & LOW_HALF), at.flags);
  body.writeUInt16LE(agreed.maxBackground, at.maxBackground);
  body.writeUInt16LE(agreed.congestionThreshold, at.congestionThreshold);
  body.writeUInt32LE(agreed.maxWrite, at.maxWrite);
  // Times are exact to the nanosecond.
  body.writeUInt32LE(1, at.timeGranularity);
  body.writeUInt16LE(agreed.maxPages, at.maxPages);
  body.writeUInt32LE(Number(agreed.flags >> 32n), at.flags2);
  body.writeUInt32LE(agreed.maxStackDepth, at.maxStackDepth);
  return finish(reply, unique);
}

/** The reply to a kernel of a newer major version. */
export function otherMajorReply(unique: bigint): Buffer {
  const reply = Buffer.alloc(OUT_HEADER.bytes + INIT_OUT_OF_OTHER_MAJOR);
  reply.writeUInt32LE(MAJOR, OUT_HEADER.bytes + INIT_OUT.at.major);
  reply.writeUInt32LE(NEWEST_MINOR, OUT_HEADER.bytes + INIT_OUT.at.minor);
  return finish(reply, unique);
}

function finish(reply: Buffer, unique: bigint): Buffer {
  reply.writeUInt32LE(reply.length, OUT_HEADER.at.length);
  reply.writeBigUInt64LE(unique, OUT_HEADER.at.unique);
  return reply;
}
