/** Runs work in each client of the configuration, when the mount goes away and when it is back. */

import { requireServer } from '../../../app/server-connection.ts';
import type { TorrentClient, TorrentState } from '../../../clients/client.ts';
import { createClient } from '../../../clients/create.ts';
import { listensItself } from '../../../clients/own-address.ts';
import type { Config } from '../../../config/config.ts';
import { statePaths } from '../../../config/state-paths.ts';
import type { ControlClient } from '../../../control/client.ts';
import type { ServedEntry } from '../../../control/served.ts';
import { AutotorrentError, errnoOf, explained } from '../../../errors.ts';
import { AbsenceRecord } from '../../processes/absence-record.ts';
import { RepairRecord } from '../../processes/repair-record.ts';
import { type ConfigOf, type Section, sectionsOf } from '../sections.ts';

export interface AbsenceRequest {
  readonly configOf: ConfigOf;
  /** Reports to the server's log, and to the command that waits. */
  readonly say: (level: 'info' | 'warn', message: string) => void;
}

export interface Work extends AbsenceRequest {
  readonly server: Pick<ControlClient, 'entries' | 'status'>;
  readonly record: AbsenceRecord;
  readonly recover: boolean;
  /** The torrents that are being repaired: when they are stopped, the repair starts them. */
  readonly repairing: ReadonlySet<string>;
}

/** A client that is away or hangs must not delay an unmount for longer than this. */
const CONTACT_LIMIT_MS = 5000;

/**
 * Runs `before`, and then `act` for all clients at the same time while the server serves.
 * @throws the first failure, once all have ended
 */
export async function inEachClient(
  config: Config,
  request: AbsenceRequest,
  act: (work: Work, section: Section) => Promise<void>,
  before: (work: Work) => Promise<void> = async () => {},
): Promise<void> {
  const server = await requireServer(config);
  const record = await recordOf(config, request);
  const repairing = RepairRecord.read(statePaths(config.statePath).repair, () => {}).infoHashes;
  const work = { ...request, server, record, recover: config.recover, repairing: new Set(repairing) };
  await before(work);
  const sections = await sectionsOf(config, request.configOf, (message) => request.say('warn', message));
  const ended = await Promise.allSettled(sections.map((section) => act(work, section)));
  const failed = ended.find((one) => one.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

export async function recordOf(config: Config, { say }: AbsenceRequest): Promise<AbsenceRecord> {
  return await AbsenceRecord.read(statePaths(config.statePath).absence, (message) => say('warn', message));
}

/** Lists the entries that need the mount, by info hash. */
export async function entriesOf(server: Work['server']): Promise<ReadonlyMap<string, ServedEntry>> {
  const entries = (await server.entries()).filter(({ kind, state }) => kind === 'mount' && state === 'added');
  return new Map(entries.map((entry) => [entry.infoHash, entry]));
}

/** Lists those of them that the absence children may start. */
export async function startableEntries({
  server,
  repairing,
}: Pick<Work, 'server' | 'repairing'>): Promise<ReadonlyMap<string, ServedEntry>> {
  return new Map([...(await entriesOf(server))].filter(([infoHash]) => !repairing.has(infoHash)));
}

/** Asks the client for a sign of life. @throws AutotorrentError('CLIENT') soon if it does not answer */
export async function contact(config: Section['config']): Promise<void> {
  const client = createClient(config, { timeoutMs: CONTACT_LIMIT_MS });
  try {
    await client.describe();
  } finally {
    await client.close();
  }
}

export async function withClient<T>(
  config: Section['config'],
  work: (client: TorrentClient) => Promise<T>,
): Promise<T> {
  const client = createClient(config);
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

/** True if nothing listens at the client's own address: the client has ended. */
export function hasEnded({ config }: Section, error: unknown): boolean {
  if (!(error instanceof AutotorrentError) || error.code !== 'CLIENT') return false;
  return ['ECONNREFUSED', 'ENOENT'].includes(errnoOf(error.cause) ?? '') && listensItself(config);
}

/** Explains a client's failure; throws any other, since without the server or the disk nothing can be done. */
export function clientFailure(error: unknown): string {
  if (error instanceof AutotorrentError && error.code !== 'SERVER' && error.code !== 'STORE') return explained(error);
  throw error;
}

export const hashesOf = (states: readonly TorrentState[]): string[] => states.map(({ infoHash }) => infoHash);
