/**
 * System calls on /dev/fuse: opening and cloning it, reading and writing messages, backing files for passthrough, mount(2), and
 * taking the device of a mount that `fusermount3` made (`native-notes/kernel.md`).
 *
 * For threads that serve: what is read and written allocates nothing and throws nothing.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { endianness } from 'node:os';
import { getSystemErrorName } from 'node:util';
import type { CLibrary, Koffi, LoadedLibrary } from './c-library.ts';

export const FUSE_DEVICE = '/dev/fuse';

/** linux/fuse.h: FUSE_DEV_IOC_CLONE (Linux 4.2), FUSE_DEV_IOC_BACKING_OPEN and FUSE_DEV_IOC_BACKING_CLOSE (Linux 6.9). */
const CLONE = 0x8004e500;
const BACKING_OPEN = 0x4010e501;
const BACKING_CLOSE = 0x4004e502;
/** struct fuse_backing_map { s32 fd; u32 flags; u64 padding }. */
const BACKING_MAP_BYTES = 16;
/** mount(2). */
const MS_RDONLY = 1;
const MS_NOSUID = 2;
const MS_NODEV = 4;
/** fcntl(2). */
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
/** socket(2), recvmsg(2), unix(7). */
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x40000000;
/** struct msghdr, where a pointer has 64 bits. musl declares shorter lengths, and pads them with zeros. */
const MSGHDR_BYTES = 56;
const IOV_AT = 16;
const IOV_COUNT_AT = 24;
const CONTROL_AT = 32;
const CONTROL_BYTES_AT = 40;
/** struct cmsghdr { size_t length; int level, type }, then one descriptor. */
const CMSG_BYTES = 24;
const CMSG_LEVEL_AT = 8;
const CMSG_TYPE_AT = 12;
const CMSG_FD_AT = 16;

/** Machines with pointers of 64 bits, little-endian numbers, and these numbers of ioctls and flags. */
const MACHINES: ReadonlySet<string> = new Set(['x64', 'arm64', 'riscv64', 'loong64']);

export interface FuseMountOptions {
  /** The user and group that the mount belongs to. Without `allowOther` no other user sees it. */
  readonly uid: number;
  readonly gid: number;
  readonly allowOther: boolean;
  readonly readOnly: boolean;
}

export interface FuseDeviceCalls {
  /** Opens the device for a mount, close-on-exec. It blocks until `dontBlock`. @throws file errors */
  readonly open: () => number;
  /**
   * Opens the device anew for the mount of `fd` (FUSE_DEV_IOC_CLONE). Replies to requests that were read from a clone must be
   * written to it. @throws FuseCallError
   */
  readonly clone: (fd: number) => number;
  /** Makes reads give `-EAGAIN` where there is no request. Clones and their originals have modes of their own. */
  readonly dontBlock: (fd: number) => void;
  /** Reads one message. Gives its length in bytes, or the errno as a negative number. */
  readonly read: (fd: number, buffer: Buffer) => number;
  /** Writes the first `bytes` bytes as one message. Gives their number, or the errno as a negative number. */
  readonly write: (fd: number, message: Buffer, bytes: number) => number;
  /**
   * Registers an open file as a backing file for passthrough. Gives its id, above 0, or the errno as a negative number: EPERM
   * without CAP_SYS_ADMIN, ELOOP for a file of a stacked file system. `file` may be closed then.
   */
  readonly openBacking: (fd: number, file: number) => number;
  /** Gives a backing id back. Files that are open keep their backing file. 0, or the errno as a negative number. */
  readonly closeBacking: (fd: number, id: number) => number;
  /**
   * Mounts an open device on the directory `target` (mount(2)), as `fuse.autotorrent`, without set-uid programs and devices.
   * The kernel checks permissions by the modes that it is told of. @throws FuseCallError
   */
  readonly mount: (fd: number, target: string, options: FuseMountOptions) => void;
  /** Makes two sockets that are connected (socketpair(2)), close-on-exec. @throws FuseCallError */
  readonly socketPair: () => readonly [number, number];
  /**
   * Takes a descriptor that a message brings (recvmsg(2) with SCM_RIGHTS), which is close-on-exec here. Undefined if no message has
   * come, or none with a descriptor.
   */
  readonly receiveDescriptor: (socket: number) => number | undefined;
}

/** A system call that failed, with its errno by name. */
export class FuseCallError extends Error {
  readonly code: string;

  constructor(call: string, code: string) {
    super(`${call}: ${code}`);
    this.name = 'FuseCallError';
    this.code = code;
  }
}

/** Undefined without koffi, and on machines whose numbers are not known. */
export function loadFuseDeviceCalls(library: CLibrary): FuseDeviceCalls | undefined {
  if (process.platform !== 'linux' || !MACHINES.has(process.arch) || endianness() !== 'LE') return undefined;
  return library.ability('driver kernel cannot run', ({ koffi, func }) => ({
    ...declareMessages(koffi, func),
    ...declareDevice(koffi, func),
    ...declareSockets(koffi, func),
  }));
}

