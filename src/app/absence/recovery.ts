/**
 * Has the torrents of one client use the mount that is there now. It may take several turns: the client may be restarted
 * while it checks, and one torrent at which it fails does not keep the others.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { TorrentClient, TorrentState } from '../../clients/client.ts';
import type { EntryMessage } from '../control/messages.ts';
import { introduce } from '../introduce.ts';
import { Checks } from './checks.ts';
import { clientFailure, entriesOf, hashesOf, type Section, type Work } from './sections.ts';
import { settledStates } from './settled.ts';

/**
 * What is looked at beside the torrents that autotorrent has stopped itself. `errors`: what the client holds in error, or
 * takes to be incomplete where nothing is missing.
 */
export type Scope = 'none' | 'errors' | 'all';

/** What keeps the client's torrents from being all started. */
export interface Obstacle {
  readonly level: 'info' | 'warn';
  readonly what: string;
  readonly why: string;
}

type Entries = ReadonlyMap<string, EntryMessage>;

/** libtorrent takes no notice of a stop and a start within the same moment. */
const REOPEN_MS = 1000;
const LONGEST_LOOK_MS = 10_000;
const SETTLE_LIMIT_MS = 20_000;
const NAMED = 5;

export class Recovery {
  readonly #work: Work;
  readonly #section: Section;
  readonly #shown: ReadonlySet<string>;
  /** Started by us, on this mount: from then on what becomes of them is the user's matter, and the client's. */
  readonly #done = new Set<string>();
  readonly #checks = new Checks();
  /** Ours to start, as it is recorded: what is started leaves it. */
  #open: ReadonlySet<string> = new Set();
  /** Had lost the mount: said of them when they are started. */
  readonly #lost = new Set<string>();
  #started: string[] = [];
  #gotOn = false;
  #clientLost = false;
  /** It has had its time to look at what it has. */
  #settled = false;
  #failure: string | undefined;
  readonly #said = new Set<string>();

  /** `shown`: what the mount has shown from its beginning, by info hash. What was added since has not lost another one. */
  constructor(work: Work, section: Section, shown: ReadonlySet<string>) {
    this.#work = work;
    this.#section = section;
    this.#shown = shown;
  }

  /** Whether a torrent was started that had not been, since this was asked for the last time. */
  gotOn(): boolean {
    const gotOn = this.#gotOn;
    this.#gotOn = false;
    return gotOn;
  }

  /** The client went away, or did not answer: it may have forgotten what it was told to check. */
  lostClient(): void {
    this.#clientLost = true;
    this.#settled = false;
  }

