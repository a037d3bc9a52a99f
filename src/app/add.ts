/**
 * `autotorrent add`: matches torrents, shows each as an entry of the store, and adds it to the client.
 *
 * The steps of one torrent; each arrow names how a failure undoes it:
 *
 *     read, parsed ─► not in the client, no entry ─► matched, hashed, planned: ready
 *       ─► a round: looked up again, within the limits
 *       ─► entry `adding` in the store         (undone: the entry is removed)
 *       ─► in the client, stopped, named       (undone: removed from the client, then the entry)
 *       ─► started ─► entry `added`: settled
 *
 * Each torrent reaches "ready" by itself, many side by side (`pipeline.ts`). From there the ready ones go on in rounds
 * (`rounds.ts`): a round crosses each arrow as a whole, in one call if client and server allow it, while the next torrents
 * are hashed. A round is one turn at the server: no other command adds while it runs, but all may hash. A torrent's failure
 * is its own.
 *
 * A crash leaves at most one round of entries `adding`; the next `add` of the torrent takes it up. If the client runs the
 * torrent, its entry becomes `added`. If the client does not have it, or has it stopped (or checking, in a client that checks
 * by itself), it was on its way, perhaps without its names: it is undone and begun anew. So `add` is safe to repeat.
 *
 * A failure of one torrent does not stop the rest. A server, a client or an index that goes away does, and so does a signal:
 * settled torrents are reported; the others are undone, or left to the next `add` if nobody answers who could undo them.
 */
import type { CollectionIndex } from '../collection/index.ts';
import type { Config } from '../config/config.ts';
import type { HashProgress } from '../hash/hash-pool.ts';
import type { Logger } from '../logger.ts';
import { type AddOutcome, outcomeOf } from './add-outcome.ts';
import { type ConfigOf, tryToLearnClientUser } from './client-user.ts';
import { TorrentDeletion } from './delete-torrents.ts';
import { openClient } from './open-client.ts';
import { pipeline } from './pipeline.ts';
import { type Planned, Planner } from './planning.ts';
import { Rounds } from './rounds.ts';
import { requireServer } from './server-connection.ts';
import { sourceRulesNow } from './source-rules-now.ts';
import { complaintOf, readTorrent, type TorrentFile } from './torrent-files.ts';
import { verifyEffort } from './verify-effort.ts';

/** Progress of the torrents whose hashing has begun; `totalBytes` grows as more are read. */
export interface AddProgress extends HashProgress {
  readonly readTorrents: number;
  readonly torrents: number;
}

export interface AddRequest {
  readonly torrents: readonly TorrentFile[];
  readonly index: Promise<CollectionIndex>;
  readonly verify: Config['verify'];
  /** False: only the store gets the torrents. */
  readonly useClient: boolean;
  readonly stopped: boolean;
  /** Adds torrents to the client again that the store has already. */
  readonly force: boolean;
  /** Deletes each .torrent whose torrent the client has. */
  readonly deleteTorrents: boolean;
  readonly configOf: ConfigOf;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onHashing: (progress: AddProgress) => void;
}

/**
 * Adds torrents, and gives the outcomes in their order. After all known outcomes it throws the reason of the signal, or the
 * failure that stops all: a torrent without an outcome was not added.
 */
export async function* addTorrents(config: Config, request: AddRequest): AsyncGenerator<AddOutcome> {
  // Server and client are asked before anything is read, so that a missing one is reported at once, with a hint.
  const server = await requireServer(config);
  const client = request.useClient ? openClient(config) : undefined;
  const { torrents, verify, stopped, force, logger, signal } = request;
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort);
  const deletion = request.deleteTorrents && client !== undefined ? new TorrentDeletion(logger) : undefined;
  const rules = await sourceRulesNow(config, server);
  let readTorrents = 0;
  const planner = new Planner(config, {
    index: request.index,
    rules,
    hashes: verify !== 'none',
    changesNothing: false,
    logger,
    signal: stop.signal,
    onHashing: (progress) => request.onHashing({ ...progress, readTorrents, torrents: torrents.length }),
  });
  try {
    const { readOnly, mountPoint } = await server.status();
    const rounds = new Rounds({
      config,
      server,
      mountPoint,
      readOnly,
      client,
      stopped,
      force,
      logger,
      signal: stop.signal,
    });
    let learnt: Promise<void> | undefined;
    const learnOnce = async (): Promise<void> => {
      if (client === undefined) return;
      learnt ??= tryToLearnClientUser({ config, configOf: request.configOf, client, server, logger });
      await learnt;
    };
    const settings = { verify, fastResume: config.fastResume };
    const outcomes = pipeline<Planned, AddOutcome>(
      torrents,
      {
        read: async (torrent, room) => {
          await deletion?.remember(torrent.path);
          return await readTorrent(torrent, stop.signal, room);
        },
        async wanted(parsed) {
          const wanted = await rounds.wanted(parsed);
          // The client has answered by now, and has got nothing yet.
          await learnOnce();
          return wanted;
        },
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
      if (outcome.status === 'OK' || outcome.status === 'Seeded') await deletion?.delete(outcome.torrent);
      yield outcome;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    await planner.close();
    await client?.close();
  }
}
