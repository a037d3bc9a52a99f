/**
 * The client's part of `add`: adds torrents that the store shows to the client, stopped; has the store show their files
 * under the names that the client will look for; starts them. Each step is one call for all of them.
 *
 * If a torrent fails on the way, nothing of it stays in the client.
 */
import type { AddRequest, AddResult, TorrentClient } from '../clients/client.ts';
import type { Config } from '../config/config.ts';
import type { ControlClient } from '../control/client.ts';
import type { ServedEntry } from '../control/served.ts';
import { AutotorrentError, messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import { clientPath } from './client-paths.ts';

export interface ClientTask {
  readonly metainfo: Metainfo;
  readonly entry: ServedEntry;
  readonly resume: AddRequest['resume'];
  /** True: the torrent is not started. */
  readonly stopped: boolean;
}

type InClient = Pick<ClientTask, 'metainfo' | 'entry'>;

/** `exists`: the client had the torrent before, in any state. An error is that torrent's own. */
export type ClientOutcome = 'added' | 'exists' | AutotorrentError;

export interface ClientTaskParts {
  readonly server: Pick<ControlClient, 'addNames'>;
  readonly client: TorrentClient;
  readonly logger: Logger;
  readonly pathMap: Config['pathMap'];
}

/** Gives one outcome each, in order. Throws if the server does not answer; the client then has none of them. */
export async function addToClient(parts: ClientTaskParts, tasks: readonly ClientTask[]): Promise<ClientOutcome[]> {
  if (tasks.length === 0) return [];
  const { client } = parts;
  const results = await client
    .add(tasks.map((task) => requestOf(task, parts.pathMap)))
    .catch((error: unknown): AddResult[] => {
      const known = failureOf(error);
      return tasks.map(() => ({ outcome: 'failed', error: known }));
    });
  if (results.length !== tasks.length) throw new Error(`${results.length} results for ${tasks.length} torrents`);
  const outcomes = new Map<ClientTask, ClientOutcome>();
  const added: ClientTask[] = [];
  try {
    for (const [i, task] of tasks.entries()) {
      const result = results[i];
      if (result?.outcome === 'failed') outcomes.set(task, result.error);
      else if (result?.outcome === 'exists') outcomes.set(task, 'exists');
      else added.push(task);
    }
    for (const [i, task] of tasks.entries()) {
      const result = results[i];
      if (result?.outcome !== 'added' || task.entry.kind !== 'mount') continue;
      for (const names of [result.names, result.laterNames]) {
        if (names === undefined || outcomes.has(task)) continue;
        const refused = await refusal(parts.server.addNames(task.metainfo.infoHash, names));
        if (refused !== undefined) outcomes.set(task, refused);
      }
    }
    await start(
      parts,
      added.filter((task) => !task.stopped && !outcomes.has(task)),
      outcomes,
    );
  } catch (error) {
    await takeOut(parts, added);
    const known = failureOf(error);
    return tasks.map((task) => outcomes.get(task) ?? known);
  }
  await takeOut(
    parts,
    added.filter((task) => outcomes.has(task)),
  );
  return tasks.map((task) => outcomes.get(task) ?? 'added');
}

/** Starts torrents, and puts failures into `outcomes`. Throws if the client cannot be reached. */
async function start(
  parts: ClientTaskParts,
  tasks: readonly ClientTask[],
  outcomes: Map<ClientTask, ClientOutcome>,
): Promise<void> {
  if (tasks.length === 0) return;
  const { client } = parts;
  try {
    const started = new Set(await client.start(tasks.map(hashOf)));
    for (const task of tasks) {
      if (started.has(hashOf(task))) continue;
      outcomes.set(task, new AutotorrentError('CLIENT', 'the client lost the torrent right after it was added'));
    }
  } catch (error) {
    const known = failureOf(error);
    const [first] = tasks;
    if (tasks.length === 1 && first !== undefined) {
      outcomes.set(first, known);
      return;
    }
    // One of them does not start, or the client is away: this call tells which.
    await client.describe();
    for (const task of tasks) await start(parts, [task], outcomes);
  }
}

/**
 * Has the client look for the data of a torrent that it has, and starts it, unless `stopped`. The client may know of no loss,
 * be in error, or have begun to download.
 */
export async function lookAgain(
  client: TorrentClient,
  infoHash: string,
  { stopped }: { readonly stopped: boolean },
): Promise<void> {
  await client.stop([infoHash]);
  await client.recheck([infoHash]);
  if (!stopped) await client.start([infoHash]);
}

/** Removes torrents from the client again; a failure is only logged. */
export async function takeOut(
  { client, logger }: Pick<ClientTaskParts, 'client' | 'logger'>,
  tasks: readonly InClient[],
): Promise<void> {
  if (tasks.length === 0) return;
  await client.remove(tasks.map(hashOf)).catch((failure: unknown) => {
    const names = tasks.map(({ entry }) => entry.name).join(', ');
    logger.warn(`these could not be taken out of the client again: ${names}: ${messageOf(failure)}`);
  });
}

/** Gives an error that may be one torrent's own. Throws all others: a missing server stops all, and a bug is a bug. */
export function failureOf(error: unknown): AutotorrentError {
  if (!(error instanceof AutotorrentError) || error.code === 'SERVER') throw error;
  return error;
}

/** Runs `work`, and gives its failure if that is this torrent's own. */
async function refusal(work: Promise<void>): Promise<AutotorrentError | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return failureOf(error);
  }
}

const hashOf = ({ metainfo }: InClient): string => metainfo.infoHash;

const requestOf = ({ metainfo, entry, resume }: ClientTask, pathMap: Config['pathMap']): AddRequest => ({
  metainfo,
  directory: clientPath(pathMap, entry.directory),
  ...(resume === undefined ? {} : { resume }),
});
