/** What the state remembers of clients. */
import type { ClientConfig } from './config.ts';
import { statePaths } from './state-paths.ts';

/** Adds the file of what clients are known by. */
export function withMemory(client: ClientConfig | undefined, statePath: string): ClientConfig | undefined {
  if (client === undefined || client.client === 'none') return client;
  return Object.freeze({ ...client, knownDaemons: statePaths(statePath).knownDaemons });
}
