/** `autotorrent list`: the entries of the store, with the client's state of each. */
import type { TorrentState } from '../clients/client.ts';
import type { Config } from '../config/config.ts';
import type { ServedEntry } from '../control/served.ts';
import { AutotorrentError, messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { introduce } from './introduce.ts';
import { openClient } from './open-client.ts';
import { requireServer } from './server-connection.ts';

export interface ListedEntry extends ServedEntry {
  /** The client's view of it. */
  readonly client: {
    /** `unknown`: the client was not asked or did not answer; `absent`: it does not have the torrent. */
    readonly state: TorrentState['activity'] | 'absent' | 'unknown';
    readonly progress?: number;
    readonly message?: string;
  };
}

export interface ListRequest {
  readonly askClient: boolean;
  readonly logger: Logger;
}

/** Lists entries by name. If the client does not answer, only its column is missing. */
export async function listEntries(config: Config, request: ListRequest): Promise<ListedEntry[]> {
  const server = await requireServer(config);
  const entries = await server.entries();
  const states = request.askClient ? await clientStates(config, entries, request.logger) : undefined;
  return entries
    .map((entry): ListedEntry => {
      if (states === undefined) return { ...entry, client: { state: 'unknown' } };
      const state = states.get(entry.infoHash);
      if (state === undefined) return { ...entry, client: { state: 'absent' } };
      const { activity, progress, message } = state;
      return { ...entry, client: { state: activity, progress, ...(message === undefined ? {} : { message }) } };
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

async function clientStates(
  config: Config,
  entries: readonly ServedEntry[],
  logger: Logger,
): Promise<Map<string, TorrentState> | undefined> {
  if (config.client === undefined || entries.length === 0) return undefined;
  const client = openClient(config);
  if (client === undefined) return undefined;
  try {
    introduce(client, entries);
    const states = await client.list(entries.map((entry) => entry.infoHash));
    return new Map(states.map((state) => [state.infoHash, state]));
  } catch (error) {
    if (!(error instanceof AutotorrentError)) throw error;
    logger.warn(`the client was not asked: ${messageOf(error)}`);
    return undefined;
  } finally {
    await client.close();
  }
}
