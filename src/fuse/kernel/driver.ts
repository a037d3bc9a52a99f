/**
 * The driver `kernel`: speaks FUSE on /dev/fuse itself, without libfuse (`native-notes/kernel.md`). Files are inodes for the
 * kernel, as they are for the vfs: two names of one file share their pages, and a file without a name is served while it is open.
 */
import { closeSync, openSync, write } from 'node:fs';
import { AutotorrentError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { CLibrary } from '../../native/c-library.ts';
import { loadMountCalls, type MountCalls } from '../../native/mounting.ts';
import type { Operations } from '../../vfs/operations.ts';
import type { Driver, MountOptions, Session } from '../driver.ts';
import { startMount } from '../mounting/life-cycle.ts';
import { mountsAt } from '../mounting/mount-point.ts';
import { unmount } from '../mounting/unmount.ts';
import { DeviceReader } from './device-reader.ts';
import { Dispatcher } from './dispatch.ts';
import { Nodes } from './nodes.ts';
import { Notifying } from './notifying.ts';
import { USUAL_FLAGS, type Wanted } from './protocol/negotiation.ts';
import { KernelSession, OldKernel } from './session.ts';

/** Bytes: as many as a request may have (256 pages of 4 KiB). */
const MAX_TRANSFER = 2 ** 20;

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

export interface KernelDriverOptions {
  readonly library: CLibrary;
  readonly logger: Logger;
}

export function createKernelDriver({ library, logger }: KernelDriverOptions): Driver {
  return {
    name: 'kernel',
    async mount(operations, options) {
      const calls = loadMountCalls(library);
      return await startMount(() => openSession(operations, options, { library, calls, logger }), {
        ...options,
        calls,
        logger,
      });
    },
  };
}

interface Parts {
  readonly library: CLibrary;
  readonly calls: MountCalls;
  readonly logger: Logger;
}

function openSession(operations: Operations, options: MountOptions, { library, calls, logger }: Parts): Session {
  const nodes = new Nodes();
  let end = (): void => {};
  return {
    get known() {
      return nodes.size;
    },
    async start(mountPoint) {
      const fd = await mountDevice(library, mountPoint, options);
      const source = new DeviceReader(fd, logger);
      const dispatcher = new Dispatcher(operations, nodes, 1);
      const session = new KernelSession({ source, dispatcher, wanted: WANTED, logger });
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
      await session.agreed.catch((error: unknown) => {
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
      const device = (await mountsAt(mountPoint)).at(-1)?.dev;
      void source.ended.then(async () => await removeDead(mountPoint, device, calls, logger));
    },
    async end() {
      end();
    },
  };
}

/** Removes a mount that was aborted: it is there still, and gives programs nothing but errors. */
async function removeDead(
  mountPoint: string,
  device: number | undefined,
  calls: MountCalls,
  logger: Logger,
): Promise<void> {
  try {
    if (device === undefined || (await mountsAt(mountPoint)).at(-1)?.dev !== device) return;
    logger.error(`the connection of ${mountPoint} was aborted`);
    await unmount(mountPoint, calls);
  } catch (error) {
    logger.error(`${mountPoint} is left without a server: ${String(error)}`);
  }
}

async function writeElsewhere(fd: number, message: Buffer): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    write(fd, message, 0, message.length, null, (error) => (error === null ? resolve() : reject(error)));
  });
}

async function mountDevice(library: CLibrary, mountPoint: string, options: MountOptions): Promise<number> {
  const mount = library.ability('no', ({ func }) =>
    func('int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)'),
  );
  if (mount === undefined) throw new AutotorrentError('MOUNT', 'koffi is missing');
  const fd = openSync('/dev/fuse', 'r+');
  const data = `fd=${fd},rootmode=40000,user_id=0,group_id=0,default_permissions${options.allowOther ? ',allow_other' : ''}`;
  const result: unknown = mount('autotorrent', mountPoint, 'fuse.autotorrent', 6 | (options.readOnly ? 1 : 0), data);
  if (result !== 0) throw new AutotorrentError('MOUNT', `${mountPoint} cannot be mounted`);
  return fd;
}
