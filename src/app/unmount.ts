/** `autotorrent unmount`: stops the server of a configuration, or removes the mount of a killed server. */
import type { Config } from '../config/config.ts';
import { mountsAt, realMountPoint } from '../fuse/mounting/mount-point.ts';
import { unmount } from '../fuse/mounting/unmount.ts';
import type { Logger } from '../logger.ts';
import { openCLibrary } from '../native/c-library.ts';
import { OUR_TYPE } from '../native/mountinfo.ts';
import { loadMountCalls } from '../native/mounting.ts';
import { findServer } from './server-connection.ts';

/** `stopped`: a server ended and its mount with it. `stale`: a mount without a server was removed. */
export type UnmountOutcome = 'stopped' | 'stale' | 'nothing';

/**
 * Unmounts. Leaves anything else that is mounted at `store_path` alone. `onWarning` reports clients that could not be stopped.
 * @throws AutotorrentError('MOUNT')
 */
export async function unmountStore(
  config: Config,
  logger: Logger,
  onWarning: (message: string) => void,
): Promise<UnmountOutcome> {
  const server = await findServer(config);
  if (server !== undefined) {
    for await (const warning of server.shutdown()) onWarning(warning);
    return 'stopped';
  }
  const mounts = await mountsAt(await realMountPoint(config.storePath));
  if (mounts.at(-1)?.type !== OUR_TYPE) return 'nothing';
  await unmount(config.storePath, loadMountCalls(openCLibrary(logger)));
  return 'stale';
}
