/**
 * Encodes and decodes the store's records. `FORMAT` names keys and records as a whole: a change to either raises it.
 *
 * Integers are unsigned LEB128 or of fixed width, texts UTF-8 (names: their own bytes). The records are ours, but a disk can damage them: a
 * record that does not decode throws AutotorrentError('STORE').
 */
import { bytesOfName, nameOf } from '../../bytes/name-text.ts';
import { AutotorrentError } from '../../errors.ts';
import type { Extent } from '../../extent/extent.ts';
import {
  fromMilliseconds,
  fromNanoseconds,
  nanosecondsOf,
  type Timestamp,
  toNanoseconds,
} from '../../native/timestamp.ts';
import { FILE_CODES, type FileCode } from '../../plan/file-code.ts';
import type { FileStatus } from '../../plan/plan.ts';
import type { FileHandle, FileIdentity, RecordedSource } from '../../source/identity.ts';

export const FORMAT = 5;
/** From this format on, sources have keys of their paths. */
export const KEYED_FORMAT = 4;
/**
 * Older formats, which are read as they are. 4: whiteouts have no keys. 3: sources have no ctime, handle or disk, and their numbers are doubles. 2: files have no codes, and nobody has looked who may read the sources. 1: as
 * 2, without an overlay, with times in milliseconds, and inodes that all belong to the mount's owner.
 */
export const OLDER_FORMATS: readonly number[] = [1, 2, 3, 4];

export type InodeType = 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'block' | 'character';
const TYPES: readonly InodeType[] = ['file', 'directory', 'symlink', 'fifo', 'socket', 'block', 'character'];
const STATUSES: readonly FileStatus[] = ['mapped', 'resized', 'partial', 'missing', 'pad'];
/** Added to a file's status: a code follows its mode. */
const HAS_CODE = 8;

/** The kinds of a file's content (`docs/overlay.md`). */
export type FileContent = 'mapped' | 'overlaid' | 'plain';
const CONTENTS: readonly FileContent[] = ['mapped', 'overlaid', 'plain'];

/** An inode: what stat shows, and what a file consists of. */
export interface Inode {
  readonly type: InodeType;
  readonly mode: number;
  /** Undefined: planned; the mount's owner owns it, and the mount's umask applies. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  /** 0: a whiteout (a deleted file of a torrent), or an orphan. */
  readonly nlink: number;
  /** In bytes; a plain file's size is that of its overlay file. */
  readonly size: number;
  readonly atime: Timestamp;
  readonly mtime: Timestamp;
  readonly ctime: Timestamp;
  /** The id of its entry; 0 for the root, and for inodes that clients make beside the entries. */
  readonly entry: number;
  /** The device number, of devices. */
  readonly rdev: number;
  /** Only of files. */
  readonly content: FileContent;
  /** The bytes of the extents that still show: a truncate lowers it for good. */
  readonly baseEnd: number;
  /** The offset of its first byte in the torrent, of a file of the torrent. */
  readonly torrentOffset: number | undefined;
  /** The time that a file or symlink of the torrent shows until somebody changes it. */
  readonly plannedMtime: Timestamp | undefined;
  /** The parent of a directory; 0 if unknown (a store of format 1). */
  readonly parent: number;
}

/** A file of the collection as it was when it was planned. */
export interface SourceRecord extends RecordedSource {
  /** Ids of sources that were verified to hold the same bytes. */
  readonly spares: readonly number[];
}

/** A file of an entry as in the torrent's list; its place there is the client's file index. */
export interface FileRecord {
  readonly ino: number;
  readonly status: FileStatus;
  readonly mode: string;
  /** The reason for the status (`PlanFile.code`); undefined in a record of an older format. */
  readonly code: FileCode | undefined;
  readonly path: readonly string[];
}

export interface DirentRecord {
  readonly ino: number;
  readonly type: InodeType;
}

export class Writer {
  #buffer = Buffer.allocUnsafe(64);
  #at = 0;

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#at + bytes));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }

