/**
 * Reads the kernel's requests. Every length, count and NUL is checked, although the kernel writes them: what is wrong gives a
 * `RequestError`, never another one.
 *
 * Numbers of 64 bits become safe integers. Where a program can ask for more (the kernel lets files have 2^63 bytes), the
 * request gets the error that a file system with smaller files gives, or the number counts as the largest safe integer where
 * the answer is the same: nothing is there to be read.
 */
import type { AttributeChanges } from '../../../vfs/operations.ts';
import { PERMISSIONS, typeOf } from '../../file-mode.ts';
import { Body, type Fields, RequestError } from './body.ts';
import type { Forgotten, Request, RequestHeader } from './request.ts';
import {
  BATCH_FORGET_IN,
  COPY_FILE_RANGE_IN,
  CREATE_IN,
  FALLOCATE_IN,
  FLUSH_IN,
  FORGET_IN,
  FORGET_ONE,
  FSYNC_DATA_ONLY,
  FSYNC_IN,
  GETATTR_HANDLE,
  GETATTR_IN,
  GETXATTR_IN,
  IN_HEADER,
  INIT_IN,
  INIT_IN_BYTES_BEFORE_36,
  INTERRUPT_IN,
  InitFlag,
  LARGEST_TRANSFER,
  LINK_IN,
  LONGEST_XATTR,
  LSEEK_IN,
  MKDIR_IN,
  MKNOD_IN,
  OPEN_IN,
  OPEN_KILL_SUIDGID,
  Opcode,
  READ_IN,
  RELEASE_FLUSH,
  RELEASE_IN,
  RENAME_IN,
  RENAME2_IN,
  SETATTR_IN,
  SETXATTR_IN,
  SetattrValid,
  STATX_IN,
  WRITE_IN,
  WriteFlag,
} from './structures.ts';

export { RequestError } from './body.ts';
export type { Request } from './request.ts';

/** Requests that have no reply. */
const UNANSWERED: ReadonlySet<number> = new Set([Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT]);

type Decode = (header: RequestHeader, body: Body) => Request;

/**
 * Reads a message as one read(2) of the device gave it. Data in the request is a view of `message`.
 * @throws RequestError, and nothing else
 */
export function readRequest(message: Buffer): Request {
  if (message.length < IN_HEADER.bytes) throw new RequestError(`a request has ${message.length} bytes`);
  const opcode = message.readUInt32LE(IN_HEADER.at.opcode);
  const unique = message.readBigUInt64LE(IN_HEADER.at.unique);
  try {
    const length = message.readUInt32LE(IN_HEADER.at.length);
    if (length !== message.length) throw new RequestError(`${length} bytes are due, ${message.length} are there`);
    const end = length - message.readUInt16LE(IN_HEADER.at.extensions) * 8;
    if (end < IN_HEADER.bytes) throw new RequestError('the extensions are longer than the request');
    const decode = DECODERS[opcode];
    const header: RequestHeader = {
      unique,
      node: nodeOf(message, opcode),
      uid: message.readUInt32LE(IN_HEADER.at.uid),
      gid: message.readUInt32LE(IN_HEADER.at.gid),
      pid: message.readUInt32LE(IN_HEADER.at.pid),
    };
    if (decode === undefined) return { ...header, kind: 'unknown', opcode };
    return decode(header, new Body(message, IN_HEADER.bytes, end));
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    throw new RequestError(
      `request ${opcode}: ${error.message}`,
      error.code,
      opcode,
      UNANSWERED.has(opcode) ? undefined : unique,
    );
  }
}

/** No node of ours has a number that is not safe: the kernel names one that is stale. */
function nodeOf(message: Buffer, opcode: number): number {
  const node = Number(message.readBigUInt64LE(IN_HEADER.at.node));
  if (Number.isSafeInteger(node)) return node;
  throw new RequestError(`no node has such a number`, UNANSWERED.has(opcode) ? 'EIO' : 'ESTALE');
}

const named =
  (kind: 'lookup' | 'unlink' | 'rmdir' | 'removexattr'): Decode =>
  (header, body) => ({ ...header, kind, name: body.text() });

const bare =
  (kind: 'readlink' | 'statfs' | 'destroy' | 'syncfs'): Decode =>
  (header) => ({ ...header, kind });

/** Handles are ours: one that is no safe integer is none. */
const handleOf = (fields: Fields, at: number): number => fields.safe(at, 'EBADF');

function forget(header: RequestHeader, body: Body): Request {
  return { ...header, kind: 'forget', lookups: body.take(FORGET_IN).capped(FORGET_IN.at.lookups) };
}

