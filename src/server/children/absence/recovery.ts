/**
 * Has the torrents of one client use the mount that is there now. It may take several turns: the client may be restarted
 * while it checks, and one torrent at which it fails does not keep the others.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { introduce } from '../../../app/introduce.ts';
import type { TorrentClient, TorrentState } from '../../../clients/client.ts';
import { type Section } from '../sections.ts';
import { Checks } from './checks.ts';
import { type Entries, hasLost, isUnsettled, isUnsure, isWhole, type Scope } from './lost.ts';
import { clientFailure, entriesOf, hashesOf, type Work } from './sections.ts';
import { settledStates } from './settled.ts';

/** The reason why not all torrents of the client are started. */
export interface Obstacle {
  readonly level: 'info' | 'warn';
  readonly what: string;
  readonly why: string;
}

/** libtorrent takes no notice of a stop and a start within the same moment. */
const REOPEN_MS = 1000;
const LONGEST_LOOK_MS = 10_000;
const SETTLE_LIMIT_MS = 20_000;
/** A client answers before it has loaded its torrents. */
const QUIET_MS = 3000;
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
  /** Those of them that are to be checked before, as it is recorded. */
  #unchecked = new Set<string>();
  /** Checked on this mount: a start that fails does not make that worthless. */
  readonly #checked = new Set<string>();
  /** Checked a second time, since the first one found too little. */
  readonly #twice = new Set<string>();
  /** Had lost the mount: said of them when they are started. */
  readonly #lost = new Set<string>();
  #started: string[] = [];
  #gotOn = false;
  #clientLost = false;
  /** While it checked. */
  #wasLost = false;
  /** It has had its time to look at what it has. */
  #settled = false;
  #failure: string | undefined;
  #said = '';
  /** Said to hang. */
  readonly #named = new Set<string>();

  /** `shown`: what the mount has shown from its beginning, by info hash. What was added since has not lost another one. */
  constructor(work: Work, section: Section, shown: ReadonlySet<string>) {
    this.#work = work;
    this.#section = section;
    this.#shown = shown;
  }

  /** True while it waits for checks. */
  get isChecking(): boolean {
    return !this.#clientLost && this.#checks.infoHashes.length > 0;
  }

  /** Tells whether a further torrent was started since the last call. */
  gotOn(): boolean {
    const gotOn = this.#gotOn;
    this.#gotOn = false;
    return gotOn;
  }

  /**
   * The client went away, or did not answer: it may have forgotten what it was told to check. True where it had been told,
   * for the first time: it may take as long to come as at the beginning.
   */
  lostClient(): boolean {
    const isFirst = this.isChecking && !this.#wasLost;
    this.#wasLost ||= isFirst;
    this.#clientLost = true;
    this.#settled = false;
    return isFirst;
  }

  /**
   * One turn. Where nothing is in the way, it takes until all is checked and started. Throws
   * `AutotorrentError('CLIENT')` where the client cannot be talked to; then, too, what is left is recorded.
   */
  async turn(client: TorrentClient, scope: Scope): Promise<Obstacle | undefined> {
    const { server, record } = this.#work;
    this.#failure = undefined;
    const entries = await entriesOf(server);
    const { stopped, unchecked = [] } = record.of(this.#section.name);
    const listed = stopped.filter((hash) => entries.has(hash));
    this.#unchecked = new Set(unchecked);
    introduce(client, entries.values());
    const states = await this.#states(client, entries, listed, scope);
    this.#settled = true;
    const known = states.filter((state) => !isUnsettled(state));
    const there = new Set(hashesOf(known));
    const awaited = listed.filter((hash) => !there.has(hash));
    await this.#takeUp(client, { entries, known, listed: new Set(listed), scope });
    if (scope !== 'none') this.#sayHung(states.filter(isUnsettled));
    if (awaited.length === 0) await this.#follow(client, entries);
    this.#sayStarted();
    if (this.#failure !== undefined) {
      return { level: 'warn', what: 'not all of its torrents were started yet', why: this.#failure };
    }
    if (awaited.length > 0) {
      const what = `${awaited.length} torrent(s) that were stopped for the mount are started when it has them`;
      return { level: 'info', what, why: 'it has just been started, or they were removed from it' };
    }
    if (this.#checks.infoHashes.length === 0) return undefined;
    return { level: 'info', what: 'its checks are looked for again', why: 'it does not have what it was checking' };
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
        isVague: (state) =>
          isUnsettled(state) ||
          (scope !== 'none' && state.activity === 'checking' && state.progress === 0 && !isOwnCheck(state.infoHash)),
        quietMs: scope === 'none' ? 0 : QUIET_MS,
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
    // Whether a check came to its end before the client did, nobody can tell: such a torrent is as any other.
    const there = new Set(hashesOf(known));
    if (this.#clientLost || !this.#checks.infoHashes.every((hash) => there.has(hash))) this.#checks.keepOnly(known);
    this.#clientLost = false;
    const ended = this.#checks.ended(known);
    const isOwn = new Set([...this.#checks.infoHashes, ...hashesOf(ended)]);
    const others = known.filter(({ infoHash }) => !isOwn.has(infoHash));
    const mayHaveLost = ({ infoHash }: TorrentState): boolean => this.#shown.has(infoHash) && !this.#done.has(infoHash);
    const lost = new Set(others.filter((one) => mayHaveLost(one) && hasLost(one, entries, scope)));
    const rest = others.filter((one) => !lost.has(one));
    const running = new Set(hashesOf(rest.filter(isRunning)));
    const stopped = rest.filter(({ infoHash }) => listed.has(infoHash) && !running.has(infoHash));
    this.#open = new Set([...[...listed].filter((hash) => !running.has(hash)), ...hashesOf([...lost])]);
    for (const { infoHash } of lost) this.#lost.add(infoHash);
    if (scope !== 'none') {
      for (const one of [...stopped, ...lost]) {
        if (isUnsure(one) && !this.#checked.has(one.infoHash)) this.#unchecked.add(one.infoHash);
      }
    }
    // On the disk before the client is told to stop them.
    await this.#keep();

    const closed = await this.#attempt(client, hashesOf([...lost]), (hashes) => client.stop(hashes), isIdle);
    if (closed.length > 0) await sleep(REOPEN_MS);
    const isClosed = new Set(closed);
    const ready = [...stopped, ...[...lost].filter(({ infoHash }) => isClosed.has(infoHash))];
    const taken = hashesOf(await this.#takenBy(ready, entries));
    await this.#start(
      client,
      taken.filter((hash) => !this.#unchecked.has(hash)),
    );
    await this.#startChecked(client, ended, entries);
    await this.#check(
      client,
      taken.filter((hash) => this.#unchecked.has(hash)),
    );
    this.#sayHung(this.#checks.hanging(known));
  }

  async #check(client: TorrentClient, infoHashes: readonly string[]): Promise<void> {
    const begun = await this.#attempt(
      client,
      infoHashes,
      (hashes) => client.recheck(hashes),
      ({ activity }) => activity === 'checking',
    );
    this.#checks.begin(begun);
  }

  /** A client that was restarted in the meantime may have given its check up: what it found is believed the second time. */
  async #startChecked(client: TorrentClient, ended: readonly TorrentState[], entries: Entries): Promise<void> {
    const doubtful = ended.filter(
      ({ infoHash, progress }) => progress < 1 && isWhole(infoHash, entries) && !this.#twice.has(infoHash),
    );
    for (const { infoHash } of doubtful) this.#twice.add(infoHash);
    await this.#check(client, hashesOf(doubtful));
    const checked = hashesOf(ended.filter((one) => !doubtful.includes(one)));
    if (checked.length === 0) return;
    for (const infoHash of checked) {
      this.#checked.add(infoHash);
      this.#unchecked.delete(infoHash);
    }
    await this.#keep();
    await this.#start(client, checked);
  }

  /** A mount that cannot be written to is not for what lacks bytes. */
  async #takenBy(ready: readonly TorrentState[], entries: Entries): Promise<readonly TorrentState[]> {
    if (!(await this.#work.server.status()).readOnly) return ready;
    const taken = ready.filter(({ infoHash }) => isWhole(infoHash, entries));
    const left = ready.length - taken.length;
    const said = `${left} torrent(s) stay stopped: they lack bytes, which a read-only mount cannot take`;
    if (left > 0 && said !== this.#said) this.#work.say('warn', `${this.#section.shown}: ${said}`);
    this.#said = said;
    return taken;
  }

  /** Until all checks have ended, or a torrent fails, or the client does not have one any more: it was restarted. */
  async #follow(client: TorrentClient, entries: Entries): Promise<void> {
    this.#sayStarted();
    for (let pause = REOPEN_MS; this.isChecking && this.#failure === undefined; ) {
      await sleep(pause);
      const asked = this.#checks.infoHashes;
      const states = await client.list(asked);
      if (states.length < asked.length) {
        this.lostClient();
        return;
      }
      await this.#startChecked(client, this.#checks.ended(states), entries);
      this.#sayHung(this.#checks.hanging(states));
      pause = Math.min(LONGEST_LOOK_MS, pause * 1.5);
    }
  }

  async #start(client: TorrentClient, infoHashes: readonly string[]): Promise<void> {
    const started = await this.#attempt(
      client,
      infoHashes,
      (hashes) => client.start(hashes),
      ({ activity }) => activity !== 'stopped' && activity !== 'error',
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
    const unchecked = [...this.#unchecked].filter((hash) => this.#open.has(hash));
    await this.#work.record.set(this.#section.name, { needs: 'recover', stopped: [...this.#open], unchecked });
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

  /** Of each once. libtorrent 2.0 never ends a check that met an error of the disk, whatever it is told. */
  #sayHung(states: readonly TorrentState[]): void {
    const fresh = states.filter(({ infoHash }) => !this.#named.has(infoHash));
    if (fresh.length === 0) return;
    for (const { infoHash } of fresh) this.#named.add(infoHash);
    const names = fresh.slice(0, NAMED).map(({ name }) => JSON.stringify(name));
    const more = fresh.length > NAMED ? ` and ${fresh.length - NAMED} more` : '';
    const what = `${fresh.length} torrent(s) do not get on with their check, which lost the mount`;
    const advice = 'restart the client, unless it is busy with others';
    this.#work.say('warn', `${this.#section.shown}: ${what}: ${advice}: ${names.join(', ')}${more}`);
  }
}

function isRunning({ activity }: TorrentState): boolean {
  return activity === 'seeding' || activity === 'downloading';
}

function isIdle({ activity }: TorrentState): boolean {
  return activity === 'stopped' || activity === 'error' || activity === 'checking';
}
