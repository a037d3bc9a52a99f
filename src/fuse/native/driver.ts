/**
 * The driver `fuse-native`: libfuse 2 through an npm package, with prebuilt binaries for linux-x64.
 *
 * Its traps, and what is done about each (fuse-native 2.2.6, libfuse 2.9.9):
 * - Operations that take 15 s answer ETIMEDOUT, and their late buffers write into memory in use: `timeout: false`.
 * - There is no option for use_ino (without it st_ino is not the store's), big_writes (writes of 4 KiB) and ro: options
 *   are joined to one string, so the name of the file system brings them in.
 * - `kernelCache` and `autoCache` stay off: see the invariants of `vfs/file-system.ts`.
 * - Its unmount runs a shell with the path in it: ours is put in its place.
 * - It goes on after somebody else has unmounted: the mount table is watched.
 */
import { accessSync, closeSync, constants, openSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type Fuse from 'fuse-native';
import { AutotorrentError, errnoOf, messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { Libc } from '../../native/libc.ts';
import { OUR_TYPE } from '../../native/mountinfo.ts';
import type { Driver, Mount, MountOptions } from '../driver.ts';
import { makeNotWritable, makeWritable, mountsAt, prepareMountPoint, realMountPoint } from '../mounting/mount-point.ts';
import { syncMount } from '../mounting/sync.ts';
import { unmount } from '../mounting/unmount.ts';
import { createHandlers } from './handlers.ts';
import { loadFuseNative } from './library.ts';
import { ThreadTimes } from './thread-times.ts';

const FUSE_DEVICE = '/dev/fuse';
/** Seconds for which the kernel may believe names and attributes. It cannot be told of a change by this driver. */
const KERNEL_TIMEOUT = '1';
const WATCH_MS = 1000;

export function createFuseNativeDriver(options: { readonly libc: Libc; readonly logger: Logger }): Driver {
  const { libc, logger } = options;
  return {
    name: 'fuse-native',
    async mount(operations, mountOptions: MountOptions): Promise<Mount> {
      const { allowOther, readOnly } = mountOptions;
      checkSystem();
      const Fuse = loadFuseNative(libc);
      // Called by an instance when it closes: by then the mount has gone, and only its threads are left to end.
      Fuse.unmount = (_mountPoint, done) => done(null);
      const mountPoint = await realMountPoint(mountOptions.mountPoint);
      const directory = await prepareMountPoint(mountPoint, async (path) => await unmount(path, libc), logger);
      try {
        await makeWritable(directory);
        const times = new ThreadTimes();
        const fuse = new Fuse(mountPoint, createHandlers(operations, logger, times), {
          timeout: false,
          fsname: ['autotorrent', 'use_ino', 'big_writes', ...(readOnly ? ['ro'] : [])].join(','),
          subtype: 'autotorrent',
          allowOther,
          defaultPermissions: true,
          entryTimeout: KERNEL_TIMEOUT,
          attrTimeout: KERNEL_TIMEOUT,
        });
        times.watch(fuse);
        await start(fuse, mountPoint, allowOther);
        return await watch(fuse, mountPoint, async () => {
          if (!readOnly) await syncMount(mountPoint, logger);
          await unmount(mountPoint, libc);
        });
      } finally {
        try {
          await makeNotWritable(directory);
        } finally {
          await directory.close();
        }
      }
    },
  };
}

async function start(fuse: Fuse, mountPoint: string, allowOther: boolean): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => fuse.mount((error) => (error === null ? resolve() : reject(error))));
  } catch (error) {
    const hint = allowOther
      ? 'The lines above are of the FUSE library. allow_other needs user_allow_other in /etc/fuse.conf, but for root.'
      : 'The lines above are of the FUSE library.';
    throw new AutotorrentError('MOUNT', `${mountPoint} cannot be mounted: ${messageOf(error)}`, { hint, cause: error });
  }
}

/** Nothing announces the end of a mount to the process that serves it; the mount table is looked at each second. */
async function watch(fuse: Fuse, mountPoint: string, takeAway: () => Promise<void>): Promise<Mount> {
  const mounted = (await mountsAt(mountPoint)).at(-1);
  if (mounted?.type !== OUR_TYPE) {
    throw new AutotorrentError('MOUNT', `${mountPoint} was mounted, and is not in the mount table`);
  }
  const gone = async (): Promise<boolean> => !(await mountsAt(mountPoint)).some((mount) => mount.dev === mounted.dev);
  const stopped = new AbortController();
  const wait = async (): Promise<void> => {
    while (!(await gone().catch(() => false))) {
      // Woken by `unmount`, so that a planned end does not take until the next look.
      const waiting = stopped.signal.aborted ? sleep(10) : sleep(WATCH_MS, undefined, { signal: stopped.signal });
      await waiting.catch(() => {});
    }
    await new Promise<void>((resolve) => fuse.unmount(() => resolve()));
  };
  const ended = wait();
  let unmounting: Promise<void> | undefined;
  return {
    ended,
    async unmount() {
      unmounting ??= takeAway().finally(() => {
        unmounting = undefined;
      });
      await unmounting;
      stopped.abort();
      await ended;
    },
  };
}

/** Throws AutotorrentError('MOUNT') where FUSE cannot work here, with what to do. */
function checkSystem(): void {
  try {
    closeSync(openSync(FUSE_DEVICE, 'r+'));
  } catch (error) {
    const missing = errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENODEV' || errnoOf(error) === 'ENXIO';
    throw new AutotorrentError('MOUNT', missing ? `${FUSE_DEVICE} is missing` : `${FUSE_DEVICE}: ${messageOf(error)}`, {
      hint: missing
        ? 'As root: modprobe fuse. In a container: --device /dev/fuse --cap-add SYS_ADMIN.'
        : 'The user needs read and write access to it (chmod 666 /dev/fuse is the default of most systems).',
      cause: error,
    });
  }
  if (process.getuid?.() === 0 || isInPath('fusermount')) return;
  throw new AutotorrentError('MOUNT', 'fusermount is missing, which mounts for users other than root', {
    hint: 'Debian, Ubuntu: apt install fuse3. Fedora: dnf install fuse.',
  });
}

function isInPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
