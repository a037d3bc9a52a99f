/**
 * Makes replies and notifications, each a Buffer that one write(2) takes: the header and what follows it.
 *
 * A reply to READ has its bytes read into it: `roomForRead` makes a buffer whose first 16 bytes are for the header, and
 * `finishRead` writes that and cuts the buffer to what was read. A thread that reads much keeps one such buffer.
 */
import { bytesOfName } from '../../../bytes/name-text.ts';
import { SHOWN_NAME_BYTES } from '../../../name-limits.ts';
import type { Timestamp } from '../../../native/timestamp.ts';
import type { Attributes, FileSystemStats } from '../../../vfs/operations.ts';
import { TYPE_BITS } from '../../file-mode.ts';
import {
  ATTR,
  ATTR_OUT,
  COPY_FILE_RANGE_64_OUT,
  DELETE_OUT,
  ENTRY_OUT,
  EXPIRE_ONLY,
  GETXATTR_OUT,
  INVAL_ENTRY_OUT,
  INVAL_INODE_OUT,
  type Layout,
  LSEEK_OUT,
  Notification,
  OPEN_OUT,
  OUT_HEADER,
  STATFS_OUT,
  STATX,
  STATX_OUT,
  SX_TIMESTAMP,
  WRITE_OUT,
} from './structures.ts';

const HIGH = 2 ** 32;
/** What stat(2) names as the size of good reads and writes. */
const BLOCK_BYTES = 4096;
/** STATX_BASIC_STATS: all that stat(2) has. */
const STATX_BASIC = 0x7ff;
const NO_NAME = Buffer.alloc(0);

/** What a name leads to. */
export interface Entry {
  /** The node id. `attributes.ino` is what programs see, and may differ. */
  readonly node: number;
  /** Node and generation together never name two files. */
  readonly generation: number;
  readonly attributes: Attributes;
  /** Milliseconds for which the kernel may use the name without asking. */
  readonly entryMs: number;
  readonly attributesMs: number;
}

export interface Opened {
  /** Of the vfs: comes back in each request on the open file. */
  readonly handle: number;
  /** `OpenReplyFlag`. */
  readonly flags: number;
  /** The backing id, with `OpenReplyFlag.PASSTHROUGH`. */
  readonly backing?: number | undefined;
}

/** Writes a safe integer, which may be negative, in 64 bits. */
export function writeInteger(buffer: Buffer, value: number, at: number): void {
  buffer.writeUInt32LE(value >>> 0, at);
  buffer.writeUInt32LE(Math.floor(value / HIGH) >>> 0, at + 4);
}

function writeHeader(buffer: Buffer, length: number, error: number, unique: bigint): void {
  buffer.writeUInt32LE(length, OUT_HEADER.at.length);
  buffer.writeInt32LE(error, OUT_HEADER.at.error);
  buffer.writeBigUInt64LE(unique, OUT_HEADER.at.unique);
}

/** Makes a reply of `bytes` zeros behind the header. */
function success(unique: bigint, { bytes }: { readonly bytes: number }): Buffer {
  const buffer = Buffer.alloc(OUT_HEADER.bytes + bytes);
  writeHeader(buffer, buffer.length, 0, unique);
  return buffer;
}

/** `errno`: as `errnoFor` gives it, negative. */
export function errorReply(unique: bigint, errno: number): Buffer {
  const buffer = Buffer.allocUnsafe(OUT_HEADER.bytes);
  writeHeader(buffer, OUT_HEADER.bytes, errno, unique);
  return buffer;
}

/** The reply to a request whose success says all. */
export const emptyReply = (unique: bigint): Buffer => errorReply(unique, 0);

/** The reply to readlink, getxattr and listxattr. */
export function bytesReply(unique: bigint, bytes: Uint8Array): Buffer {
  const buffer = Buffer.allocUnsafe(OUT_HEADER.bytes + bytes.length);
  writeHeader(buffer, buffer.length, 0, unique);
  buffer.set(bytes, OUT_HEADER.bytes);
  return buffer;
}

