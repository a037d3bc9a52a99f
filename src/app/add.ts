/**
 * `autotorrent add`: matches torrents, shows each as an entry of the store, and adds it to the client.
 *
 * A torrent's way, each arrow with what undoes it:
 *
 *     read, parsed ─► not in the client, no entry ─► matched, hashed, planned: ready
 *       ─► a round: looked up again, within the limits
 *       ─► entry `adding` in the store         (undone: the entry is removed)
 *       ─► in the client, stopped, named       (undone: removed from the client, then the entry)
 *       ─► started ─► entry `added`: settled
 *
 * Each torrent comes to "ready" by itself, many side by side (`pipeline.ts`). From there they go in rounds of what is ready
 * (`rounds.ts`): a round crosses each arrow as a whole, in one call where client and server allow it, while the next
 * torrents are hashed. A round is one turn at the server: while it runs no other command adds; hashing keeps nobody from it.
 * What one torrent fails at, it fails at alone.
 *
 * A crash anywhere leaves at most one round of entries `adding`; the next `add` of the torrent takes it up. The client
 * runs it: then it is `added`. The client does not have it, or has it stopped (checking, where it checks by itself): then
 * it was on its way, without its names perhaps, and is undone and begun anew. So `add` is safe to repeat.
 *
 * Nothing that one torrent does stops the rest. A server, a client or an index that goes away does, and so does a signal:
 * what is settled is told, what is not is nowhere, or is left to the next `add` where nobody answers that could undo it.
 */
import { rm } from 'node:fs/promises';
import type { Config } from '../config/config.ts';
import { messageOf } from '../errors.ts';
import type { HashProgress } from '../hash/hash-pool.ts';
import type { Logger } from '../logger.ts';
import { type AddOutcome, outcomeOf } from './add-outcome.ts';
import { openClient } from './open-client.ts';
import { pipeline } from './pipeline.ts';
import { type Planned, Planner } from './planning.ts';
import { Rounds } from './rounds.ts';
import { requireServer } from './server-connection.ts';
import { complaintOf, readTorrent, type TorrentFile } from './torrent-files.ts';
import { verifyEffort } from './verify-effort.ts';

/** Of the torrents whose hashing has begun; `totalBytes` grows as more are read. */
export interface AddProgress extends HashProgress {
  readonly readTorrents: number;
  readonly torrents: number;
}

export interface AddRequest {
  readonly torrents: readonly TorrentFile[];
  readonly verify: Config['verify'];
  /** False: the store alone. */
  readonly useClient: boolean;
  readonly stopped: boolean;
  /** Adds again to the client what the store has already. */
  readonly force: boolean;
  /** Deletes each .torrent whose torrent the client has. */
  readonly deleteTorrents: boolean;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onHashing: (progress: AddProgress) => void;
}

/**
 * The outcomes in the order of the torrents. Throws the reason of the signal, and what stops all, after the outcomes that
 * are known by then: a torrent without one was not added.
 */
export async function* addTorrents(config: Config, request: AddRequest): AsyncGenerator<AddOutcome> {
  // Both are asked before anything is read: what is missing is said at once, with the command to run.
  const server = await requireServer(config);
  const client = request.useClient ? openClient(config) : undefined;
  const { torrents, verify, stopped, force, logger, signal } = request;
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort);
  let readTorrents = 0;
  const planner = new Planner(config, {
    hashes: verify !== 'none',
    changesNothing: false,
    logger,
    signal: stop.signal,
    onHashing: (progress) => request.onHashing({ ...progress, readTorrents, torrents: torrents.length }),
  });
  try {
    const readOnly = (await server.status()).readOnly;
    const rounds = new Rounds({ config, server, readOnly, client, stopped, force, logger, signal: stop.signal });
    const settings = { verify, fastResume: config.fastResume };
    const outcomes = pipeline<Planned, AddOutcome>(
      torrents,
      {
        read: async (torrent) => await readTorrent(torrent, stop.signal),
        wanted: async (parsed) => await rounds.wanted(parsed),
        plan: async (torrent) => await planner.plan(torrent, verifyEffort(settings, client, torrent.metainfo)),
        round: async (ready, settle) => await rounds.run(ready, settle),
        failed: (torrent, error) => outcomeOf(torrent, 'Failed', complaintOf(error)),
        onRead: (count) => {
          readTorrents = count;
        },
      },
      stop,
    );
    for await (const outcome of outcomes) {
      if (request.deleteTorrents && client !== undefined) await deleteTorrent(outcome, logger);
      yield outcome;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    await planner.close();
    await client?.close();
  }
}

/** Deletes the .torrent where the client has the torrent. */
async function deleteTorrent({ torrent, status }: AddOutcome, logger: Logger): Promise<void> {
  if (status !== 'OK' && status !== 'Seeded') return;
  try {
    await rm(torrent);
  } catch (error) {
    logger.warn(`${torrent} could not be deleted: ${messageOf(error)}`);
  }
}
