/**
 * The rounds of `add`: torrents that are planned, or need no plan, are settled together in the store and in the client.
 *
 * While a round runs no other command adds. It begins by looking again, since another command may have added the same
 * torrents before.
 */
import type { TorrentClient, TorrentState } from '../clients/client.ts';
import type { Config } from '../config/config.ts';
import type { ControlClient } from '../control/client.ts';
import type { ServedEntry } from '../control/served.ts';
import { AutotorrentError, explained } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import { encodedPlan } from '../plan/codec.ts';
import type { Plan } from '../plan/plan.ts';
import { type AddOutcome, type AddWord, outcomeOf } from './add-outcome.ts';
import { broughtBack, whatIsGone } from './bring-back.ts';
import { liesBelow } from './client-paths.ts';
import { addToClient, type ClientOutcome, type ClientTask, failureOf, lookAgain, takeOut } from './client-tasks.ts';
import { bytesToDownload } from './gaps.ts';
import { healthText } from './health.ts';
import type { Ready } from './pipeline.ts';
import type { Planned } from './planning.ts';
import { bytes } from './quantities.ts';
import { resumeOf } from './resume.ts';
import type { ParsedTorrent } from './torrent-files.ts';

/** The calls of a round to the server. */
export type RoundServer = Pick<
  ControlClient,
  'entries' | 'entry' | 'turn' | 'create' | 'addNames' | 'markAdded' | 'remove' | 'discard'
>;

export interface RoundParts {
  readonly config: Pick<Config, 'fastResume' | 'pathMap'>;
  readonly server: RoundServer;
  /** Absolute, as the server has it. */
  readonly mountPoint: string;
  /** The mount allows no writes. */
  readonly readOnly: boolean;
  /** Undefined: only the store gets the torrents. */
  readonly client: TorrentClient | undefined;
  /** The torrents are left stopped in the client. */
  readonly stopped: boolean;
  /**
   * Brings back what was deleted in the mount; adds torrents to the client again that the store has already; and makes entries
   * of those that the client has from the mount.
   */
  readonly force: boolean;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

type Settle = (torrent: ParsedTorrent, outcome: AddOutcome) => void;

type Wanted = readonly [ParsedTorrent, Planned];

/** Entries that are created at once: the server waits for its disk once for all of them. */
const CREATED_AT_ONCE = 64;
/** Files of plans after which no more are created at the same time. */
const CREATED_FILES = 100_000;

const WITHOUT_ENTRY = 'The client has it from the mount, the store has no entry: --force makes it';

/** Up to this number, entries are asked for one by one; for more the whole list is fetched. */
const FEW = 16;

/** Matched, with an entry of its own. */
interface Created {
  readonly torrent: ParsedTorrent;
  readonly plan: Plan;
  readonly entry: ServedEntry;
  readonly stopped: boolean;
}

export class Rounds {
  readonly #parts: RoundParts;

  constructor(parts: RoundParts) {
    this.#parts = parts;
  }

