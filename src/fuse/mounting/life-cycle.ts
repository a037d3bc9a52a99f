/**
 * The life of a mount, whichever driver serves it: prepare the mount point, let the driver mount, watch the mount table; at
 * the end write the kernel's dirty pages before the mount is removed.
 */
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { MountCalls } from '../../native/mounting.ts';
import type { Mount, MountOptions, Session } from '../driver.ts';
import { makeNotWritable, makeWritable, mountsAt, prepareMountPoint, realMountPoint } from './mount-point.ts';
import { checkRequirements } from './requirements.ts';
import { syncMount } from './sync.ts';
import { unmount } from './unmount.ts';
import { type WatchedMount, watchMount } from './watch.ts';

export interface LifeCycleOptions extends Pick<MountOptions, 'mountPoint' | 'readOnly'> {
  readonly calls: MountCalls;
  /** A program that must be there for users other than root. */
  readonly helper?: string;
  /** The driver can mount on a file system of its own: a volume, dataset or subvolume. */
  readonly onFileSystems: boolean;
  readonly logger: Logger;
}

/** Mounts, and resolves when the kernel has the mount. `openSession` loads the driver. @throws AutotorrentError('MOUNT') */
export async function startMount(openSession: () => Session, options: LifeCycleOptions): Promise<Mount> {
  const { calls, logger, readOnly, onFileSystems } = options;
  checkRequirements(options.helper);
  const session = openSession();
  const mountPoint = await realMountPoint(options.mountPoint);
  const detach = async (path: string): Promise<void> => await unmount(path, calls);
  const directory = await prepareMountPoint(mountPoint, { detach, onFileSystems, logger });
  try {
    await makeWritable(directory);
    const watched = await begin(session, mountPoint, directory.fd, calls);
    const ended = watched.gone.then(async () => await session.end());
    let unmounting: Promise<void> | undefined;
    const takeAway = async (): Promise<void> => {
      if (!readOnly) await syncMount(mountPoint, logger);
      await unmount(mountPoint, calls);
    };
    const removeWhenDead = async (): Promise<void> => {
      await session.ended;
      if (unmounting === undefined) await removeDead(mountPoint, watched, calls, logger);
    };
    if (session.ended !== undefined) void removeWhenDead();
    return {
      ended,
      get known() {
        return session.known;
      },
      describe: () => session.describe?.(),
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

/** Lets the driver mount. What it has mounted goes where it fails later. */
async function begin(
  session: Session,
  mountPoint: string,
  directory: number,
  calls: MountCalls,
): Promise<WatchedMount> {
  const before = (await mountsAt(mountPoint)).length;
  try {
    await session.start(mountPoint, directory);
    return await watchMount(mountPoint);
  } catch (error) {
    // Its requests may be under way.
    if ((await mountsAt(mountPoint)).length > before) await unmount(mountPoint, calls).catch(() => {});
    await session.end();
    throw error;
  }
}

/** Removes a mount that was aborted: it is there still, and gives programs nothing but errors. */
async function removeDead(mountPoint: string, watched: WatchedMount, calls: MountCalls, logger: Logger): Promise<void> {
  try {
    if (await watched.isGone()) return;
    logger.error(`the connection of ${mountPoint} was aborted`);
    await unmount(mountPoint, calls);
    watched.lookNow();
  } catch (error) {
    logger.error(`${mountPoint} is left without a server: ${messageOf(error)}`);
  }
}
