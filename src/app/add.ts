/**
 * `autotorrent add`: matches torrents, shows each as an entry of the store, and adds it to the client.
 *
 * A torrent's way, each arrow with what undoes it:
 *
 *     read, parsed ─► not in the client, no entry ─► matched, planned, within the limits
 *       ─► entry `adding` in the store         (undone: the entry is removed)
 *       ─► in the client, stopped, named       (undone: removed from the client, then the entry)
 *       ─► started ─► entry `added`
 *
 * Torrents go this way in batches: each arrow is one call for all of a batch where client and server allow it, and each
 * is crossed by the whole batch before the next. What one torrent fails at, it fails at alone.
 *
 * A crash anywhere leaves at most a batch of entries `adding`; the next `add` of the torrent takes it up. The client
 * runs it: then it is `added`. The client does not have it, or has it stopped (checking, where it checks by itself): then
 * it was on its way, without its names perhaps, and is undone and begun anew. So `add` is safe to repeat.
 * Nothing that one torrent does stops the rest; a server that goes away does.
 */
import { rm } from 'node:fs/promises';
import type { TorrentClient, TorrentState } from '../clients/client.ts';
import type { Config } from '../config/config.ts';
import type { ControlClient } from '../control/client.ts';
import type { EntryMessage } from '../control/messages.ts';
import { AutotorrentError, explained, messageOf } from '../errors.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import { encodePlan } from '../plan/codec.ts';
import type { Plan } from '../plan/plan.ts';
import { addToClient, type ClientOutcome, type ClientTask, failureOf, takeOut } from './client-tasks.ts';
import { bytesToDownload } from './gaps.ts';
import { openClient } from './open-client.ts';
import { BATCH, type Planned, type PlanningRequest, planTorrents } from './planning.ts';
import { bytes } from './quantities.ts';
import { resumeOf } from './resume.ts';
import { requireServer } from './server-connection.ts';
import { complaint, type ReadTorrent, readTorrent, type TorrentFile } from './torrent-files.ts';

export type AddWord = 'OK' | 'Missing' | 'Seeded' | 'Exists' | 'Failed';

export interface AddOutcome {
  /** The .torrent's path. */
  readonly torrent: string;
  readonly name: string;
  readonly status: AddWord;
  /** One sentence. */
  readonly reason: string;
  readonly infoHash?: string;
  /** Bytes, pads left out; absent where it was not matched. */
  readonly foundBytes?: number;
  readonly missingBytes?: number;
}

export interface AddRequest extends PlanningRequest {
  readonly torrents: readonly TorrentFile[];
  /** False: the store alone. */
  readonly useClient: boolean;
  readonly stopped: boolean;
  /** Adds again to the client what the store has already. */
  readonly force: boolean;
  /** Deletes each .torrent whose torrent the client has. */
  readonly deleteTorrents: boolean;
}

export async function* addTorrents(config: Config, request: AddRequest): AsyncGenerator<AddOutcome> {
  // Both are asked before anything is read: what is missing is said at once, with the command to run.
  const server = await requireServer(config);
  const client = request.useClient ? openClient(config) : undefined;
  try {
    const readOnly = (await server.status()).read_only;
    const adder = new Adder(config, request, server, readOnly, client);
    for (let i = 0; i < request.torrents.length; i += BATCH) {
      // What was done is told, all of it; then it ends where it was asked to.
      yield* adder.addBatch(request.torrents.slice(i, i + BATCH));
      request.signal.throwIfAborted();
    }
  } finally {
    await client?.close();
  }
}

type Parsed = TorrentFile & { readonly metainfo: Metainfo };

/** Matched, with an entry of its own. */
interface Created {
  readonly torrent: Parsed;
  readonly plan: Plan;
  readonly entry: EntryMessage;
  readonly stopped: boolean;
}

class Adder {
  readonly #config: Config;
  readonly #request: AddRequest;
  readonly #server: ControlClient;
  readonly #readOnly: boolean;
  readonly #client: TorrentClient | undefined;

  constructor(
    config: Config,
    request: AddRequest,
    server: ControlClient,
    readOnly: boolean,
    client: TorrentClient | undefined,
  ) {
    this.#config = config;
    this.#request = request;
    this.#server = server;
    this.#readOnly = readOnly;
    this.#client = client;
  }

