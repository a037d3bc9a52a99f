/** `autotorrent unmount`: stops the server of a configuration, or removes what a killed one has left. */
import type { Config } from '../config/config.ts';
import { removeStaleMount } from '../fuse/native/stale-mount.ts';
import { findServer } from './server-connection.ts';

/** `stopped`: a server ended and its mount with it. `stale`: a mount without a server was removed. */
export type UnmountOutcome = 'stopped' | 'stale' | 'nothing';

export async function unmountStore(config: Config): Promise<UnmountOutcome> {
  const server = await findServer(config);
  if (server !== undefined) {
    await server.shutdown();
    return 'stopped';
  }
  return (await removeStaleMount(config.storePath)) ? 'stale' : 'nothing';
}