  /**
   * One turn. Where nothing is in the way, it takes until all is checked and started. Throws
   * `AutotorrentError('CLIENT')` where the client cannot be talked to; then, too, what is left is recorded.
   */
  async turn(client: TorrentClient, scope: Scope): Promise<Obstacle | undefined> {
    const { server, record } = this.#work;
    this.#failure = undefined;
    const entries = await entriesOf(server);
    const listed = record.of(this.#section.name).stopped.filter((hash) => entries.has(hash));
    introduce(client, entries.values());
    const states = await this.#states(client, entries, listed, scope);
    this.#settled = true;
    const known = states.filter(({ unsettled }) => unsettled !== true);
    const there = new Set(hashesOf(known));
    const awaited = listed.filter((hash) => !there.has(hash));
    await this.#takeUp(client, { entries, known, listed: new Set(listed), scope });
    if (scope !== 'none') this.#sayHung(states.filter(({ unsettled }) => unsettled === true));
    if (awaited.length === 0) await this.#follow(client, () => this.#failure === undefined);
    this.#sayStarted();
    if (this.#failure !== undefined) {
      return { level: 'warn', what: 'not all of its torrents were started yet', why: this.#failure };
    }
    if (awaited.length === 0) return undefined;
    const what = `${awaited.length} torrent(s) that were stopped for the mount are started when it has them`;
    return { level: 'info', what, why: 'it has just been started, or they were removed from it' };
  }

  /** What it was told to check is started when that has ended, whatever becomes of the others. */
  async followChecks(client: TorrentClient): Promise<void> {
    await this.#follow(client, () => true);
    this.#sayStarted();
  }

  async #states(
    client: TorrentClient,
    entries: Entries,
    awaited: readonly string[],
    scope: Scope,
  ): Promise<TorrentState[]> {
    const isOwnCheck = (infoHash: string): boolean => this.#checks.has(infoHash) && !this.#clientLost;
    return await settledStates(
      client,
      {
        infoHashes: [...entries.keys()],
        awaited,
        // A Deluge that was just started says that it checks what it only looks at.
        isVague: ({ infoHash, activity, progress, unsettled }) =>
          unsettled === true ||
          (scope !== 'none' && activity === 'checking' && progress === 0 && !isOwnCheck(infoHash)),
      },
      this.#settled ? 0 : SETTLE_LIMIT_MS,
    );
  }

  async #takeUp(
    client: TorrentClient,
    {
      entries,
      known,
      listed,
      scope,
    }: {
      readonly entries: Entries;
      readonly known: readonly TorrentState[];
      readonly listed: ReadonlySet<string>;
      readonly scope: Scope;
    },
  ): Promise<void> {
    const ended = this.#checks.ended(known);
    // Whether a check came to its end before the client did, nobody can tell: such a torrent is as any other.
    const checked = new Set(this.#clientLost ? [] : ended);
    this.#clientLost = false;
    const others = known.filter(({ infoHash }) => !this.#checks.has(infoHash) && !checked.has(infoHash));
    const mayHaveLost = ({ infoHash }: TorrentState): boolean => this.#shown.has(infoHash) && !this.#done.has(infoHash);
    const lost = new Set(others.filter((one) => mayHaveLost(one) && hasLost(one, entries, scope)));
    const rest = others.filter((one) => !lost.has(one));
    const running = new Set(hashesOf(rest.filter(isRunning)));
    const stopped = rest.filter(({ infoHash }) => listed.has(infoHash) && !running.has(infoHash));
    this.#open = new Set([...[...listed].filter((hash) => !running.has(hash)), ...hashesOf([...lost])]);
    for (const { infoHash } of lost) this.#lost.add(infoHash);
    // On the disk before the client is told to stop them.
    await this.#keep();

    const closed = await this.#attempt(client, hashesOf([...lost]), (hashes) => client.stop(hashes), isIdle);
    if (closed.length > 0) await sleep(REOPEN_MS);
    const isClosed = new Set(closed);
    const ready = [...stopped, ...[...lost].filter(({ infoHash }) => isClosed.has(infoHash))];
    const taken = await this.#takenBy(ready, entries);
    const isToCheck = (state: TorrentState): boolean => scope !== 'none' && isUnsure(state);
    await this.#start(client, [...checked, ...hashesOf(taken.filter((one) => !isToCheck(one)))]);
    const begun = await this.#attempt(
      client,
      hashesOf(taken.filter(isToCheck)),
      (hashes) => client.recheck(hashes),
      ({ activity }) => activity === 'checking',
    );
    this.#checks.begin(begun);
    this.#sayHung(this.#checks.hanging(known));
  }

  /** A mount that cannot be written to is not for what lacks bytes. */
  async #takenBy(ready: readonly TorrentState[], entries: Entries): Promise<readonly TorrentState[]> {
    if (!(await this.#work.server.status()).read_only) return ready;
    const taken = ready.filter(({ infoHash }) => entries.get(infoHash)?.missing_bytes === 0);
    const left = ready.length - taken.length;
    if (left > 0) {
      this.#say('warn', `${left} torrent(s) stay stopped: they lack bytes, which a read-only mount cannot take`);
    }
    return taken;
  }

  async #follow(client: TorrentClient, isToGoOn: () => boolean): Promise<void> {
    this.#sayStarted();
    for (let pause = REOPEN_MS; this.#checks.infoHashes.length > 0 && isToGoOn(); ) {
      await sleep(pause);
      const states = await client.list(this.#checks.infoHashes);
      await this.#start(client, this.#checks.ended(states));
      this.#sayHung(this.#checks.hanging(states));
      pause = Math.min(LONGEST_LOOK_MS, pause * 1.5);
    }
  }

  async #start(client: TorrentClient, infoHashes: readonly string[]): Promise<void> {
    const started = await this.#attempt(
      client,
      infoHashes,
      (hashes) => client.start(hashes),
      (state) => isRunning(state) || state.activity === 'checking',
    );
    if (started.length === 0) return;
    this.#gotOn ||= started.some((hash) => !this.#done.has(hash));
    for (const hash of started) this.#done.add(hash);
    this.#open = new Set([...this.#open].filter((hash) => !this.#done.has(hash)));
    this.#started.push(...started);
    await this.#keep();
  }