  async *addBatch(torrents: readonly TorrentFile[]): AsyncGenerator<AddOutcome> {
    const read: ReadTorrent[] = [];
    for (const torrent of torrents) read.push(await readTorrent(torrent));
    const parsed = read.filter((torrent): torrent is ReadTorrent & Parsed => torrent.error === undefined);
    const { entries, inClient } = await this.#look(parsed);
    const wanted = parsed.filter(({ metainfo: { infoHash } }) => {
      const entry = entries.get(infoHash);
      const state = inClient.get(infoHash);
      return entry === undefined ? state === undefined : entry.state === 'adding' && !runs(state);
    });
    const planned = await planTorrents(this.#config, wanted, this.#request);
    const plans = new Map(planned.map((plan) => [plan.path, plan]));

    const outcomes = new Map<ReadTorrent, AddOutcome>();
    for (const round of withoutRepeats(parsed)) {
      await this.#inTurn(() => this.#addRound(round, plans, outcomes));
    }
    for (const torrent of read) {
      const outcome =
        torrent.error === undefined ? outcomes.get(torrent) : outcomeOf(torrent, 'Failed', complaint(torrent.error));
      if (outcome === undefined) throw new Error(`nothing became of ${torrent.path}`);
      yield await this.#tidied(outcome);
    }
  }

  /** What the store and the client have of these. */
  async #look(
    torrents: readonly Parsed[],
  ): Promise<{ entries: ReadonlyMap<string, EntryMessage>; inClient: ReadonlyMap<string, TorrentState> }> {
    const hashes = [...new Set(torrents.map(({ metainfo }) => metainfo.infoHash))];
    const hybrids = torrents.flatMap(({ metainfo: { infoHash, infoHashV2 } }) =>
      infoHashV2 === undefined ? [] : [{ infoHash, infoHashV2 }],
    );
    this.#client?.introduce?.(hybrids);
    const states = (await this.#client?.list(hashes)) ?? [];
    return {
      entries: new Map((await this.#server.entries()).map((entry) => [entry.info_hash, entry])),
      inClient: new Map(states.map((state) => [state.infoHash, state])),
    };
  }

  /** Runs `work` while no other command adds. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const { logger, signal } = this.#request;
    const end = await this.#server.turn(() => logger.info('waiting for another command that adds torrents'), signal);
    try {
      return await work();
    } finally {
      end();
    }
  }

  async #addRound(
    round: readonly Parsed[],
    plans: ReadonlyMap<string, Planned>,
    outcomes: Map<TorrentFile, AddOutcome>,
  ): Promise<void> {
    // While these were matched another command may have added them.
    const { entries, inClient } = await this.#look(round);
    const toSeed: (readonly [Parsed, Planned])[] = [];
    const again: (readonly [Parsed, EntryMessage])[] = [];
    const running: string[] = [];
    for (const torrent of round) {
      const { infoHash } = torrent.metainfo;
      const entry = entries.get(infoHash);
      const state = inClient.get(infoHash);
      const planned = plans.get(torrent.path);
      if (state !== undefined && (entry?.state !== 'adding' || runs(state))) {
        if (entry?.state === 'adding') running.push(infoHash);
        outcomes.set(torrent, outcomeOf(torrent, 'Seeded', 'Already seeded'));
      } else if (entry?.state === 'added') {
        if (this.#request.force && this.#client !== undefined) again.push([torrent, entry]);
        else outcomes.set(torrent, outcomeOf(torrent, 'Exists', this.#whyNotAgain()));
      } else if (planned === undefined) {
        outcomes.set(torrent, outcomeOf(torrent, 'Failed', 'Another command took it out meanwhile: add it again'));
      } else if (!planned.verdict.accepted) {
        outcomes.set(torrent, { ...outcomeOf(torrent, 'Missing', planned.reason), ...amountsOf(planned) });
      } else toSeed.push([torrent, planned]);
    }
    if (running.length > 0) await this.#server.markAdded(running);
    // What a crash left on its way.
    const begun = toSeed.map(([{ metainfo }]) => metainfo.infoHash).filter((infoHash) => entries.has(infoHash));
    const stopped = begun.filter((infoHash) => inClient.has(infoHash));
    if (stopped.length > 0) await this.#client?.remove(stopped);
    for (const infoHash of begun) await this.#server.remove(infoHash);

    await this.#seed(toSeed, outcomes);
    await this.#addAgain(again, outcomes);
  }

  #whyNotAgain(): string {
    return this.#client === undefined
      ? 'The entry exists'
      : 'The entry exists, but the client does not have it (--force adds it again)';
  }

  /** Store, then client; of what fails neither has it. */
  async #seed(wanted: readonly (readonly [Parsed, Planned])[], outcomes: Map<TorrentFile, AddOutcome>): Promise<void> {
    const amounts = new Map(wanted.map(([torrent, planned]) => [torrent, amountsOf(planned)]));
    const end = (torrent: Parsed, status: AddWord, reason: string): void => {
      outcomes.set(torrent, { ...outcomeOf(torrent, status, reason), ...amounts.get(torrent) });
    };
    const created: Created[] = [];
    for (const [torrent, { plan, originalDirectory }] of wanted) {
      try {
        const entry = await this.#server.create(encodePlan(plan), originalDirectory);
        created.push({ torrent, plan, entry, stopped: this.#request.stopped || this.#cannotTake(entry) });
      } catch (error) {
        end(torrent, 'Failed', explained(failureOf(error)));
      }
    }
    const results = await this.#addToClient(created);
    const added = created.filter((_, i) => results[i] === 'added');
    const marked = new Set(added.length === 0 ? [] : await this.#server.markAdded(added.map(hashOf)));
    for (const [i, one] of created.entries()) {
      const { torrent, plan, entry, stopped } = one;
      const result = results[i];
      if (result === 'added' && marked.has(hashOf(one))) {
        const reason = `Torrent added successfully${stopped ? ', stopped' : ''}${lacking(torrent.metainfo, plan)}`;
        end(torrent, 'OK', `${reason}${this.#whyStopped(entry)}`);
        continue;
      }
      if (result === 'added') {
        if (this.#client !== undefined) {
          const logger = this.#request.logger;
          await takeOut({ client: this.#client, logger }, [{ metainfo: torrent.metainfo, entry }]);
        }
        end(torrent, 'Failed', 'Another command took it out meanwhile: add it again');
        continue;
      }
      await this.#server.remove(hashOf(one));
      if (result instanceof AutotorrentError) end(torrent, 'Failed', explained(result));
      else end(torrent, 'Seeded', 'Already seeded');
    }
  }

  /** The store has them; the client lost them. */
  async #addAgain(
    wanted: readonly (readonly [Parsed, EntryMessage])[],
    outcomes: Map<TorrentFile, AddOutcome>,
  ): Promise<void> {
    const tasks = wanted.map(([torrent, entry]) => {
      return { torrent, entry, stopped: this.#request.stopped || this.#cannotTake(entry) };
    });
    const results = await this.#addToClient(tasks);
    for (const [i, { torrent, entry, stopped }] of tasks.entries()) {
      const result = results[i];
      const added = `Torrent added to the client again${stopped ? ', stopped' : ''}${this.#whyStopped(entry)}`;
      if (result instanceof AutotorrentError) outcomes.set(torrent, outcomeOf(torrent, 'Failed', explained(result)));
      else if (result === 'exists') outcomes.set(torrent, outcomeOf(torrent, 'Seeded', 'Already seeded'));
      else outcomes.set(torrent, outcomeOf(torrent, 'OK', added));
    }
  }

  async #addToClient(
    wanted: readonly (Omit<Created, 'plan'> & { readonly plan?: Plan })[],
  ): Promise<readonly ClientOutcome[]> {
    const client = this.#client;
    if (client === undefined) return wanted.map(() => 'added');
    const tasks = wanted.map(({ torrent: { metainfo }, plan, entry, stopped }): ClientTask => {
      const resume = plan === undefined ? undefined : resumeOf(metainfo, plan, this.#config.fastResume);
      return { metainfo, entry, stopped, resume };
    });
    const { pathMap } = this.#config;
    return await addToClient({ server: this.#server, client, logger: this.#request.logger, pathMap }, tasks);
  }

  /** rTorrent gets stuck where it cannot write, and says nothing. */
  #cannotTake(entry: EntryMessage): boolean {
    return this.#readOnly && entry.kind === 'mount' && entry.missing_bytes > 0;
  }

  #whyStopped(entry: EntryMessage): string {
    return this.#cannotTake(entry) ? ', which a read-only mount cannot take' : '';
  }

  /** Deletes the .torrent where that was asked for and the client has the torrent. */
  async #tidied(outcome: AddOutcome): Promise<AddOutcome> {
    const has = outcome.status === 'OK' || outcome.status === 'Seeded';
    if (!this.#request.deleteTorrents || !has || this.#client === undefined) return outcome;
    try {
      await rm(outcome.torrent);
    } catch (error) {
      this.#request.logger.warn(`${outcome.torrent} could not be deleted: ${messageOf(error)}`);
    }
    return outcome;
  }
}

const hashOf = ({ torrent }: Created): string => torrent.metainfo.infoHash;

/** Whether the client does more with it than to have it: what was only added there is stopped, or checks by itself. */
function runs(state: TorrentState | undefined): boolean {
  return state !== undefined && !['stopped', 'checking', 'error'].includes(state.activity);
}

/** The torrents in lists in which none comes twice: the first of each, then what came again under another file name. */
function withoutRepeats(torrents: readonly Parsed[]): Parsed[][] {
  const rounds: Parsed[][] = [];
  const counts = new Map<string, number>();
  for (const torrent of torrents) {
    const { infoHash } = torrent.metainfo;
    const before = counts.get(infoHash) ?? 0;
    counts.set(infoHash, before + 1);
    (rounds[before] ??= []).push(torrent);
  }
  return rounds;
}

function amountsOf({ verdict }: Planned): Pick<AddOutcome, 'foundBytes' | 'missingBytes'> {
  return { foundBytes: verdict.foundBytes, missingBytes: verdict.missingBytes };
}

/** A client takes pieces as wholes: for an .nfo of 4 kB it downloads the 16 MiB of the piece that it lies in. */
function lacking(metainfo: Metainfo, plan: Plan): string {
  if (plan.missingBytes === 0) return '';
  return `; ${bytes(plan.missingBytes)} missing, ${bytes(bytesToDownload(metainfo, plan))} to download`;
}

function outcomeOf(torrent: ReadTorrent, status: AddWord, reason: string): AddOutcome {
  return {
    torrent: torrent.path,
    name: torrent.name,
    status,
    reason,
    ...(torrent.error === undefined ? { infoHash: torrent.metainfo.infoHash } : {}),
  };
}
