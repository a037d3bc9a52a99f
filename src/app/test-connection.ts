/** `autotorrent test-connection`: connects to the client, and reports its name and version. */
import type { ClientDescription } from '../clients/client.ts';
import type { Config } from '../config/config.ts';
import { AutotorrentError } from '../errors.ts';
import { openClient } from './open-client.ts';

export interface ConnectionReport extends ClientDescription {
  readonly torrents: number;
}

export async function testConnection(config: Config): Promise<ConnectionReport> {
  const client = openClient(config);
  if (client === undefined) {
    throw new AutotorrentError('CONFIG', `${config.file} says client = none: there is nothing to connect to`);
  }
  try {
    const description = await client.describe();
    return { ...description, torrents: (await client.list()).length };
  } finally {
    await client.close();
  }
}
