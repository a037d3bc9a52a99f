/**
 * The users whom the clients run as: learnt when a client has answered, kept in the state, and the default of `owner`.
 *
 * A server that runs takes a new default at once: the kernel shows the files in the mount as the new owner's about a second later.
 */
import type { TorrentClient } from '../clients/client.ts';
import { rememberedProgram } from '../clients/programs.ts';
import type { Config } from '../config/config.ts';
import { type MountOwner, mountOwner, type RunningClient, shownOwner, shutOut } from '../config/mount-owner.ts';
import type { ControlClient } from '../control/client.ts';
import { AutotorrentError, messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { shownUser } from '../native/accounts.ts';

/** Gives the configuration with the client of another section; '' is `[client]`. */
export type ConfigOf = (section: string) => Promise<Config>;

/** The clients whose user is known from the state, each section's. Asks none. */
export async function knownClients({ clientSections }: Config, configOf: ConfigOf): Promise<RunningClient[]> {
  const found: RunningClient[] = [];
  for (const section of clientSections) {
    try {
      const { client } = await configOf(section);
      const one = client && rememberedProgram(client);
      if (one !== undefined) found.push(one);
    } catch (error) {
      // Whoever uses this section reports it.
      if (!(error instanceof AutotorrentError && error.code === 'CONFIG')) throw error;
    }
  }
  return found;
}

export interface ClientUserRequest {
  readonly config: Config;
  readonly configOf: ConfigOf;
  /** It has answered a call. */
  readonly client: TorrentClient;
  /** Undefined if none runs. */
  readonly server: Pick<ControlClient, 'status' | 'lookAtOwner'> | undefined;
  readonly logger: Logger;
}

/** Learns whom a client runs as, has the server take what follows, and says what is new and what cannot work. */
export async function learnClientUser(request: ClientUserRequest): Promise<RunningClient | undefined> {
  const { config, configOf, client, server, logger } = request;
  const learnt = client.program?.learn();
  const running = client.program && learnt && { client: client.program.client, user: learnt.user };
  const known = await knownClients(config, configOf);
  const isKnown = known.some((one) => one.client === running?.client && one.user.uid === running.user.uid);
  const clients = running === undefined || isKnown ? known : [...known, running];
  let owner = mountOwner(config, clients);
  if (server !== undefined) {
    const { owner: now } = await server.status();
    // A server of an older version does not say.
    if (now !== undefined) owner = now.uid === owner.uid && now.gid === owner.gid ? now : await server.lookAtOwner();
  }
  if (running === undefined || learnt === undefined) return undefined;
  const { user, isNew, forgotten } = learnt;
  if (forgotten !== undefined) logger.warn(`whom ${running.client} runs as cannot be remembered: ${forgotten}`);
  if (isNew && owner.from === 'client' && owner.uid === user.uid) logger.info(newOwner(running, owner));
  for (const complaint of shutOut(owner, clients, config.file)) logger.warn(complaint);
  return running;
}

function newOwner({ client, user }: RunningClient, owner: MountOwner): string {
  return (
    `${client} runs as ${shownUser(user.uid)}: the files in the mount belong to that user from now on, who reads all of them ` +
    `and writes what is missing. To have it otherwise, set owner, which is ${shownOwner(owner)} by this`
  );
}

/** The same, for a command whose work must not fail by it. */
export async function tryToLearnClientUser(request: ClientUserRequest): Promise<void> {
  try {
    await learnClientUser(request);
  } catch (error) {
    request.logger.warn(`whom the client runs as could not be found out: ${messageOf(error)}`);
  }
}