/** Writes milliseconds as seconds and nanoseconds. */
function writeValidity(buffer: Buffer, ms: number, at: number, nsAt: number): void {
  writeInteger(buffer, Math.floor(ms / 1000), at);
  buffer.writeUInt32LE(Math.floor((ms % 1000) * 1e6), nsAt);
}

/** Writes `struct fuse_attr`. */
function writeAttributes(buffer: Buffer, attributes: Attributes, base: number): void {
  const { at } = ATTR;
  const { type, mode, atime, mtime, ctime } = attributes;
  writeInteger(buffer, attributes.ino, base + at.ino);
  writeInteger(buffer, attributes.size, base + at.size);
  writeInteger(buffer, attributes.blocks, base + at.blocks);
  writeInteger(buffer, atime.seconds, base + at.atime);
  writeInteger(buffer, mtime.seconds, base + at.mtime);
  writeInteger(buffer, ctime.seconds, base + at.ctime);
  buffer.writeUInt32LE(atime.nanoseconds, base + at.atimeNs);
  buffer.writeUInt32LE(mtime.nanoseconds, base + at.mtimeNs);
  buffer.writeUInt32LE(ctime.nanoseconds, base + at.ctimeNs);
  buffer.writeUInt32LE(TYPE_BITS[type] | mode, base + at.mode);
  buffer.writeUInt32LE(attributes.nlink, base + at.nlink);
  buffer.writeUInt32LE(attributes.uid, base + at.uid);
  buffer.writeUInt32LE(attributes.gid, base + at.gid);
  buffer.writeUInt32LE(attributes.rdev, base + at.rdev);
  buffer.writeUInt32LE(BLOCK_BYTES, base + at.blksize);
  buffer.writeUInt32LE(0, base + at.flags);
}

/** Writes `struct fuse_entry_out`. */
export function writeEntry(buffer: Buffer, entry: Entry, base: number): void {
  const { at } = ENTRY_OUT;
  writeInteger(buffer, entry.node, base + at.node);
  writeInteger(buffer, entry.generation, base + at.generation);
  writeValidity(buffer, entry.entryMs, base + at.entryValid, base + at.entryValidNs);
  writeValidity(buffer, entry.attributesMs, base + at.attrValid, base + at.attrValidNs);
  writeAttributes(buffer, entry.attributes, base + at.attr);
}

function writeOpened(buffer: Buffer, { handle, flags, backing = 0 }: Opened, base: number): void {
  const { at } = OPEN_OUT;
  writeInteger(buffer, handle, base + at.handle);
  buffer.writeUInt32LE(flags, base + at.flags);
  buffer.writeInt32LE(backing, base + at.backing);
}

/** The reply to lookup, mknod, mkdir, symlink and link. */
export function entryReply(unique: bigint, entry: Entry): Buffer {
  const buffer = success(unique, ENTRY_OUT);
  writeEntry(buffer, entry, OUT_HEADER.bytes);
  return buffer;
}

/** The reply to a lookup of a name that is not there, which the kernel may believe for `entryMs`. */
export function noEntryReply(unique: bigint, entryMs: number): Buffer {
  const { at } = ENTRY_OUT;
  const buffer = success(unique, ENTRY_OUT);
  writeValidity(buffer, entryMs, OUT_HEADER.bytes + at.entryValid, OUT_HEADER.bytes + at.entryValidNs);
  return buffer;
}

export function createReply(unique: bigint, entry: Entry, opened: Opened): Buffer {
  const buffer = success(unique, { bytes: ENTRY_OUT.bytes + OPEN_OUT.bytes });
  writeEntry(buffer, entry, OUT_HEADER.bytes);
  writeOpened(buffer, opened, OUT_HEADER.bytes + ENTRY_OUT.bytes);
  return buffer;
}