function batchForget(header: RequestHeader, body: Body): Request {
  const count = body.take(BATCH_FORGET_IN).u32(BATCH_FORGET_IN.at.count);
  if (count * FORGET_ONE.bytes > body.left) throw new RequestError(`${count} nodes are due, which are not there`);
  const forgotten: Forgotten[] = [];
  for (let i = 0; i < count; i++) {
    const one = body.take(FORGET_ONE);
    forgotten.push({ node: one.safe(FORGET_ONE.at.node, 'EIO'), lookups: one.capped(FORGET_ONE.at.lookups) });
  }
  return { ...header, kind: 'batchForget', forgotten };
}

function getattr(header: RequestHeader, body: Body): Request {
  const { at } = GETATTR_IN;
  const fields = body.take(GETATTR_IN);
  const handle = (fields.u32(at.flags) & GETATTR_HANDLE) === 0 ? undefined : handleOf(fields, at.handle);
  return { ...header, kind: 'getattr', handle };
}

function setattr(header: RequestHeader, body: Body): Request {
  const { at } = SETATTR_IN;
  const fields = body.take(SETATTR_IN);
  const valid = fields.u32(at.valid);
  const has = (flag: number): boolean => (valid & flag) !== 0;
  const changes: { -readonly [Key in keyof AttributeChanges]: AttributeChanges[Key] } = {};
  if (has(SetattrValid.MODE)) changes.mode = fields.u32(at.mode) & PERMISSIONS;
  if (has(SetattrValid.UID)) changes.uid = fields.u32(at.uid);
  if (has(SetattrValid.GID)) changes.gid = fields.u32(at.gid);
  if (has(SetattrValid.SIZE)) changes.size = fields.safe(at.size, 'EFBIG');
  if (has(SetattrValid.ATIME)) {
    changes.atime = has(SetattrValid.ATIME_NOW) ? 'now' : fields.time(at.atime, at.atimeNs);
  }
  if (has(SetattrValid.MTIME)) {
    changes.mtime = has(SetattrValid.MTIME_NOW) ? 'now' : fields.time(at.mtime, at.mtimeNs);
  }
  return {
    ...header,
    kind: 'setattr',
    handle: has(SetattrValid.HANDLE) ? handleOf(fields, at.handle) : undefined,
    changes,
    ctime: has(SetattrValid.CTIME) ? fields.time(at.ctime, at.ctimeNs) : undefined,
    killSetIds: has(SetattrValid.KILL_SUIDGID),
  };
}

function symlink(header: RequestHeader, body: Body): Request {
  return { ...header, kind: 'symlink', name: body.text(), target: body.text() };
}

function mknod(header: RequestHeader, body: Body): Request {
  const { at } = MKNOD_IN;
  const fields = body.take(MKNOD_IN);
  const mode = fields.u32(at.mode);
  return {
    ...header,
    kind: 'mknod',
    name: body.text(),
    type: typeIn(mode),
    mode: mode & PERMISSIONS,
    rdev: fields.u32(at.rdev),
    umask: fields.u32(at.umask) & PERMISSIONS,
  };
}

function typeIn(mode: number): ReturnType<typeof typeOf> {
  try {
    return typeOf(mode);
  } catch {
    throw new RequestError(`no file has the mode 0o${mode.toString(8)}`, 'EINVAL');
  }
}

function mkdir(header: RequestHeader, body: Body): Request {
  const { at } = MKDIR_IN;
  const fields = body.take(MKDIR_IN);
  return {
    ...header,
    kind: 'mkdir',
    name: body.text(),
    mode: fields.u32(at.mode) & PERMISSIONS,
    umask: fields.u32(at.umask) & PERMISSIONS,
  };
}

function rename(header: RequestHeader, body: Body): Request {
  const newParent = body.take(RENAME_IN).safe(RENAME_IN.at.newParent, 'ESTALE');
  return { ...header, kind: 'rename', newParent, name: body.text(), newName: body.text(), flags: 0 };
}

function rename2(header: RequestHeader, body: Body): Request {
  const { at } = RENAME2_IN;
  const fields = body.take(RENAME2_IN);
  const newParent = fields.safe(at.newParent, 'ESTALE');
  const flags = fields.u32(at.flags);
  return { ...header, kind: 'rename', newParent, name: body.text(), newName: body.text(), flags };
}

function link(header: RequestHeader, body: Body): Request {
  const oldNode = body.take(LINK_IN).safe(LINK_IN.at.oldNode, 'ESTALE');
  return { ...header, kind: 'link', oldNode, name: body.text() };
}

const open =
  (kind: 'open' | 'opendir'): Decode =>
  (header, body) => {
    const fields = body.take(OPEN_IN);
    const killSetIds = (fields.u32(OPEN_IN.at.openFlags) & OPEN_KILL_SUIDGID) !== 0;
    return { ...header, kind, flags: fields.u32(OPEN_IN.at.flags), killSetIds };
  };

