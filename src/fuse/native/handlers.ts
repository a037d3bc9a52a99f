/**
 * Hands fuse-native's calls to the vfs. The handlers translate and decide nothing.
 *
 * There are no handlers for xattr and access. With getxattr the kernel would ask for security.capability before each write;
 * with default_permissions it never asks for access.
 */
import { dirname } from 'node:path/posix';
import type { FuseHandlers, FuseStat, FuseStatfs } from 'fuse-native';
import { PosixError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { SHOWN_NAME_BYTES } from '../../name-limits.ts';
import { fromMilliseconds, toMilliseconds } from '../../native/timestamp.ts';
import type { AttributeChanges, Attributes, FileSystemStats, MaybePromise, Operations } from '../../vfs/operations.ts';
import { errnoFor } from '../errno.ts';
import { PERMISSIONS, TYPE_BITS, typeOf } from '../file-mode.ts';
import { type OpenName, OpenNames } from './open-names.ts';
import { Paths } from './paths.ts';
import type { ThreadTimes } from './thread-times.ts';

/** chown(2): leaves an id unchanged. */
const NO_ID = 0xffff_ffff;
/** fuse-native passes no access mode to create. */
const READ_WRITE = 2;

export function createHandlers(operations: Operations, logger: Logger, times: ThreadTimes): FuseHandlers {
  const ability = operations.paths;
  if (ability === undefined) throw new Error('fuse-native names files by paths, which these operations do not resolve');
  const paths = new Paths(ability);
  const names = new OpenNames();

  /** Runs `work` and replies with its result or an errno, in the same tick of the event loop where it can. */
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

  /** Resolves the parent of a name. */
  const at = <T>(path: string, work: (parent: number, name: string) => MaybePromise<T>): MaybePromise<T> => {
    const { parent, name } = paths.place(path);
    return typeof parent === 'number' ? work(parent, name) : parent.then((ino) => work(ino, name));
  };

  /** Resolves the parent of a name that will be created. */
  const toBe: typeof at = (path, work) => at(path, (parent, name) => work(parent, utf8(name)));

  const open = (path: string, ino: number, flags: number): MaybePromise<number> => {
    if (!ability.hasClientNames(ino)) return operations.open(ino, flags);
    return at(path, async (parent, name) => {
      const opened = names.begin(ino, { parent, name }, flags);
      try {
        const handle = await operations.open(ino, flags);
        names.opened(opened, handle);
        return handle;
      } catch (error) {
        names.end(opened);
        throw error;
      }
    });
  };

  const rename = async (from: OpenName, to: OpenName): Promise<void> => {
    await operations.rename(from.parent, from.name, to.parent, to.name);
    names.renamed(from, to);
  };

  const release = (handle: number): MaybePromise<void> => {
    names.released(handle);
    return operations.release(handle);
  };

  const change = (name: string, path: string, changes: AttributeChanges, reply: (errno: number) => void): void =>
    answer(
      name,
      () => on(path, (ino) => operations.setattr(ino, changes)),
      (errno) => reply(errno),
    );

  return {
    getattr: (path, reply) =>
      answer(
        'getattr',
        () => on(path, (ino) => operations.getattr(ino)),
        (errno, attributes) => reply(errno, attributes === undefined ? undefined : toStat(attributes)),
      ),
    readdir: (path, reply) => {
      const names = ['.', '..'];
      /** The kernel uses the inode number and the type alone. */
      const stats: FuseStat[] = [];
      const list = async (ino: number): Promise<void> => {
        const parent = await paths.resolve(dirname(path));
        stats.push({ mode: TYPE_BITS.directory, ino }, { mode: TYPE_BITS.directory, ino: parent });
        const handle = await operations.opendir(ino);
        try {
          for await (const page of operations.readdir(handle, 0)) {
            for (const { name, ino, type } of page) {
              names.push(name);
              stats.push({ mode: TYPE_BITS[type], ino });
            }
          }
        } finally {
          await operations.releasedir(handle);
        }
      };
      answer(
        'readdir',
        () => on(path, list),
        (errno) => reply(errno, names, stats),
      );
    },
    readlink: (path, reply) => answer('readlink', () => on(path, (ino) => operations.readlink(ino)), reply),
    open: (path, flags, reply) => answer('open', () => on(path, (ino) => open(path, ino, flags)), reply),
    read: (_path, handle, buffer, _length, position, reply) => {
      answer(
        'read',
        () => operations.read(handle, buffer, position),
        (errno, bytes) => reply(errno === 0 ? (bytes ?? 0) : errno),
      );
    },
    release: (_path, handle, reply) => answer('release', () => release(handle), reply),
    statfs: (_path, reply) =>
      answer(
        'statfs',
        () => operations.statfs(),
        (errno, stats) => reply(errno, stats === undefined ? undefined : toStatfs(stats)),
      ),
    create: (path, mode, reply) =>
      answer(
        'create',
        () => toBe(path, (parent, name) => operations.create(parent, name, mode & PERMISSIONS, READ_WRITE)),
        (errno, made) => reply(errno, made?.handle),
      ),
    write: (_path, handle, buffer, _length, position, reply) =>
      answer(
        'write',
        () => operations.write(handle, buffer, position),
        (errno, bytes) => reply(errno === 0 ? (bytes ?? 0) : errno),
      ),
    flush: (_path, handle, reply) => answer('flush', () => operations.flush(handle), reply),
    fsync: (_path, dataOnly, handle, reply) => answer('fsync', () => operations.fsync(handle, dataOnly !== 0), reply),
    fsyncdir: (path, _dataOnly, _handle, reply) =>
      answer('fsyncdir', () => on(path, (ino) => operations.fsyncdir(ino)), reply),
    truncate: (path, size, reply) => change('truncate', path, { size }, reply),
    ftruncate: (path, _handle, size, reply) => change('ftruncate', path, { size }, reply),
    chmod: (path, mode, reply) => change('chmod', path, { mode: mode & PERMISSIONS }, reply),
    chown: (path, uid, gid, reply) =>
      change('chown', path, { ...(uid === NO_ID ? {} : { uid }), ...(gid === NO_ID ? {} : { gid }) }, reply),
    utimens: (path, handed, _mtime, reply) => {
      const { atime, mtime } = times.of(handed);
      change('utimens', path, { atime: fromMilliseconds(atime), mtime: fromMilliseconds(mtime) }, reply);
    },
    mknod: (path, mode, rdev, reply) =>
      answer(
        'mknod',
        () => toBe(path, (parent, name) => operations.mknod(parent, name, typeOf(mode), mode & PERMISSIONS, rdev)),
        (errno) => reply(errno),
      ),
    mkdir: (path, mode, reply) =>
      answer(
        'mkdir',
        () => toBe(path, (parent, name) => operations.mkdir(parent, name, mode & PERMISSIONS)),
        (errno) => reply(errno),
      ),
    symlink: (target, path, reply) =>
      answer(
        'symlink',
        () => toBe(path, (parent, name) => operations.symlink(parent, name, utf8(target))),
        (errno) => reply(errno),
      ),
    link: (path, to, reply) =>
      answer(
        'link',
        () => on(path, (ino) => toBe(to, (parent, name) => operations.link(ino, parent, name))),
        (errno) => reply(errno),
      ),
    unlink: (path, reply) =>
      answer(
        'unlink',
        () => (paths.unhide(path) ? undefined : at(path, (parent, name) => operations.unlink(parent, name))),
        (errno) => reply(errno),
      ),
    rmdir: (path, reply) => answer('rmdir', () => at(path, (parent, name) => operations.rmdir(parent, name)), reply),
    rename: (path, to, reply) =>
      answer(
        'rename',
        () =>
          at(path, (parent, name) =>
            paths.hides(to)
              ? hide(parent, name, path, to)
              : toBe(to, (newParent, newName) => rename({ parent, name }, { parent: newParent, name: newName })),
          ),
        (errno) => reply(errno),
      ),
  };

  /**
   * Deletes an open file. libfuse 2 asks for that by renaming it, and deletes the new name when the file is closed. Further
   * calls with the new name go to the inode.
   */
  async function hide(parent: number, name: string, path: string, to: string): Promise<void> {
    const ino = await paths.resolve(path);
    if (!ability!.isOpen(ino)) {
      // A program renames a file to a name that looks like one of libfuse's.
      const place = paths.place(to);
      await operations.rename(parent, name, await place.parent, place.name);
      return;
    }
    await operations.unlink(parent, name);
    paths.hide(to, ino);
  }
}

/** Refuses a name that is not UTF-8: fuse-native puts U+FFFD into it, so that two names would become one. */
function utf8(text: string): string {
  if (text.includes('\ufffd')) throw new PosixError('EILSEQ');
  return text;
}

function toStat(attributes: Attributes): FuseStat {
  const { type, mode, nlink, uid, gid, rdev, size, ino, blocks, atime, mtime, ctime } = attributes;
  return {
    mode: TYPE_BITS[type] | mode,
    nlink,
    uid,
    gid,
    rdev,
    size,
    ino,
    blocks,
    blksize: 4096,
    // fuse-native takes unsigned times.
    atime: Math.max(0, toMilliseconds(atime)),
    mtime: Math.max(0, toMilliseconds(mtime)),
    ctime: Math.max(0, toMilliseconds(ctime)),
  };
}

/** The fields of fuse-native have 32 bits: in blocks of a mebibyte they hold 4 PiB. */
const STATFS_BLOCK = 2 ** 20;

function toStatfs(stats: FileSystemStats): FuseStatfs {
  const scaled = (blocks: number): number => fit(Math.floor((blocks * stats.bsize) / STATFS_BLOCK));
  return {
    bsize: STATFS_BLOCK,
    frsize: STATFS_BLOCK,
    // Of what a folder may list: programs size buffers by it.
    namemax: SHOWN_NAME_BYTES,
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