/** The reply to open and opendir. */
export function openReply(unique: bigint, opened: Opened): Buffer {
  const buffer = success(unique, OPEN_OUT);
  writeOpened(buffer, opened, OUT_HEADER.bytes);
  return buffer;
}

/** The reply to getattr and setattr. */
export function attributesReply(unique: bigint, attributes: Attributes, attributesMs: number): Buffer {
  const { at } = ATTR_OUT;
  const buffer = success(unique, ATTR_OUT);
  writeValidity(buffer, attributesMs, OUT_HEADER.bytes + at.attrValid, OUT_HEADER.bytes + at.attrValidNs);
  writeAttributes(buffer, attributes, OUT_HEADER.bytes + at.attr);
  return buffer;
}

/** The reply to statx. Without a time of birth: files of ours have none. */
export function statxReply(unique: bigint, attributes: Attributes, attributesMs: number): Buffer {
  const buffer = success(unique, STATX_OUT);
  const out = OUT_HEADER.bytes;
  writeValidity(buffer, attributesMs, out + STATX_OUT.at.attrValid, out + STATX_OUT.at.attrValidNs);
  const { at } = STATX;
  const base = out + STATX_OUT.at.stat;
  const { type, mode, rdev } = attributes;
  buffer.writeUInt32LE(STATX_BASIC, base + at.mask);
  buffer.writeUInt32LE(BLOCK_BYTES, base + at.blksize);
  buffer.writeUInt32LE(attributes.nlink, base + at.nlink);
  buffer.writeUInt32LE(attributes.uid, base + at.uid);
  buffer.writeUInt32LE(attributes.gid, base + at.gid);
  buffer.writeUInt16LE(TYPE_BITS[type] | mode, base + at.mode);
  writeInteger(buffer, attributes.ino, base + at.ino);
  writeInteger(buffer, attributes.size, base + at.size);
  writeInteger(buffer, attributes.blocks, base + at.blocks);
  writeStatxTime(buffer, attributes.atime, base + at.atime);
  writeStatxTime(buffer, attributes.mtime, base + at.mtime);
  writeStatxTime(buffer, attributes.ctime, base + at.ctime);
  buffer.writeUInt32LE((rdev >>> 8) & 0xfff, base + at.rdevMajor);
  buffer.writeUInt32LE((rdev & 0xff) | ((rdev >>> 12) & 0xfff00), base + at.rdevMinor);
  return buffer;
}

function writeStatxTime(buffer: Buffer, { seconds, nanoseconds }: Timestamp, base: number): void {
  writeInteger(buffer, seconds, base + SX_TIMESTAMP.at.seconds);
  buffer.writeUInt32LE(nanoseconds, base + SX_TIMESTAMP.at.nanoseconds);
}

/** `longestName`: bytes of the longest name that the folder may list; programs size buffers by it. */
export function statfsReply(unique: bigint, stats: FileSystemStats, longestName: number = SHOWN_NAME_BYTES): Buffer {
  const { at } = STATFS_OUT;
  const buffer = success(unique, STATFS_OUT);
  for (const field of ['blocks', 'bfree', 'bavail', 'files', 'ffree'] as const) {
    writeInteger(buffer, stats[field], OUT_HEADER.bytes + at[field]);
  }
  buffer.writeUInt32LE(stats.bsize, OUT_HEADER.bytes + at.bsize);
  buffer.writeUInt32LE(longestName, OUT_HEADER.bytes + at.namelen);
  buffer.writeUInt32LE(stats.bsize, OUT_HEADER.bytes + at.frsize);
  return buffer;
}

/** The reply to write, and to a copyFileRange that is not wide. */
export const writeReply = (unique: bigint, written: number): Buffer => u32Reply(unique, WRITE_OUT, written);

/** The reply to a wide copyFileRange. */
export const wideCopyReply = (unique: bigint, copied: number): Buffer =>
  u64Reply(unique, COPY_FILE_RANGE_64_OUT, copied);