function create(header: RequestHeader, body: Body): Request {
  const { at } = CREATE_IN;
  const fields = body.take(CREATE_IN);
  return {
    ...header,
    kind: 'create',
    name: body.text(),
    flags: fields.u32(at.flags),
    mode: fields.u32(at.mode) & PERMISSIONS,
    umask: fields.u32(at.umask) & PERMISSIONS,
    killSetIds: (fields.u32(at.openFlags) & OPEN_KILL_SUIDGID) !== 0,
  };
}

function read(header: RequestHeader, body: Body): Request {
  const { at } = READ_IN;
  const fields = body.take(READ_IN);
  return {
    ...header,
    kind: 'read',
    handle: handleOf(fields, at.handle),
    offset: fields.capped(at.offset),
    size: transferOf(fields, at.size),
    flags: fields.u32(at.flags),
  };
}

function transferOf(fields: Fields, at: number): number {
  const size = fields.u32(at);
  if (size > LARGEST_TRANSFER) throw new RequestError(`${size} bytes are asked for at once`, 'EINVAL');
  return size;
}

function write(header: RequestHeader, body: Body): Request {
  const { at } = WRITE_IN;
  const fields = body.take(WRITE_IN);
  const size = fields.u32(at.size);
  if (size !== body.left) throw new RequestError(`${size} bytes are to be written, ${body.left} are there`);
  const flags = fields.u32(at.writeFlags);
  return {
    ...header,
    kind: 'write',
    handle: handleOf(fields, at.handle),
    offset: fields.safe(at.offset, 'EFBIG'),
    data: body.bytes(size),
    flags: fields.u32(at.flags),
    fromCache: (flags & WriteFlag.FROM_CACHE) !== 0,
    killSetIds: (flags & WriteFlag.KILL_SUIDGID) !== 0,
  };
}

const release =
  (kind: 'release' | 'releasedir'): Decode =>
  (header, body) => {
    const { at } = RELEASE_IN;
    const fields = body.take(RELEASE_IN);
    return {
      ...header,
      kind,
      handle: handleOf(fields, at.handle),
      flags: fields.u32(at.flags),
      flush: (fields.u32(at.releaseFlags) & RELEASE_FLUSH) !== 0,
    };
  };

const fsync =
  (kind: 'fsync' | 'fsyncdir'): Decode =>
  (header, body) => {
    const fields = body.take(FSYNC_IN);
    const dataOnly = (fields.u32(FSYNC_IN.at.flags) & FSYNC_DATA_ONLY) !== 0;
    return { ...header, kind, handle: handleOf(fields, FSYNC_IN.at.handle), dataOnly };
  };

function flush(header: RequestHeader, body: Body): Request {
  return { ...header, kind: 'flush', handle: handleOf(body.take(FLUSH_IN), FLUSH_IN.at.handle) };
}

const xattrSize = (body: Body): number => Math.min(body.take(GETXATTR_IN).u32(GETXATTR_IN.at.size), LONGEST_XATTR);

function getxattr(header: RequestHeader, body: Body): Request {
  const size = xattrSize(body);
  return { ...header, kind: 'getxattr', size, name: body.text() };
}

function setxattr(header: RequestHeader, body: Body): Request {
  const fields = body.take(SETXATTR_IN);
  const size = fields.u32(SETXATTR_IN.at.size);
  const name = body.text();
  if (size !== body.left) throw new RequestError(`a value of ${size} bytes is due, ${body.left} are there`);
  return { ...header, kind: 'setxattr', name, value: body.bytes(size), flags: fields.u32(SETXATTR_IN.at.flags) };
}

function listxattr(header: RequestHeader, body: Body): Request {
  return { ...header, kind: 'listxattr', size: xattrSize(body) };
}

function init(header: RequestHeader, body: Body): Request {
  const { at } = INIT_IN;
  const isLong = body.left > INIT_IN_BYTES_BEFORE_36;
  const fields = body.takeSome(INIT_IN, isLong ? at.unused : INIT_IN_BYTES_BEFORE_36);
  const low = BigInt(fields.u32(at.flags));
  const high = isLong && (low & InitFlag.INIT_EXT) !== 0n ? BigInt(fields.u32(at.flags2)) : 0n;
  return {
    ...header,
    kind: 'init',
    major: fields.u32(at.major),
    minor: fields.u32(at.minor),
    maxReadahead: fields.u32(at.maxReadahead),
    offered: low | (high << 32n),
  };
}