  integer(value: number): this {
    this.#room(8);
    let rest = value;
    while (rest >= 0x80) {
      this.#buffer[this.#at++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#buffer[this.#at++] = rest;
    return this;
  }

  double(value: number): this {
    this.#room(8);
    this.#at = this.#buffer.writeDoubleLE(value, this.#at);
    return this;
  }

  /** Writes an unsigned integer of 64 bits. */
  wide(value: bigint): this {
    this.#room(8);
    this.#at = this.#buffer.writeBigUInt64LE(value, this.#at);
    return this;
  }

  bytes(value: Buffer): this {
    this.integer(value.length);
    this.#room(value.length);
    this.#at += value.copy(this.#buffer, this.#at);
    return this;
  }

  text(value: string): this {
    return this.bytes(bytesOfName(value));
  }

  finish(): Buffer {
    return Buffer.from(this.#buffer.subarray(0, this.#at));
  }
}

export class Reader {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  #need(bytes: number): number {
    const from = this.#at;
    if (bytes > this.#buffer.length - from) throw damaged('a record ends too early');
    this.#at += bytes;
    return from;
  }

  integer(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.#buffer[this.#need(1)] ?? 0;
      value += (byte & 0x7f) * scale;
      if (!Number.isSafeInteger(value)) throw damaged('a number in a record is too large');
      if (byte < 0x80) return value;
      if (scale > 2 ** 49) throw damaged('a number in a record does not end');
    }
  }

  double(): number {
    return this.#buffer.readDoubleLE(this.#need(8));
  }

  wide(): bigint {
    return this.#buffer.readBigUInt64LE(this.#need(8));
  }

  time(): Timestamp {
    const seconds = this.double();
    if (!Number.isSafeInteger(seconds)) throw damaged('a time in a record has no whole seconds');
    return { seconds, nanoseconds: this.integer() };
  }

  bytes(): Buffer {
    const length = this.integer();
    const from = this.#need(length);
    return Buffer.from(this.#buffer.subarray(from, from + length));
  }

  text(): string {
    return nameOf(this.bytes());
  }

  get done(): boolean {
    return this.#at === this.#buffer.length;
  }
}

export function damaged(what: string, cause?: unknown): AutotorrentError {
  return new AutotorrentError('STORE', `the store is damaged: ${what}`, {
    cause,
    hint: 'Restore state_path from a backup, or move it away and add the torrents again; no source file is affected.',
  });
}

function oneOf<T>(list: readonly T[], index: number): T {
  const found = list[index];
  if (found === undefined) throw damaged(`there is no kind ${index}`);
  return found;
}

/** The first integer of an inode's record. Smaller values are inode types of format 1. */
const TAG = 16;

export function encodeInode(inode: Inode): Buffer {
  const out = new Writer()
    .integer(TAG + TYPES.indexOf(inode.type))
    .integer(inode.mode)
    .integer(inode.nlink)
    .integer(inode.size)
    .integer(inode.entry)
    .integer(inode.owner === undefined ? 0 : inode.owner.uid + 1)
    .integer(inode.owner === undefined ? 0 : inode.owner.gid + 1);
  for (const { seconds, nanoseconds } of [inode.atime, inode.mtime, inode.ctime]) {
    out.double(seconds).integer(nanoseconds);
  }
  if (inode.type === 'file') {
    out
      .integer(CONTENTS.indexOf(inode.content))
      .integer(inode.baseEnd)
      .integer(inode.torrentOffset === undefined ? 0 : inode.torrentOffset + 1);
    writeTime(out, inode.plannedMtime);
    return out.finish();
  }
  out.integer(inode.type === 'directory' ? inode.parent : inode.rdev);
  return writeTime(out, inode.plannedMtime).finish();
}

function writeTime(out: Writer, time: Timestamp | undefined): Writer {
  return time === undefined ? out : out.double(time.seconds).integer(time.nanoseconds);
}

export function decodeInode(bytes: Buffer): Inode {
  const from = new Reader(bytes);
  const tag = from.integer();
  if (tag < TAG) return decodePlanned(oneOf(TYPES, tag), from);
  const type = oneOf(TYPES, tag - TAG);
  const common = { mode: from.integer(), nlink: from.integer(), size: from.integer(), entry: from.integer() };
  const [uid, gid] = [from.integer(), from.integer()];
  const time = (): Timestamp => ({ seconds: from.double(), nanoseconds: from.integer() });
  const inode: Inode = {
    type,
    ...common,
    owner: uid === 0 ? undefined : { uid: uid - 1, gid: gid - 1 },
    atime: time(),
    mtime: time(),
    ctime: time(),
    ...NO_FILE,
  };
  if (type === 'directory') return { ...inode, parent: from.integer() };
  if (type !== 'file') return { ...inode, rdev: from.integer(), plannedMtime: from.done ? undefined : time() };
  const [content, baseEnd, offset] = [oneOf(CONTENTS, from.integer()), from.integer(), from.integer()];
  const plannedMtime = from.done ? undefined : time();
  return { ...inode, content, baseEnd, torrentOffset: offset === 0 ? undefined : offset - 1, plannedMtime };
}

const NO_FILE = {
  content: 'mapped',
  baseEnd: 0,
  torrentOffset: undefined,
  plannedMtime: undefined,
  parent: 0,
  rdev: 0,
} as const;

/** Decodes an inode of format 1. */
function decodePlanned(type: InodeType, from: Reader): Inode {
  const common = { mode: from.integer(), nlink: from.integer(), size: from.integer(), entry: from.integer() };
  const [atime, mtime, ctime] = [from.double(), from.double(), from.double()].map(fromMilliseconds);
  if (atime === undefined || mtime === undefined || ctime === undefined) throw damaged('an inode has no times');
  const plannedMtime = type === 'directory' ? undefined : mtime;
  return { type, ...common, atime, mtime, ctime, owner: undefined, ...NO_FILE, baseEnd: common.size, plannedMtime };
}

/** Makes an inode with the defaults of a planned or new one; `more` overrides them. */
export function newInode(type: InodeType, now: Timestamp, more: Partial<Inode>): Inode {
  const times = { atime: now, mtime: now, ctime: now };
  return { type, mode: 0o644, nlink: 1, size: 0, entry: 0, owner: undefined, ...NO_FILE, ...times, ...more };
}

export function encodeDirent(dirent: DirentRecord): Buffer {
  return new Writer().integer(TYPES.indexOf(dirent.type)).integer(dirent.ino).finish();
}

export function decodeDirent(bytes: Buffer): DirentRecord {
  const from = new Reader(bytes);
  return { type: oneOf(TYPES, from.integer()), ino: from.integer() };
}

/** Encodes a path below an entry's folder. */
/** Encodes the paths of one file. An empty component stands between two. */
export function encodePaths(paths: readonly (readonly string[])[]): Buffer {
  const out = new Writer();
  for (const [i, path] of paths.entries()) for (const component of i === 0 ? path : ['', ...path]) out.text(component);
  return out.finish();
}

export function decodePaths(bytes: Buffer): string[][] {
  const from = new Reader(bytes);
  const paths: string[][] = [[]];
  while (!from.done) {
    const component = from.text();
    if (component === '') paths.push([]);
    else paths.at(-1)?.push(component);
  }
  return paths;
}

/** Shifts source ids to be positive: `ZEROS` and `GAP` are -1 and -2. */
const SOURCE_SHIFT = 2;

/** Encodes extents. An extent begins where the one before it ends, so offsets are not written. */
export function encodeExtents(extents: Iterable<Extent>): Buffer {
  const out = new Writer();
  for (const extent of extents) {
    out.integer(extent.length).integer(extent.source + SOURCE_SHIFT);
    if (extent.source >= 0) out.integer(extent.sourceOffset);
  }
  return out.finish();
}

export function* decodeExtents(bytes: Buffer): Generator<Extent, void, undefined> {
  const from = new Reader(bytes);
  for (let offset = 0; !from.done; ) {
    const length = from.integer();
    const source = from.integer() - SOURCE_SHIFT;
    yield { offset, length, source, sourceOffset: source < 0 ? 0 : from.integer() };
    offset += length;
  }
}

/** Stands where a record of an older format has the length of the path, which is never 0. */
const SOURCE_TAG = 0;
const HAS_HANDLE = 1;
const HAS_DISK = 2;
const HAS_FOLDER = 4;

/** Writes the identity of a file. A flag tells if its ctime is known. */
export function writeIdentity(out: Writer, { dev, ino, size, mtimeNs, ctimeNs }: FileIdentity): void {
  writeTime(out.double(dev).wide(ino).integer(size), fromNanoseconds(mtimeNs));
  out.integer(ctimeNs === undefined ? 0 : 1);
  if (ctimeNs !== undefined) writeTime(out, fromNanoseconds(ctimeNs));
}

export function readIdentity(from: Reader): FileIdentity {
  const [dev, ino, size, mtimeNs] = [from.double(), from.wide(), from.integer(), toNanoseconds(from.time())];
  return { dev, ino, size, mtimeNs, ctimeNs: from.integer() === 0 ? undefined : toNanoseconds(from.time()) };
}

export function encodeSource(source: SourceRecord): Buffer {
  const { path, handle, disk } = source;
  const out = new Writer().integer(SOURCE_TAG).bytes(path);
  writeIdentity(out, source);
  out.integer(
    (handle === undefined ? 0 : HAS_HANDLE) |
      (handle?.folder === undefined ? 0 : HAS_FOLDER) |
      (disk === undefined ? 0 : HAS_DISK),
  );
  for (const named of [handle, handle?.folder]) if (named !== undefined) out.integer(named.type).bytes(named.bytes);
  if (disk !== undefined) out.text(disk);
  for (const spare of source.spares) out.integer(spare);
  return out.finish();
}

export function decodeSource(bytes: Buffer): SourceRecord {
  const from = new Reader(bytes);
  const first = from.bytes();
  if (first.length > 0) return decodeOlderSource(first, from);
  const path = from.bytes();
  const identity = readIdentity(from);
  const flags = from.integer();
  if (flags > (HAS_HANDLE | HAS_DISK | HAS_FOLDER)) throw damaged('a source has unknown parts');
  const handle = (flags & HAS_HANDLE) === 0 ? undefined : readHandle(from);
  const folder = (flags & HAS_FOLDER) === 0 ? undefined : readHandle(from);
  return {
    path,
    ...identity,
    ...(handle === undefined ? {} : { handle: folder === undefined ? handle : { ...handle, folder } }),
    ...((flags & HAS_DISK) === 0 ? {} : { disk: from.text() }),
    spares: sparesIn(from),
  };
}

function readHandle(from: Reader): FileHandle {
  return { type: from.integer(), bytes: from.bytes() };
}

/** Decodes a source of format 3 or older, which begins with its path. */
function decodeOlderSource(path: Buffer, from: Reader): SourceRecord {
  const dev = from.double();
  const ino = BigInt(whole(from.double()));
  const size = from.integer();
  const mtimeMs = from.double();
  if (!Number.isFinite(mtimeMs)) throw damaged('a source has no mtime');
  return { path, dev, ino, size, mtimeNs: nanosecondsOf(mtimeMs), ctimeNs: undefined, spares: sparesIn(from) };
}

function whole(value: number): number {
  if (!Number.isInteger(value) || value < 0) throw damaged('an inode number is none');
  return value;
}

function sparesIn(from: Reader): number[] {
  const spares: number[] = [];
  while (!from.done) spares.push(from.integer());
  return spares;
}

export function encodeFile(file: FileRecord): Buffer {
  const status = STATUSES.indexOf(file.status);
  const out = new Writer()
    .integer(file.ino)
    .integer(file.code === undefined ? status : status | HAS_CODE)
    .text(file.mode);
  if (file.code !== undefined) out.integer(FILE_CODES.indexOf(file.code));
  for (const component of file.path) out.text(component);
  return out.finish();
}

export function decodeFile(bytes: Buffer): FileRecord {
  const from = new Reader(bytes);
  const ino = from.integer();
  const flags = from.integer();
  const status = oneOf(STATUSES, flags & ~HAS_CODE);
  const mode = from.text();
  const code = (flags & HAS_CODE) === 0 ? undefined : oneOf(FILE_CODES, from.integer());
  const path: string[] = [];
  while (!from.done) path.push(from.text());
  return { ino, status, mode, code, path };
}
