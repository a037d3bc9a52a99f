/**
 * The life of a mount, whichever driver serves it: prepare the mount point, let the driver mount, watch the mount table; at
 * the end write the kernel's dirty pages before the mount is removed.
 */
import type { Logger } from '../../logger.ts';
import type { MountCalls } from '../../native/mounting.ts';
import type { Mount, MountOptions, Session } from '../driver.ts';
import { makeNotWritable, makeWritable, prepareMountPoint, realMountPoint } from './mount-point.ts';
import { checkRequirements } from './requirements.ts';
import { syncMount } from './sync.ts';
import { unmount } from './unmount.ts';
import { watchMount } from './watch.ts';

export interface LifeCycleOptions extends Pick<MountOptions, 'mountPoint' | 'readOnly'> {
  readonly calls: MountCalls;
  readonly logger: Logger;
}

/** Mounts, and resolves when the kernel has the mount. `openSession` loads the driver. @throws AutotorrentError('MOUNT') */
export async function startMount(openSession: () => Session, options: LifeCycleOptions): Promise<Mount> {
  const { calls, logger, readOnly } = options;
  checkRequirements();
  const session = openSession();
  const mountPoint = await realMountPoint(options.mountPoint);
  const directory = await prepareMountPoint(mountPoint, async (path) => await unmount(path, calls), logger);
  try {
    await makeWritable(directory);
    await session.start(mountPoint);
    const watched = await watchMount(mountPoint);
    const ended = watched.gone.then(async () => await session.end());
    let unmounting: Promise<void> | undefined;
    const takeAway = async (): Promise<void> => {
      if (!readOnly) await syncMount(mountPoint, logger);
      await unmount(mountPoint, calls);
    };
    return {
      ended,
      get known() {
        return session.known;
      },
      async unmount() {
        unmounting ??= takeAway().finally(() => {
          unmounting = undefined;
        });
        await unmounting;
        watched.lookNow();
        await ended;
      },
    };
  } finally {
    try {
      await makeNotWritable(directory);
    } finally {
      await directory.close();
    }
  }
}
