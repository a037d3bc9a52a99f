/**
 * A FUSE file system that shows a folder, as a program of its own, for tests of sources on such file systems. Like sshfs and
 * most FUSE drivers it hands out other inode numbers at each mount. It can answer late, as a disk does that wakes up.
 *
 * `node passthrough-mount.js FOLDER MOUNTPOINT [DELAY_MS]` sends `ready` to its parent. It ends on SIGTERM, and when the
 * parent ends. The message `{ delayMs }` changes the delay of all further answers; 0 gives also those at once that wait. The
 * message `{}` is answered with `{ waiting }`, how many wait.
 */
import { randomInt } from 'node:crypto';
import fs from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { FuseStat } from 'fuse-native';
import { errnoOf } from '../../src/errors.ts';
import { loadFuseNative } from '../../src/fuse/native/library.ts';
import { silentLogger } from '../../src/logger.ts';
import { openCLibrary } from '../../src/native/c-library.ts';
import { loadMountCalls } from '../../src/native/mounting.ts';
import { loadProcessCalls } from '../../src/native/process.ts';

const [folder = '', mountPoint = '', delay = '0'] = process.argv.slice(2);
let delayMs = Number(delay);
const library = openCLibrary(silentLogger);
const { exitNow, loadGlobally } = loadProcessCalls(library);
const Fuse = loadFuseNative(loadGlobally === undefined ? {} : { loadGlobally });

/** O_ACCMODE. The kernel handles the other flags by itself. */
const ACCESS_MODE = 3;
/** Other at each mount, so that every inode number is, too. */
const SALT = randomInt(2 ** 32);
/** A large odd number: the product of different inode numbers differs in its lower 32 bits. */
const SPREAD = 2_654_435_761n;

const inodeNumber = (ino: number): number => Number((BigInt(ino) * SPREAD + BigInt(SALT)) & 0xffff_ffffn) || 1;

const errno = (error: unknown): number =>
  -((constants.errno as Readonly<Record<string, number>>)[errnoOf(error) ?? ''] ?? constants.errno.EIO);

const toStat = (s: fs.Stats): FuseStat => ({
  mode: s.mode,
  uid: s.uid,
  gid: s.gid,
  size: s.size,
  nlink: s.nlink,
  ino: inodeNumber(s.ino),
  blocks: s.blocks,
  blksize: 4096,
  atime: Math.floor(s.atimeMs),
  mtime: Math.floor(s.mtimeMs),
  ctime: Math.floor(s.ctimeMs),
});

/** The answers that wait. */
const late = new Set<() => void>();

/** Does `action`, after the delay if there is one. */
function soon(action: () => void): void {
  if (delayMs === 0) return action();
  const answer = (): void => {
    clearTimeout(timer);
    if (late.delete(answer)) action();
  };
  const timer = setTimeout(answer, delayMs);
  late.add(answer);
}

const at = (path: string): string => join(folder, path);

/** An operation that answers 0. */
const done =
  <Args extends unknown[]>(operation: (done: fs.NoParamCallback, ...args: Args) => void) =>
  (...args: [...Args, (result: number) => void]): void => {
    const reply = args.at(-1) as (result: number) => void;
    const rest = args.slice(0, -1) as unknown as Args;
    soon(() => operation((error) => reply(error === null ? 0 : errno(error)), ...rest));
  };

const fuse = new Fuse(
  mountPoint,
  {
    getattr: (path, reply) =>
      soon(() => fs.lstat(at(path), (error, s) => (error === null ? reply(0, toStat(s)) : reply(errno(error))))),
    readdir: (path, reply) =>
      soon(() =>
        fs.readdir(at(path), (error, names) =>
          error === null ? reply(0, ['.', '..', ...names]) : reply(errno(error)),
        ),
      ),
    open: (path, flags, reply) =>
      soon(() =>
        fs.open(at(path), flags & ACCESS_MODE, (error, fd) => (error === null ? reply(0, fd) : reply(errno(error)))),
      ),
    create: (path, mode, reply) =>
      soon(() =>
        fs.open(at(path), fs.constants.O_RDWR | fs.constants.O_CREAT, mode, (error, fd) =>
          error === null ? reply(0, fd) : reply(errno(error)),
        ),
      ),
    read: (_path, fd, buffer, length, position, reply) =>
      soon(() =>
        fs.read(fd, buffer, 0, length, position, (error, bytes) => reply(error === null ? bytes : errno(error))),
      ),
    write: (_path, fd, buffer, length, position, reply) =>
      soon(() =>
        fs.write(fd, buffer, 0, length, position, (error, bytes) => reply(error === null ? bytes : errno(error))),
      ),
    release: (_path, fd, reply) => fs.close(fd, () => reply(0)),
    flush: (_path, _fd, reply) => reply(0),
    fsync: done((end, _path, _dataOnly, fd) => fs.fsync(fd, end)),
    truncate: done((end, path, size) => fs.truncate(at(path), size, end)),
    ftruncate: done((end, _path, fd, size) => fs.ftruncate(fd, size, end)),
    chmod: done((end, path, mode) => fs.chmod(at(path), mode, end)),
    chown: done((end, path, uid, gid) => fs.lchown(at(path), uid, gid, end)),
    utimens: done((end, path, atime, mtime) => fs.utimes(at(path), atime / 1000, mtime / 1000, end)),
    unlink: done((end, path) => fs.unlink(at(path), end)),
    rename: done((end, path, to) => fs.rename(at(path), at(to), end)),
    link: done((end, path, to) => fs.link(at(path), at(to), end)),
    mkdir: done((end, path, mode) => fs.mkdir(at(path), mode, end)),
    rmdir: done((end, path) => fs.rmdir(at(path), end)),
  },
  {
    timeout: false,
    fsname: 'tests,use_ino,big_writes',
    subtype: 'passthrough',
    allowOther: true,
    defaultPermissions: true,
    entryTimeout: '1',
    attrTimeout: '1',
  },
);

fuse.mount((error) => {
  if (error !== null) throw error;
  process.send?.('ready');
});
process.on('message', (message: { readonly delayMs?: number }) => {
  if (message.delayMs === undefined) process.send?.({ waiting: late.size });
  else delayMs = message.delayMs;
  if (delayMs === 0) for (const answer of late) answer();
});
const end = (): void =>
  void (async () => {
    await loadMountCalls(library).unmount?.(mountPoint, true);
    exitNow?.(0);
    process.exit(0);
  })();
process.on('SIGTERM', end);
process.on('disconnect', end);
