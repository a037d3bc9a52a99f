/** `autotorrent test-connection`: connects to the client, and reports its name and version. */
import type { ClientDescription } from '../clients/client.ts';
import { exposureOf } from '../clients/exposure.ts';
import type { Config } from '../config/config.ts';
import { AutotorrentError } from '../errors.ts';
import { checkState } from '../state/state-folder.ts';
import { openClient } from './open-client.ts';

export interface ConnectionReport extends ClientDescription {
  readonly torrents: number;
  /** Says how other users of this machine can give the client orders; absent where they cannot, as far as is known. */
  readonly exposed?: string;
}

export async function testConnection(config: Config): Promise<ConnectionReport> {
  // The client is told from an impostor by what lies there.
  checkState(config.statePath);
  const client = openClient(config);
  if (client === undefined) {
    throw new AutotorrentError('CONFIG', `${config.file} says client = none: there is nothing to connect to`);
  }
  try {
    const description = await client.describe();
    const exposed = config.client === undefined ? undefined : exposureOf(config.client);
    const torrents = (await client.list()).length;
    return { ...description, torrents, ...(exposed === undefined ? {} : { exposed }) };
  } finally {
    await client.close();
  }
}
