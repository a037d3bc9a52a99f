/**
 * The mount of the reference `passthrough.ts`: shows a folder unchanged. It has the options of our driver and its way of
 * reading (cached bytes at once, others by a thread), and nothing more.
 * `node dist/bench/references/passthrough-server.js FOLDER MOUNTPOINT` sends `ready` to its parent, and ends with SIGTERM.
 */
import fs from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { FuseStat } from 'fuse-native';
import { errnoOf } from '../../src/errors.ts';
import { loadFuseNative } from '../../src/fuse/native/library.ts';
import { createLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { loadFileCalls } from '../../src/native/files.ts';
import { loadMountCalls } from '../../src/native/mounting.ts';
import { loadProcessCalls } from '../../src/native/process.ts';

const [folder = '', mountPoint = ''] = process.argv.slice(2);
const library = openCLibrary(createLogger('warn'));
const { preadCached } = loadFileCalls(library);
const { exitNow, loadGlobally } = loadProcessCalls(library);
const Fuse = loadFuseNative(loadGlobally === undefined ? {} : { loadGlobally });

const errno = (error: unknown): number =>
  -((constants.errno as Readonly<Record<string, number>>)[errnoOf(error) ?? ''] ?? constants.errno.EIO);

const toStat = (s: fs.Stats): FuseStat => ({
  mode: s.mode,
  uid: s.uid,
  gid: s.gid,
  size: s.size,
  nlink: s.nlink,
  ino: s.ino,
  blocks: s.blocks,
  blksize: 4096,
  atime: Math.floor(s.atimeMs),
  mtime: Math.floor(s.mtimeMs),
  ctime: Math.floor(s.ctimeMs),
});

/** O_ACCMODE. The kernel handles the other flags by itself. */
const ACCESS_MODE = 3;

const done =
  (reply: (result: number) => void) =>
  (error: NodeJS.ErrnoException | null): void =>
    reply(error === null ? 0 : errno(error));

const fuse = new Fuse(
  mountPoint,
  {
    getattr: (path, reply) =>
      fs.lstat(join(folder, path), (error, s) => (error === null ? reply(0, toStat(s)) : reply(errno(error)))),
    readdir: (path, reply) =>
      fs.readdir(join(folder, path), (error, names) =>
        error === null ? reply(0, ['.', '..', ...names]) : reply(errno(error)),
      ),
    open: (path, flags, reply) =>
      fs.open(join(folder, path), flags & ACCESS_MODE, (error, fd) =>
        error === null ? reply(0, fd) : reply(errno(error)),
      ),
    create: (path, mode, reply) =>
      fs.open(join(folder, path), fs.constants.O_RDWR | fs.constants.O_CREAT, mode, (error, fd) =>
        error === null ? reply(0, fd) : reply(errno(error)),
      ),
    // Synchronous: a thread was measured to be slower by a fifth (16 KiB) to a third (128 KiB).
    write: (_path, fd, buffer, length, position, reply) => {
      try {
        reply(fs.writeSync(fd, buffer, 0, length, position));
      } catch (error) {
        reply(errno(error));
      }
    },
    truncate: (path, size, reply) => fs.truncate(join(folder, path), size, done(reply)),
    ftruncate: (_path, fd, size, reply) => fs.ftruncate(fd, size, done(reply)),
    chmod: (path, mode, reply) => fs.chmod(join(folder, path), mode, done(reply)),
    utimens: (path, atime, mtime, reply) => fs.utimes(join(folder, path), atime / 1000, mtime / 1000, done(reply)),
    unlink: (path, reply) => fs.unlink(join(folder, path), done(reply)),
    rename: (path, to, reply) => fs.rename(join(folder, path), join(folder, to), done(reply)),
    mkdir: (path, mode, reply) => fs.mkdir(join(folder, path), mode, done(reply)),
    rmdir: (path, reply) => fs.rmdir(join(folder, path), done(reply)),
    flush: (_path, _fd, reply) => reply(0),
    fsync: (_path, dataOnly, fd, reply) => (dataOnly === 0 ? fs.fsync : fs.fdatasync)(fd, done(reply)),
    read: (_path, fd, buffer, length, position, reply) => {
      const got = Math.max(0, preadCached?.(fd, buffer, 0, length, position) ?? 0);
      if (got === length) return reply(got);
      return fs.read(fd, buffer, got, length - got, position + got, (error, bytes) =>
        reply(error === null ? got + bytes : errno(error)),
      );
    },
    release: (_path, fd, reply) => fs.close(fd, () => reply(0)),
  },
  {
    timeout: false,
    fsname: 'passthrough,use_ino,big_writes',
    subtype: 'autotorrent',
    allowOther: false,
    defaultPermissions: true,
    entryTimeout: '1',
    attrTimeout: '1',
  },
);

fuse.mount((error) => {
  if (error !== null) throw error;
  process.send?.('ready');
});
process.on('SIGTERM', () => {
  void (async () => {
    await loadMountCalls(library).unmount?.(mountPoint, true);
    exitNow?.(0);
    process.exit(0);
  })();
});
