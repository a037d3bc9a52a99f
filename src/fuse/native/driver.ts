/**
 * The driver `fuse-native`: libfuse 2 through an npm package, with prebuilt binaries for linux-x64.
 *
 * Its traps, and our answer to each (fuse-native 2.2.6, libfuse 2.9.9):
 * - Operations that take 15 s answer ETIMEDOUT, and their late buffers write into memory in use: `timeout: false`.
 * - There is no option for use_ino (without it st_ino is not the store's), big_writes (writes of 4 KiB), max_background and
 *   ro: options are joined to one string, so the name of the file system brings them in.
 * - `kernelCache` and `autoCache` stay off: see the invariants of `vfs/file-system.ts`.
 * - Its unmount runs a shell with the path in it: `mounting/` unmounts in its place.
 * - It goes on after somebody else has unmounted: `mounting/` watches the mount table, and ends it.
 */
import type Fuse from 'fuse-native';
import { AutotorrentError, messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { CLibrary } from '../../native/c-library.ts';
import { loadMountCalls } from '../../native/mounting.ts';
import { loadProcessCalls, type ProcessCalls } from '../../native/process.ts';
import { ATTRIBUTES_MS, type Operations } from '../../vfs/operations.ts';
import type { Driver, MountOptions, Session } from '../driver.ts';
import { startMount } from '../mounting/life-cycle.ts';
import { accountHint, othersHint } from '../mounting/refusals.ts';
import { checkHelper } from '../mounting/requirements.ts';
import { createHandlers } from './handlers.ts';
import { loadFuseNative } from './library.ts';
import { ThreadTimes } from './thread-times.ts';

/** Seconds for which the kernel may cache names and attributes. This driver cannot report changes to it. */
const KERNEL_TIMEOUT = `${ATTRIBUTES_MS / 1000}`;

/**
 * Requests that the kernel has under way at a time that fill its page cache, for the whole mount. Of its usual 12, those of a
 * dozen readers of a disk that sleeps would be all, and every other reader would wait for that disk.
 */
const BACKGROUND = 'max_background=1024';

/** libfuse 2 calls its helper by this name. */
const HELPER = 'fusermount';

export interface FuseNativeOptions {
  readonly library: CLibrary;
  readonly logger: Logger;
}

export function createFuseNativeDriver({ library, logger }: FuseNativeOptions): Driver {
  return {
    name: 'fuse-native',
    unusable() {
      try {
        loadFuseNative(loadProcessCalls(library));
        checkHelper(HELPER);
        return undefined;
      } catch (error) {
        if (error instanceof AutotorrentError) return error;
        throw error;
      }
    },
    async mount(operations, options) {
      return await startMount(() => openSession(operations, options, loadProcessCalls(library), logger), {
        ...options,
        calls: loadMountCalls(library),
        helper: HELPER,
        onFileSystems: false,
        logger,
      });
    },
  };
}

function openSession(operations: Operations, options: MountOptions, calls: ProcessCalls, logger: Logger): Session {
  const { allowOther, readOnly } = options;
  const FuseNative = loadFuseNative(calls);
  // An instance calls this when it closes: the mount has gone by then, and only its threads are left to end.
  FuseNative.unmount = (_mountPoint, done) => done(null);
  let fuse: Fuse | undefined;
  return {
    async start(mountPoint) {
      const times = new ThreadTimes();
      fuse = new FuseNative(mountPoint, createHandlers(operations, logger, times), {
        timeout: false,
        fsname: ['autotorrent', 'use_ino', 'big_writes', BACKGROUND, ...(readOnly ? ['ro'] : [])].join(','),
        subtype: 'autotorrent',
        allowOther,
        defaultPermissions: true,
        entryTimeout: KERNEL_TIMEOUT,
        attrTimeout: KERNEL_TIMEOUT,
      });
      times.watch(fuse);
      await mount(fuse, mountPoint, allowOther);
    },
    async end() {
      await new Promise<void>((resolve) => {
        if (fuse === undefined) resolve();
        else fuse.unmount(() => resolve());
      });
    },
  };
}

async function mount(fuse: Fuse, mountPoint: string, allowOther: boolean): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => fuse.mount((error) => (error === null ? resolve() : reject(error))));
  } catch (error) {
    const hint = ['The lines above are of the FUSE library, if it said anything.'];
    if (allowOther) hint.push(othersHint());
    hint.push(...[accountHint() ?? []].flat());
    throw new AutotorrentError('MOUNT', `${mountPoint} cannot be mounted: ${messageOf(error)}`, {
      hint: hint.join(' '),
      cause: error,
    });
  }
}
