/** `autotorrent remove`: removes entries from the store, and with `fromClient` from the client first. */
import type { Config } from '../config/config.ts';
import type { ServedEntry } from '../control/served.ts';
import { AutotorrentError } from '../errors.ts';
import { introduce } from './introduce.ts';
import { openClient } from './open-client.ts';
import { requireServer } from './server-connection.ts';

export interface RemovedEntry {
  readonly name: string;
  readonly infoHash: string;
  /** True: the client had it and removed it. */
  readonly fromClient: boolean;
}

/**
 * Removes entries. Looks up all names before it removes anything: a typing error removes nothing.
 * @throws AutotorrentError('NOT_FOUND') if an entry does not exist
 */
export async function* removeEntries(
  config: Config,
  ids: readonly string[],
  fromClient: boolean,
): AsyncGenerator<RemovedEntry> {
  const server = await requireServer(config);
  const entries = new Map<string, ServedEntry>();
  for (const id of ids) {
    const entry = await server.entry(id);
    if (entry === undefined) {
      throw new AutotorrentError('NOT_FOUND', `there is no entry ${id}`, { hint: 'autotorrent list shows them' });
    }
    entries.set(entry.infoHash, entry);
  }
  const client = fromClient ? openClient(config) : undefined;
  introduce(client, entries.values());
  try {
    // The client first: the files of a torrent that it still has must not vanish.
    const wereThere = new Set(await client?.remove([...entries.keys()]));
    for (const entry of entries.values()) {
      await server.remove(entry.infoHash);
      yield { name: entry.name, infoHash: entry.infoHash, fromClient: wereThere.has(entry.infoHash) };
    }
  } finally {
    await client?.close();
  }
}
