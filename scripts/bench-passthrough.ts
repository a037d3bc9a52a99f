/**
 * A bare fuse-native pass-through, the reference of `bench-mount.ts`: a folder shown as it is, with the options of our
 * driver and its way of reading (the page cache at once, the rest by a thread), and nothing of what ours does beside.
 * `node bench-passthrough.js FOLDER MOUNTPOINT`; says `ready` to its parent, ends with SIGTERM.
 */
import fs from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { FuseStat } from 'fuse-native';
import { errnoOf } from '../src/errors.ts';
import { loadFuseNative } from '../src/fuse/native/library.ts';
import { createLogger } from '../src/logger.ts';
import { loadLibc } from '../src/posix/libc.ts';

const [folder = '', mountPoint = ''] = process.argv.slice(2);
const libc = loadLibc(createLogger('warn'));
const Fuse = loadFuseNative(libc);

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

const fuse = new Fuse(
  mountPoint,
  {
    getattr: (path, reply) =>
      fs.lstat(join(folder, path), (error, s) => (error === null ? reply(0, toStat(s)) : reply(errno(error)))),
    readdir: (path, reply) =>
      fs.readdir(join(folder, path), (error, names) =>
        error === null ? reply(0, ['.', '..', ...names]) : reply(errno(error)),
      ),
    open: (path, _flags, reply) =>
      fs.open(join(folder, path), 'r', (error, fd) => (error === null ? reply(0, fd) : reply(errno(error)))),
    read: (_path, fd, buffer, length, position, reply) => {
      const got = Math.max(0, libc.preadCached?.(fd, buffer, 0, length, position) ?? 0);
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
    await libc.unmount?.(mountPoint, true);
    libc.exitNow?.(0);
    process.exit(0);
  })();
});
