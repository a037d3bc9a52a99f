/** What the state remembers of clients. */
import type { ClientConfig } from './config.ts';
import { statePaths } from './state-paths.ts';

/** Adds to a daemon of Deluge the file of the certificates by which daemons are known. */
export function withMemory(client: ClientConfig | undefined, statePath: string): ClientConfig | undefined {
  if (client?.client !== 'deluge' || client.host === undefined) return client;
  return Object.freeze({ ...client, knownDaemons: statePaths(statePath).knownDaemons });
}