  /** Those with which `act` was done: a torrent at which the client fails does not keep the others. */
  async #attempt(
    client: TorrentClient,
    infoHashes: readonly string[],
    act: (infoHashes: readonly string[]) => Promise<unknown>,
    isDone: (state: TorrentState) => boolean,
  ): Promise<readonly string[]> {
    if (infoHashes.length === 0) return [];
    try {
      await act(infoHashes);
      return infoHashes;
    } catch (error) {
      const failure = clientFailure(error);
      // This throws where it is not a torrent that it fails at.
      const states = await client.list(infoHashes);
      const done = hashesOf(states.filter(isDone));
      if (done.length < infoHashes.length) this.#failure ??= failure;
      return done;
    }
  }

  async #keep(): Promise<void> {
    await this.#work.record.set(this.#section.name, { needs: 'recover', stopped: [...this.#open] });
  }

  #sayStarted(): void {
    const recovered = this.#started.filter((hash) => this.#lost.has(hash)).length;
    const resumed = this.#started.length - recovered;
    this.#started = [];
    const { say } = this.#work;
    const { shown } = this.#section;
    if (resumed > 0) say('info', `${shown}: ${resumed} torrent(s) that were stopped for the mount go on`);
    if (recovered > 0) say('info', `${shown}: ${recovered} torrent(s) that had lost the mount use it again`);
  }

  /** libtorrent 2.0 never ends a check that met an error of the disk, whatever it is told. */
  #sayHung(states: readonly TorrentState[]): void {
    if (states.length === 0) return;
    const names = states.slice(0, NAMED).map(({ name }) => JSON.stringify(name));
    const more = states.length > NAMED ? ` and ${states.length - NAMED} more` : '';
    const what = `${states.length} torrent(s) do not get on with their check, which lost the mount`;
    this.#say('warn', `${what}: restart the client, unless it is busy with others: ${names.join(', ')}${more}`);
  }

  /** Once. */
  #say(level: 'info' | 'warn', message: string): void {
    if (this.#said.has(message)) return;
    this.#said.add(message);
    this.#work.say(level, `${this.#section.shown}: ${message}`);
  }
}

function hasLost({ infoHash, activity, progress }: TorrentState, entries: Entries, scope: Scope): boolean {
  if (scope === 'none' || activity === 'stopped') return false;
  if (scope === 'all' || activity === 'error') return true;
  return activity !== 'checking' && progress < 1 && entries.get(infoHash)?.missing_bytes === 0;
}

function isRunning({ activity }: TorrentState): boolean {
  return activity === 'seeding' || activity === 'downloading';
}

function isIdle({ activity }: TorrentState): boolean {
  return activity === 'stopped' || activity === 'error' || activity === 'checking';
}

/** Of what was written in its last moments the mount may have lost some; what is complete was not written to. */
function isUnsure({ activity, progress }: TorrentState): boolean {
  return activity === 'error' || activity === 'checking' || progress < 1;
}
