/** Opens the torrent client of a configuration. */
import type { TorrentClient } from '../clients/client.ts';
import { createClient } from '../clients/create.ts';
import type { Config } from '../config/config.ts';
import { AutotorrentError } from '../errors.ts';

/** Gives undefined for `client = none`. @throws AutotorrentError('CONFIG') if the file has no section for a client */
export function openClient(config: Config): TorrentClient | undefined {
  if (config.client === undefined) {
    throw new AutotorrentError('CONFIG', `${config.file} has no [client] section`, {
      hint: 'add one (autotorrent.conf.example shows how), or use --no-client',
    });
  }
  return createClient(config.client);
}