type Func = LoadedLibrary['func'];

/** The result of a call as a number; where it failed, the errno as a negative one. */
const outcome = (koffi: Koffi, value: unknown): number => (Number(value) < 0 ? -koffi.errno() : Number(value));

const failure = (koffi: Koffi, call: string): FuseCallError =>
  new FuseCallError(call, getSystemErrorName(-koffi.errno()));

function declareMessages(koffi: Koffi, func: Func): Pick<FuseDeviceCalls, 'read' | 'write'> {
  const read = func('int64_t read(int fd, void *buffer, size_t size)');
  const write = func('int64_t write(int fd, const void *buffer, size_t size)');
  return {
    read: (fd, buffer) => outcome(koffi, read(fd, buffer, buffer.length)),
    write(fd, message, bytes) {
      if (bytes > message.length) throw new RangeError('a message is longer than its buffer');
      return outcome(koffi, write(fd, message, bytes));
    },
  };
}

type DeviceCalls = Pick<FuseDeviceCalls, 'open' | 'clone' | 'dontBlock' | 'openBacking' | 'closeBacking' | 'mount'>;

function declareDevice(koffi: Koffi, func: Func): DeviceCalls {
  const ioctl = func('int ioctl(int fd, unsigned long request, void *argument)');
  const fcntl = func('int fcntl(int fd, int command, ...)');
  const mount = func(
    'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
  );
  // libuv adds O_CLOEXEC.
  const open = (): number => openSync(FUSE_DEVICE, constants.O_RDWR);
  return {
    open,
    clone(fd) {
      const clone = open();
      if (ioctl(clone, CLONE, numberOf(fd)) === 0) return clone;
      const error = failure(koffi, 'FUSE_DEV_IOC_CLONE');
      closeSync(clone);
      throw error;
    },
    dontBlock(fd) {
      const flags = Number(fcntl(fd, F_GETFL, 'int', 0));
      if (flags < 0 || Number(fcntl(fd, F_SETFL, 'int', flags | O_NONBLOCK)) < 0) throw failure(koffi, 'fcntl');
    },
    openBacking(fd, file) {
      const map = Buffer.alloc(BACKING_MAP_BYTES);
      map.writeInt32LE(file, 0);
      return outcome(koffi, ioctl(fd, BACKING_OPEN, map));
    },
    closeBacking: (fd, id) => outcome(koffi, ioctl(fd, BACKING_CLOSE, numberOf(id))),
    mount(fd, target, { uid, gid, allowOther, readOnly }) {
      const data = [
        `fd=${fd}`,
        'rootmode=40000',
        `user_id=${uid}`,
        `group_id=${gid}`,
        'default_permissions',
        ...(allowOther ? ['allow_other'] : []),
      ];
      const flags = MS_NOSUID | MS_NODEV | (readOnly ? MS_RDONLY : 0);
      if (mount('autotorrent', target, 'fuse.autotorrent', flags, data.join(',')) !== 0) {
        throw failure(koffi, 'mount');
      }
    },
  };
}

function declareSockets(koffi: Koffi, func: Func): Pick<FuseDeviceCalls, 'socketPair' | 'receiveDescriptor'> {
  const socketpair = func('int socketpair(int domain, int type, int protocol, void *sockets)');
  const recvmsg = func('int64_t recvmsg(int socket, void *message, int flags)');
  return {
    socketPair() {
      const sockets = Buffer.alloc(8);
      if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) !== 0) throw failure(koffi, 'socketpair');
      return [sockets.readInt32LE(0), sockets.readInt32LE(4)];
    },
    receiveDescriptor(socket) {
      // Memory of their own, which does not move: their addresses are handed over.
      const [byte, vector] = [Buffer.alloc(8), Buffer.alloc(16)];
      const [control, header] = [Buffer.alloc(CMSG_BYTES), Buffer.alloc(MSGHDR_BYTES)];
      vector.writeBigUInt64LE(koffi.address(byte), 0);
      vector.writeBigUInt64LE(1n, 8);
      header.writeBigUInt64LE(koffi.address(vector), IOV_AT);
      header.writeBigUInt64LE(1n, IOV_COUNT_AT);
      header.writeBigUInt64LE(koffi.address(control), CONTROL_AT);
      header.writeBigUInt64LE(BigInt(CMSG_BYTES), CONTROL_BYTES_AT);
      if (Number(recvmsg(socket, header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)) < 0) return undefined;
      const brought =
        Number(header.readBigUInt64LE(CONTROL_BYTES_AT)) >= CMSG_FD_AT + 4 &&
        control.readInt32LE(CMSG_LEVEL_AT) === SOL_SOCKET &&
        control.readInt32LE(CMSG_TYPE_AT) === SCM_RIGHTS;
      return brought ? control.readInt32LE(CMSG_FD_AT) : undefined;
    },
  };
}

/** A number of 32 bits, by its address. */
function numberOf(value: number): Buffer {
  const number = Buffer.alloc(4);
  number.writeUInt32LE(value);
  return number;
}