  /** Gives those of `torrents` that neither the store nor the client has, or of which a crash left a part. */
  async wanted(torrents: readonly ParsedTorrent[]): Promise<ReadonlySet<ParsedTorrent>> {
    const { entries, inClient } = await this.#look(torrents);
    return new Set(
      torrents.filter(({ metainfo: { infoHash } }) => {
        const entry = entries.get(infoHash);
        const state = inClient.get(infoHash);
        if (entry === undefined) return state === undefined || (this.#parts.force && this.#isOurs(state));
        return entry.state === 'adding' && !runs(state);
      }),
    );
  }

  /** Settles all of `ready`, each as soon as possible. Throws failures that concern all: the rest is then not settled. */
  async run(ready: readonly Ready<Planned>[], settle: Settle): Promise<void> {
    const { server, logger, signal } = this.#parts;
    const end = await server.turn(() => logger.info('waiting for another command that adds torrents'), signal);
    try {
      await this.#run(ready, settle);
    } finally {
      end();
    }
  }

  async #look(
    torrents: readonly ParsedTorrent[],
  ): Promise<{ entries: ReadonlyMap<string, ServedEntry>; inClient: ReadonlyMap<string, TorrentState> }> {
    const { client } = this.#parts;
    const hashes = torrents.map(({ metainfo }) => metainfo.infoHash);
    const hybrids = torrents.flatMap(({ metainfo: { infoHash, infoHashV2 } }) =>
      infoHashV2 === undefined ? [] : [{ infoHash, infoHashV2 }],
    );
    client?.introduce?.(hybrids);
    const states = (await client?.list(hashes)) ?? [];
    return {
      entries: new Map((await this.#entries(hashes)).map((entry) => [entry.infoHash, entry])),
      inClient: new Map(states.map((state) => [state.infoHash, state])),
    };
  }

  async #entries(infoHashes: readonly string[]): Promise<ServedEntry[]> {
    const { server } = this.#parts;
    if (infoHashes.length > FEW) return await server.entries();
    const found: ServedEntry[] = [];
    for (const infoHash of infoHashes) {
      const entry = await server.entry(infoHash);
      if (entry !== undefined) found.push(entry);
    }
    return found;
  }

  async #run(ready: readonly Ready<Planned>[], settle: Settle): Promise<void> {
    const { server, client, force } = this.#parts;
    const { entries, inClient } = await this.#look(ready.map(({ torrent }) => torrent));
    const toSeed: Wanted[] = [];
    const again: (readonly [ParsedTorrent, ServedEntry])[] = [];
    const deleted: Deleted[] = [];
    const fromMount: Wanted[] = [];
    const running: string[] = [];
    for (const { torrent, planned } of ready) {
      const { infoHash } = torrent.metainfo;
      const entry = entries.get(infoHash);
      const state = inClient.get(infoHash);
      if (entry?.state === 'added' && lacksFiles(entry, state)) {
        if (force) deleted.push({ torrent, inClient: state !== undefined });
        else settle(torrent, outcomeOf(torrent, 'Exists', whatIsGone(entry)));
      } else if (state !== undefined && entry === undefined && this.#isOurs(state)) {
        if (planned !== undefined && planned.verdict.accepted) fromMount.push([torrent, planned]);
        else if (planned === undefined) settle(torrent, outcomeOf(torrent, 'Exists', WITHOUT_ENTRY));
        else settle(torrent, { ...outcomeOf(torrent, 'Missing', planned.reason), ...amountsOf(planned) });
      } else if (state !== undefined && (entry?.state !== 'adding' || runs(state))) {
        if (entry?.state === 'adding') running.push(infoHash);
        settle(torrent, outcomeOf(torrent, 'Seeded', `Already seeded${inError(state)}${ailing(entry)}`));
      } else if (entry?.state === 'added') {
        if (force && client !== undefined) again.push([torrent, entry]);
        else settle(torrent, outcomeOf(torrent, 'Exists', `${this.#whyNotAgain()}${ailing(entry)}`));
      } else if (planned === undefined) {
        settle(torrent, outcomeOf(torrent, 'Failed', 'Another command took it out meanwhile: add it again'));
      } else if (!planned.verdict.accepted) {
        settle(torrent, { ...outcomeOf(torrent, 'Missing', planned.reason), ...amountsOf(planned) });
      } else toSeed.push([torrent, planned]);
    }
    if (running.length > 0) await server.markAdded(running);
    // Left on its way by a crash.
    const begun = toSeed.map(([{ metainfo }]) => metainfo.infoHash).filter((infoHash) => entries.has(infoHash));
    const stopped = begun.filter((infoHash) => inClient.has(infoHash));
    if (stopped.length > 0) await client?.remove(stopped);
    for (const infoHash of begun) await server.remove(infoHash);

    await this.#seed(toSeed, settle);
    if (fromMount.length > 0) await this.#seed(fromMount, settle, { inClient: true });
    await this.#bringBack(deleted, again, settle);
    await this.#addAgain(again, settle);
  }

  /** Brings back files that were deleted or overwritten. A client that has the torrent looks again; the others are noted in `again`. */
  async #bringBack(
    wanted: readonly Deleted[],
    again: (readonly [ParsedTorrent, ServedEntry])[],
    settle: Settle,
  ): Promise<void> {
    const { server, client, stopped } = this.#parts;
    for (const { torrent, inClient } of wanted) {
      const { infoHash } = torrent.metainfo;
      try {
        // It may have a deleted file open. It stays stopped if the file cannot be brought back: it would download it.
        if (inClient) await client?.stop([infoHash]);
        const entry = await broughtBack(server, infoHash);
        if (inClient && client !== undefined) {
          await lookAgain(client, infoHash, { stopped: stopped || this.#cannotTake(entry) });
          settle(torrent, outcomeOf(torrent, 'OK', `Its files are back, the client checks them${ailing(entry)}`));
        } else if (client === undefined) {
          settle(torrent, outcomeOf(torrent, 'OK', `Its files are back${ailing(entry)}`));
        } else again.push([torrent, entry]);
      } catch (error) {
        settle(torrent, outcomeOf(torrent, 'Failed', explained(failureOf(error))));
      }
    }
  }

  /** Tells if the client has a torrent from the mount. */
  #isOurs({ directory }: TorrentState): boolean {
    const { config, mountPoint, client } = this.#parts;
    const spellings = (path: string): readonly string[] => client?.spellings?.(path) ?? [];
    return directory !== undefined && liesBelow(config.pathMap, directory, mountPoint, spellings);
  }

  #whyNotAgain(): string {
    return this.#parts.client === undefined
      ? 'The entry exists'
      : 'The entry exists, but the client does not have it (--force adds it again)';
  }

