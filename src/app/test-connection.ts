/** `autotorrent test-connection`: connects to the client, and reports its name and version. */
import type { ClientDescription, ProgramUser } from '../clients/client.ts';
import { exposureOf } from '../clients/exposure.ts';
import type { Config } from '../config/config.ts';
import { AutotorrentError, messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { checkState, keepStatePrivate } from '../state/state-folder.ts';
import { type ConfigOf, learnClientUser } from './client-user.ts';
import { openClient } from './open-client.ts';
import { findServer } from './server-connection.ts';

/** A state folder that cannot be made is for `mount` to refuse. */
function makeState(statePath: string, logger: Logger): void {
  try {
    keepStatePrivate(statePath, logger);
  } catch (error) {
    logger.warn(`what the client is known by cannot be kept: ${messageOf(error)}`);
  }
}

export interface ConnectionReport extends ClientDescription {
  readonly torrents: number;
  /** The user whom it runs as; absent where that cannot be known. */
  readonly runs_as?: ProgramUser;
  /** Says how other users of this machine can give the client orders; absent where they cannot, as far as is known. */
  readonly exposed?: string;
}

export async function testConnection(
  config: Config,
  { configOf, logger }: { readonly configOf: ConfigOf; readonly logger: Logger },
): Promise<ConnectionReport> {
  // The client is told from an impostor by what lies there.
  checkState(config.statePath);
  const client = openClient(config);
  if (client === undefined) {
    throw new AutotorrentError('CONFIG', `${config.file} says client = none: there is nothing to connect to`);
  }
  try {
    const description = await client.describe();
    // What is learnt of the client is kept there.
    makeState(config.statePath, logger);
    const exposed = config.client === undefined ? undefined : exposureOf(config.client);
    const torrents = (await client.list()).length;
    const server = await findServer(config);
    const running = await learnClientUser({ config, configOf, client, server, logger });
    return {
      ...description,
      torrents,
      ...(running === undefined ? {} : { runs_as: running.user }),
      ...(exposed === undefined ? {} : { exposed }),
    };
  } finally {
    await client.close();
  }
}
