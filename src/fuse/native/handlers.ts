/**
 * The vfs as fuse-native's handlers. They translate and decide nothing.
 *
 * There are no handlers for xattr and access: with getxattr the kernel asks for security.capability before each write,
 * and default_permissions makes access pointless.
 */
import { dirname } from 'node:path/posix';
import type { FuseHandlers, FuseStat, FuseStatfs } from 'fuse-native';
import { PosixError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { Attributes, FileSystemStats, FileType, MaybePromise, Operations } from '../../vfs/operations.ts';
import { errnoFor } from '../errno.ts';
import { Paths } from './paths.ts';

const TYPE_BITS: Readonly<Record<FileType, number>> = { file: 0o100000, directory: 0o040000, symlink: 0o120000 };

export function createHandlers(operations: Operations, logger: Logger): FuseHandlers {
  const paths = new Paths(operations);

  /** Runs `work` and replies with its result, or with an errno; without a tick of the event loop where it can. */
  function answer<T>(name: string, work: () => MaybePromise<T>, reply: (errno: number, value?: T) => void): void {
    let result: MaybePromise<T>;
    try {
      result = work();
    } catch (error) {
      reply(errnoFor(error, name, logger));
      return;
    }
    if (!(result instanceof Promise)) {
      reply(0, result);
      return;
    }
    result.then(
      (value) => reply(0, value),
      (error: unknown) => reply(errnoFor(error, name, logger)),
    );
  }

  const on = <T>(path: string, work: (ino: number) => MaybePromise<T>): MaybePromise<T> => {
    const ino = paths.resolve(path);
    return typeof ino === 'number' ? work(ino) : ino.then(work);
  };

  const refuse = (reply: (errno: number) => void): void => reply(errnoFor(new PosixError('EROFS'), '', logger));

  return {
    getattr: (path, reply) =>
      answer(
        'getattr',
        () => on(path, (ino) => operations.getattr(ino)),
        (errno, attributes) => reply(errno, attributes === undefined ? undefined : toStat(attributes)),
      ),
    readdir: (path, reply) => {
      const names = ['.', '..'];
      /** Of these the kernel takes the inode number and the type. */
      const stats: FuseStat[] = [];
      const list = async (ino: number): Promise<void> => {
        const parent = await paths.resolve(dirname(path));
        stats.push({ mode: TYPE_BITS.directory, ino }, { mode: TYPE_BITS.directory, ino: parent });
        for await (const page of operations.readdir(ino)) {
          for (const { name, ino, type } of page) {
            names.push(name);
            stats.push({ mode: TYPE_BITS[type], ino });
          }
        }
      };
      answer(
        'readdir',
        () => on(path, list),
        (errno) => reply(errno, names, stats),
      );
    },
    readlink: (path, reply) => answer('readlink', () => on(path, (ino) => operations.readlink(ino)), reply),
    open: (path, flags, reply) => answer('open', () => on(path, (ino) => operations.open(ino, flags)), reply),
    read: (_path, handle, buffer, _length, position, reply) => {
      answer(
        'read',
        () => operations.read(handle, buffer, position),
        (errno, bytes) => reply(errno === 0 ? (bytes ?? 0) : errno),
      );
    },
    release: (_path, handle, reply) => answer('release', () => operations.release(handle), reply),
    statfs: (_path, reply) =>
      answer(
        'statfs',
        () => operations.statfs(),
        (errno, stats) => reply(errno, stats === undefined ? undefined : toStatfs(stats)),
      ),
    create: (_path, _mode, reply) => refuse(reply),
    write: (_path, _handle, _buffer, _length, _position, reply) => refuse(reply),
    truncate: (_path, _size, reply) => refuse(reply),
    ftruncate: (_path, _handle, _size, reply) => refuse(reply),
    chmod: (_path, _mode, reply) => refuse(reply),
    chown: (_path, _uid, _gid, reply) => refuse(reply),
    utimens: (_path, _atime, _mtime, reply) => refuse(reply),
    mknod: (_path, _mode, _dev, reply) => refuse(reply),
    unlink: (_path, reply) => refuse(reply),
    rename: (_path, _to, reply) => refuse(reply),
    link: (_path, _to, reply) => refuse(reply),
    symlink: (_target, _path, reply) => refuse(reply),
    mkdir: (_path, _mode, reply) => refuse(reply),
    rmdir: (_path, reply) => refuse(reply),
  };
}

function toStat(attributes: Attributes): FuseStat {
  const { type, mode, nlink, uid, gid, size, ino, blocks, atimeMs, mtimeMs, ctimeMs } = attributes;
  return {
    mode: TYPE_BITS[type] | mode,
    nlink,
    uid,
    gid,
    size,
    ino,
    blocks,
    blksize: 4096,
    atime: Math.floor(atimeMs),
    mtime: Math.floor(mtimeMs),
    ctime: Math.floor(ctimeMs),
  };
}

/** Its fields are 32 bits: with blocks of a mebibyte they hold 4 PiB. */
const STATFS_BLOCK = 2 ** 20;
const NAME_MAX = 255;

function toStatfs(stats: FileSystemStats): FuseStatfs {
  const scaled = (blocks: number): number => fit(Math.floor((blocks * stats.bsize) / STATFS_BLOCK));
  return {
    bsize: STATFS_BLOCK,
    frsize: STATFS_BLOCK,
    namemax: NAME_MAX,
    blocks: scaled(stats.blocks),
    bfree: scaled(stats.bfree),
    bavail: scaled(stats.bavail),
    files: fit(stats.files),
    ffree: fit(stats.ffree),
    favail: fit(stats.ffree),
  };
}

function fit(value: number): number {
  return Math.min(value, 0xffff_ffff);
}
