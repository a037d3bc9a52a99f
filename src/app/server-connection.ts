/** Connects to the server of a configuration, for the commands that need it. */
import type { Config } from '../config/config.ts';
import { statePaths } from '../config/state-paths.ts';
import { ControlClient } from '../control/client.ts';
import { AutotorrentError } from '../errors.ts';

/** Gives undefined if no server runs. */
export async function findServer(config: Config): Promise<ControlClient | undefined> {
  return ControlClient.connect(statePaths(config.statePath).socket);
}

/** @throws AutotorrentError('SERVER') with the command that starts the server, if none runs */
export async function requireServer(config: Config): Promise<ControlClient> {
  const server = await findServer(config);
  if (server !== undefined) return server;
  throw new AutotorrentError('SERVER', `no server runs for ${config.storePath}`, {
    hint: 'start it first, in another terminal or with --daemon: autotorrent mount',
  });
}