  /**
   * Adds to the store, then to the client; undoes failures. If stopped before the client has any, takes all back. `inClient`: the
   * client has the torrents already. They are taken out and added anew, since their names and folders may be others now.
   */
  async #seed(wanted: readonly Wanted[], settle: Settle, { inClient = false } = {}): Promise<void> {
    const amounts = new Map(wanted.map(([torrent, planned]) => [torrent, amountsOf(planned)]));
    const end = (torrent: ParsedTorrent, status: AddWord, reason: string): void => {
      settle(torrent, { ...outcomeOf(torrent, status, reason), ...amounts.get(torrent) });
    };
    const { server, signal } = this.#parts;
    const create = async ([torrent, planned]: Wanted): Promise<Created | AutotorrentError> => {
      const { plan, originalDirectory } = planned;
      try {
        const entry = await server.create(encodedPlan(plan), originalDirectory);
        return { torrent, plan, entry, stopped: this.#parts.stopped || this.#cannotTake(entry) };
      } catch (error) {
        return failureOf(error);
      }
    };
    const created: Created[] = [];
    for (const few of byName(wanted)) {
      if (signal.aborted) break;
      const ended = await Promise.allSettled(few.map(create));
      for (const [i, one] of ended.entries()) {
        const [torrent] = few[i] ?? [];
        if (one.status === 'rejected') throw one.reason;
        if (!(one.value instanceof AutotorrentError)) created.push(one.value);
        else if (torrent !== undefined) end(torrent, 'Failed', explained(one.value));
      }
    }
    if (signal.aborted) {
      for (const one of created) await server.remove(hashOf(one));
      signal.throwIfAborted();
    }
    if (inClient) await this.#parts.client?.remove(created.map(hashOf));
    const results = await this.#addToClient(created);
    const added = created.filter((_, i) => results[i] === 'added');
    const marked = new Set(added.length === 0 ? [] : await server.markAdded(added.map(hashOf)));
    for (const [i, one] of created.entries()) {
      const { torrent, plan, entry, stopped } = one;
      const result = results[i];
      if (result === 'added' && marked.has(hashOf(one))) {
        const reason = `Torrent added successfully${stopped ? ', stopped' : ''}${lacking(torrent.metainfo, plan)}`;
        const unproven = amounts.get(torrent)?.unproven;
        end(torrent, 'OK', `${reason}${this.#whyStopped(entry)}${unproven === undefined ? '' : `; ${unproven}`}`);
        continue;
      }
      if (result === 'added') {
        const { client, logger } = this.#parts;
        if (client !== undefined) await takeOut({ client, logger }, [{ metainfo: torrent.metainfo, entry }]);
        end(torrent, 'Failed', 'Another command took it out meanwhile: add it again');
        continue;
      }
      await server.remove(hashOf(one));
      if (result instanceof AutotorrentError) end(torrent, 'Failed', explained(result));
      else end(torrent, 'Seeded', 'Already seeded');
    }
  }

  /** Adds to the client again the torrents that the store has and the client lost. */
  async #addAgain(wanted: readonly (readonly [ParsedTorrent, ServedEntry])[], settle: Settle): Promise<void> {
    const tasks = wanted.map(([torrent, entry]) => {
      return { torrent, entry, stopped: this.#parts.stopped || this.#cannotTake(entry) };
    });
    const results = await this.#addToClient(tasks);
    for (const [i, { torrent, entry, stopped }] of tasks.entries()) {
      const result = results[i];
      const added = `Torrent added to the client again${stopped ? ', stopped' : ''}${this.#whyStopped(entry)}${ailing(entry)}`;
      if (result instanceof AutotorrentError) settle(torrent, outcomeOf(torrent, 'Failed', explained(result)));
      else if (result === 'exists') settle(torrent, outcomeOf(torrent, 'Seeded', `Already seeded${ailing(entry)}`));
      else settle(torrent, outcomeOf(torrent, 'OK', added));
    }
  }