/** The reply to getxattr and listxattr with size 0. */
export const xattrSizeReply = (unique: bigint, size: number): Buffer => u32Reply(unique, GETXATTR_OUT, size);

export const lseekReply = (unique: bigint, offset: number): Buffer => u64Reply(unique, LSEEK_OUT, offset);

function u32Reply(unique: bigint, layout: Layout<string>, value: number): Buffer {
  const buffer = success(unique, layout);
  buffer.writeUInt32LE(value, OUT_HEADER.bytes);
  return buffer;
}

function u64Reply(unique: bigint, layout: Layout<string>, value: number): Buffer {
  const buffer = success(unique, layout);
  writeInteger(buffer, value, OUT_HEADER.bytes);
  return buffer;
}

/** Makes a buffer for a reply of up to `size` bytes. They go behind the header: `readInto` is the part for them. */
export function roomForRead(size: number): { readonly message: Buffer; readonly readInto: Buffer } {
  const message = Buffer.allocUnsafeSlow(OUT_HEADER.bytes + size);
  return { message, readInto: message.subarray(OUT_HEADER.bytes) };
}

/** Writes the header before `bytes` bytes that were read, and gives the whole reply as a view of `message`. */
export function finishRead(message: Buffer, unique: bigint, bytes: number): Buffer {
  const length = OUT_HEADER.bytes + bytes;
  writeHeader(message, length, 0, unique);
  return message.subarray(0, length);
}

function notification(code: number, layout: Layout<string>, name: Buffer = NO_NAME): Buffer {
  const base = OUT_HEADER.bytes + layout.bytes;
  // The name's NUL is there already.
  const buffer = Buffer.alloc(name === NO_NAME ? base : base + name.length + 1);
  writeHeader(buffer, buffer.length, code, 0n);
  buffer.set(name, base);
  return buffer;
}

/**
 * Drops the attributes of a node, and its pages from `offset` on: `length` bytes, 0 for all that follow. With a negative
 * offset the pages stay.
 */
export function invalidateInode(node: number, offset: number, length: number): Buffer {
  const { at } = INVAL_INODE_OUT;
  const buffer = notification(Notification.INVAL_INODE, INVAL_INODE_OUT);
  writeInteger(buffer, node, OUT_HEADER.bytes + at.node);
  writeInteger(buffer, offset, OUT_HEADER.bytes + at.offset);
  writeInteger(buffer, length, OUT_HEADER.bytes + at.length);
  return buffer;
}

/** Drops a name. `expireOnly` (7.38): has it looked up again at its next use, and leaves mounts on it alone. */
export function invalidateEntry(parent: number, name: string, expireOnly = false): Buffer {
  const { at } = INVAL_ENTRY_OUT;
  const bytes = bytesOfName(name);
  const buffer = notification(Notification.INVAL_ENTRY, INVAL_ENTRY_OUT, bytes);
  writeInteger(buffer, parent, OUT_HEADER.bytes + at.parent);
  buffer.writeUInt32LE(bytes.length, OUT_HEADER.bytes + at.nameLength);
  buffer.writeUInt32LE(expireOnly ? EXPIRE_ONLY : 0, OUT_HEADER.bytes + at.flags);
  return buffer;
}

/** Drops a name that led to `child`, and tells watchers (inotify) that it was deleted. */
export function deleteEntry(parent: number, child: number, name: string): Buffer {
  const { at } = DELETE_OUT;
  const bytes = bytesOfName(name);
  const buffer = notification(Notification.DELETE, DELETE_OUT, bytes);
  writeInteger(buffer, parent, OUT_HEADER.bytes + at.parent);
  writeInteger(buffer, child, OUT_HEADER.bytes + at.child);
  buffer.writeUInt32LE(bytes.length, OUT_HEADER.bytes + at.nameLength);
  return buffer;
}
