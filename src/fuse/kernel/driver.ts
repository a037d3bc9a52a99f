/**
 * The driver `kernel`: speaks FUSE on /dev/fuse itself, without libfuse (`native-notes/kernel.md`). Files are inodes for the
 * kernel, as they are for the vfs: two names of one file share their pages, and a file without a name is served while it is open.
 */
import { closeSync, write } from 'node:fs';
import { AutotorrentError, messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { CLibrary } from '../../native/c-library.ts';
import { FUSE_DEVICE, type FuseDeviceCalls, loadFuseDeviceCalls } from '../../native/fuse-device.ts';
import { loadMountCalls } from '../../native/mounting.ts';
import { loadWaitingCalls } from '../../native/waiting.ts';
import type { Operations } from '../../vfs/operations.ts';
import type { Driver, MountOptions, Session } from '../driver.ts';
import { startMount } from '../mounting/life-cycle.ts';
import { mountDevice } from '../mounting/mount-device.ts';
import { DeviceReader } from './device-reader.ts';
import { Dispatcher } from './dispatch.ts';
import { Nodes } from './nodes.ts';
import { Notifying } from './notifying.ts';
import { backingCallsOf, Passthrough } from './passthrough.ts';
import { USUAL_FLAGS, type Wanted } from './protocol/negotiation.ts';
import { InitFlag } from './protocol/structures.ts';
import type { RequestSource } from './request-source.ts';
import { KernelSession, OldKernel } from './session.ts';
import { Workers } from './workers.ts';

/** Bytes: as many as a request may have (256 pages of 4 KiB). */
const MAX_TRANSFER = 2 ** 20;
/** Threads that read requests. */
const WORKERS = 2;

/**
 * `maxBackground`: requests that fill the page cache. Of the usual 12, those of a dozen readers of a disk that sleeps would be
 * all, and every other reader would wait for that disk.
 */
const WANTED: Wanted = {
  flags: USUAL_FLAGS,
  maxWrite: MAX_TRANSFER,
  maxReadahead: MAX_TRANSFER,
  maxBackground: 1024,
  congestionThreshold: 768,
  maxStackDepth: 0,
  pageBytes: 4096,
};

/**
 * What the vfs can do decides some flags. Files that are passed through lie on a file system that is stacked on none: with a depth
 * of 1 another one (overlayfs) may be stacked on our mount. With 2, files on overlayfs could be passed through, and overlayfs would
 * refuse our mount.
 */
function wantedOf({ generation, parentOf, killSetIds }: Operations, passesThrough: boolean): Wanted {
  let { flags } = WANTED;
  // File handles need a generation, or they could lead to files of another store; and a way up from each directory.
  if (generation !== undefined && parentOf !== undefined) flags |= InitFlag.EXPORT_SUPPORT;
  // The server clears set-id bits where it can, so that the kernel need not look for capabilities before each write.
  if (killSetIds !== undefined) flags |= InitFlag.HANDLE_KILLPRIV_V2;
  return passesThrough ? { ...WANTED, flags: flags | InitFlag.PASSTHROUGH, maxStackDepth: 1 } : { ...WANTED, flags };
}

export interface KernelDriverOptions {
  readonly library: CLibrary;
  readonly logger: Logger;
}

export function createKernelDriver({ library, logger }: KernelDriverOptions): Driver {
  return {
    name: 'kernel',
    unusable: () => (loadFuseDeviceCalls(library) === undefined ? cannotRun() : undefined),
    async mount(operations, options) {
      return await startMount(
        () => openSession(operations, options, { library, device: loadDevice(library), logger }),
        {
          ...options,
          calls: loadMountCalls(library),
          onFileSystems: true,
          logger,
        },
      );
    },
  };
}

/** @throws AutotorrentError('MOUNT') if this driver cannot run here */
function loadDevice(library: CLibrary): FuseDeviceCalls {
  const calls = loadFuseDeviceCalls(library);
  if (calls !== undefined) return calls;
  throw cannotRun();
}

function cannotRun(): AutotorrentError {
  return new AutotorrentError(
    'MOUNT',
    'driver kernel needs Linux on a usual processor of 64 bits, and the package koffi',
    {
      hint: 'Run npm ci again, without --omit=optional (native-notes/koffi.md); or set driver = fuse-native.',
    },
  );
}

interface Parts {
  readonly library: CLibrary;
  readonly device: FuseDeviceCalls;
  readonly logger: Logger;
}

/** Workers where there can be any, else the thread that serves. */
function requestSource(fd: number, { lending }: Operations, { library, device, logger }: Parts): RequestSource {
  const waiting = loadWaitingCalls(library);
  if (lending === undefined || waiting === undefined) return new DeviceReader(fd, logger);
  try {
    return new Workers({ fd, device, waiting, table: lending.table, count: WORKERS, logger });
  } catch (error) {
    logger.info(`one thread makes all reads, since ${FUSE_DEVICE} cannot be cloned: ${messageOf(error)}`);
    return new DeviceReader(fd, logger);
  }
}

function openSession(operations: Operations, options: MountOptions, parts: Parts): Session {
  const { device, logger } = parts;
  const nodes = new Nodes();
  let end = (): void => {};
  let describe = (): string | undefined => undefined;
  let noMore = (): void => {};
  const ended = new Promise<void>((resolve) => {
    noMore = resolve;
  });
  return {
    ended,
    get known() {
      return nodes.size;
    },
    describe: () => describe(),
    async start(mountPoint, directory) {
      const fd = await mountDevice(device, { ...options, mountPoint, directory });
      const source = requestSource(fd, operations, parts);
      const { backing } = operations;
      const passthrough = backing && new Passthrough({ backing, nodes, logger, ...backingCallsOf(device, fd) });
      const dispatcher = new Dispatcher(operations, nodes, operations.generation ?? 1, passthrough);
      const wanted = wantedOf(operations, passthrough !== undefined);
      const session = new KernelSession({ source, dispatcher, wanted, logger });
      const notifying = new Notifying(nodes, async (message) => await writeElsewhere(fd, message), logger);
      const unwatch = operations.watchStale?.((stale) => notifying.stale(stale));
      end = (): void => {
        end = () => {};
        unwatch?.();
        notifying.end();
        source.stop();
        closeSync(fd);
      };
      session.start();
      const { minor, maxStackDepth } = await session.agreed.catch((error: unknown) => {
        throw error instanceof OldKernel
          ? new AutotorrentError(
              'MOUNT',
              `the kernel speaks FUSE ${error.message}, which is too old for driver kernel`,
              {
                hint: 'Set driver = fuse-native.',
              },
            )
          : error;
      });
      passthrough?.begin(maxStackDepth);
      describe = () => `FUSE 7.${minor}, ${passthrough?.describe() ?? 'no passthrough: it is switched off'}`;
      void source.ended.then(noMore);
    },
    async end() {
      end();
    },
  };
}

async function writeElsewhere(fd: number, message: Buffer): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    write(fd, message, 0, message.length, null, (error) => (error === null ? resolve() : reject(error)));
  });
}