  async #addToClient(
    wanted: readonly (Omit<Created, 'plan'> & { readonly plan?: Plan })[],
  ): Promise<readonly ClientOutcome[]> {
    const { client, server, logger, config } = this.#parts;
    if (client === undefined) return wanted.map(() => 'added');
    const tasks = wanted.map(({ torrent: { metainfo }, plan, entry, stopped }): ClientTask => {
      const resume = plan === undefined ? undefined : resumeOf(metainfo, plan, config.fastResume);
      return { metainfo, entry, stopped, resume };
    });
    return await addToClient({ server, client, logger, pathMap: config.pathMap }, tasks);
  }

  /** Tells if the client would get stuck with the entry: rTorrent does if it cannot write, and says nothing. */
  #cannotTake(entry: ServedEntry): boolean {
    return this.#parts.readOnly && entry.kind === 'mount' && entry.missingBytes > 0;
  }

  #whyStopped(entry: ServedEntry): string {
    return this.#cannotTake(entry) ? ', which a read-only mount cannot take' : '';
  }
}

/**
 * Splits `wanted`, in its order, into lists to create at once. No name comes twice in a list: the first of two torrents with one
 * name gets it.
 */
function* byName(wanted: readonly Wanted[]): Generator<readonly Wanted[]> {
  let list: Wanted[] = [];
  let files = 0;
  const names = new Set<string>();
  for (const one of wanted) {
    const { name, metainfo } = one[0];
    if (list.length >= CREATED_AT_ONCE || files >= CREATED_FILES || names.has(name)) {
      yield list;
      list = [];
      files = 0;
      names.clear();
    }
    list.push(one);
    files += metainfo.files.length;
    names.add(name);
  }
  if (list.length > 0) yield list;
}

/** Tells if files are gone that the client does not write anew: one that downloads repairs what it has overwritten. */
function lacksFiles({ deletedFiles, overwrittenFiles }: ServedEntry, state: TorrentState | undefined): boolean {
  return (
    deletedFiles > 0 || (overwrittenFiles > 0 && !(state?.activity === 'downloading' || state?.activity === 'checking'))
  );
}

/** A torrent of whose entry files were deleted or overwritten in the mount. */
interface Deleted {
  readonly torrent: ParsedTorrent;
  readonly inClient: boolean;
}

const hashOf = ({ torrent }: Created): string => torrent.metainfo.infoHash;

/** Tells if the client runs the torrent: one that was only added is stopped there, or checks by itself. */
function runs(state: TorrentState | undefined): boolean {
  return state !== undefined && !['stopped', 'checking', 'error'].includes(state.activity);
}

type Amounts = Pick<AddOutcome, 'foundBytes' | 'missingBytes' | 'unproven' | 'incomplete' | 'advice'>;

function amountsOf({ verdict, unproven, incomplete, advice }: Planned): Amounts {
  const { foundBytes, missingBytes } = verdict;
  return {
    foundBytes,
    missingBytes,
    ...(unproven === undefined ? {} : { unproven }),
    ...(incomplete === undefined ? {} : { incomplete }),
    ...(advice === undefined ? {} : { advice }),
  };
}

/** A torrent that the client has, and cannot read. */
function inError({ activity, message }: TorrentState): string {
  if (activity !== 'error') return '';
  return `, but it is in error in the client${message === undefined ? '' : `: ${message}`}`;
}

/** A client may call a torrent seeded whose bytes nobody can read just now. */
function ailing(entry: ServedEntry | undefined): string {
  return entry === undefined || entry.health === 'ok'
    ? ''
    : `, but its sources are not all right: ${healthText(entry)} (autotorrent show ${entry.infoHash.slice(0, 8)})`;
}

/** A client takes whole pieces: for an .nfo of 4 kB it downloads the 16 MiB of the piece that holds it. */
function lacking(metainfo: Metainfo, plan: Plan): string {
  if (plan.missingBytes === 0) return '';
  return `; ${bytes(plan.missingBytes)} missing, ${bytes(bytesToDownload(metainfo, plan))} to download`;
}