const readdir =
  (kind: 'readdir' | 'readdirplus'): Decode =>
  (header, body) => {
    const fields = body.take(READ_IN);
    return {
      ...header,
      kind,
      handle: handleOf(fields, READ_IN.at.handle),
      // A program may seek in a directory to anywhere.
      offset: fields.safe(READ_IN.at.offset, 'EINVAL'),
      size: transferOf(fields, READ_IN.at.size),
    };
  };

function interrupt(header: RequestHeader, body: Body): Request {
  return { ...header, kind: 'interrupt', target: body.take(INTERRUPT_IN).u64(INTERRUPT_IN.at.unique) };
}

function fallocate(header: RequestHeader, body: Body): Request {
  const { at } = FALLOCATE_IN;
  const fields = body.take(FALLOCATE_IN);
  const offset = fields.safe(at.offset, 'EFBIG');
  const length = fields.safe(at.length, 'EFBIG');
  if (!Number.isSafeInteger(offset + length)) throw new RequestError('the end of the range is too far', 'EFBIG');
  const handle = handleOf(fields, at.handle);
  return { ...header, kind: 'fallocate', handle, offset, length, mode: fields.u32(at.mode) };
}

function lseek(header: RequestHeader, body: Body): Request {
  const { at } = LSEEK_IN;
  const fields = body.take(LSEEK_IN);
  const handle = handleOf(fields, at.handle);
  return { ...header, kind: 'lseek', handle, offset: fields.signed(at.offset), whence: fields.u32(at.whence) };
}

const copyFileRange =
  (wide: boolean): Decode =>
  (header, body) => {
    const { at } = COPY_FILE_RANGE_IN;
    const fields = body.take(COPY_FILE_RANGE_IN);
    if (fields.u64(at.flags) !== 0n) throw new RequestError('copy_file_range has flags', 'EINVAL');
    return {
      ...header,
      kind: 'copyFileRange',
      handle: handleOf(fields, at.handle),
      offset: fields.capped(at.offset),
      toNode: fields.safe(at.toNode, 'ESTALE'),
      toHandle: handleOf(fields, at.toHandle),
      toOffset: fields.safe(at.toOffset, 'EFBIG'),
      length: fields.capped(at.length),
      wide,
    };
  };

function statx(header: RequestHeader, body: Body): Request {
  const { at } = STATX_IN;
  const fields = body.take(STATX_IN);
  const handle = (fields.u32(at.getattrFlags) & GETATTR_HANDLE) === 0 ? undefined : handleOf(fields, at.handle);
  return { ...header, kind: 'statx', handle, flags: fields.u32(at.flags), mask: fields.u32(at.mask) };
}

const DECODERS: Readonly<Record<number, Decode>> = {
  [Opcode.LOOKUP]: named('lookup'),
  [Opcode.FORGET]: forget,
  [Opcode.GETATTR]: getattr,
  [Opcode.SETATTR]: setattr,
  [Opcode.READLINK]: bare('readlink'),
  [Opcode.SYMLINK]: symlink,
  [Opcode.MKNOD]: mknod,
  [Opcode.MKDIR]: mkdir,
  [Opcode.UNLINK]: named('unlink'),
  [Opcode.RMDIR]: named('rmdir'),
  [Opcode.RENAME]: rename,
  [Opcode.LINK]: link,
  [Opcode.OPEN]: open('open'),
  [Opcode.READ]: read,
  [Opcode.WRITE]: write,
  [Opcode.STATFS]: bare('statfs'),
  [Opcode.RELEASE]: release('release'),
  [Opcode.FSYNC]: fsync('fsync'),
  [Opcode.SETXATTR]: setxattr,
  [Opcode.GETXATTR]: getxattr,
  [Opcode.LISTXATTR]: listxattr,
  [Opcode.REMOVEXATTR]: named('removexattr'),
  [Opcode.FLUSH]: flush,
  [Opcode.INIT]: init,
  [Opcode.OPENDIR]: open('opendir'),
  [Opcode.READDIR]: readdir('readdir'),
  [Opcode.RELEASEDIR]: release('releasedir'),
  [Opcode.FSYNCDIR]: fsync('fsyncdir'),
  [Opcode.CREATE]: create,
  [Opcode.INTERRUPT]: interrupt,
  [Opcode.DESTROY]: bare('destroy'),
  [Opcode.BATCH_FORGET]: batchForget,
  [Opcode.FALLOCATE]: fallocate,
  [Opcode.READDIRPLUS]: readdir('readdirplus'),
  [Opcode.RENAME2]: rename2,
  [Opcode.LSEEK]: lseek,
  [Opcode.COPY_FILE_RANGE]: copyFileRange(false),
  [Opcode.SYNCFS]: bare('syncfs'),
  [Opcode.STATX]: statx,
  [Opcode.COPY_FILE_RANGE_64]: copyFileRange(true),
};
