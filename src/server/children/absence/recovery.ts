/**
 * Makes the torrents of one client use the present mount. It may take several turns: the client may be restarted while
 * it checks, and a torrent that fails does not hold up the others.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { introduce } from '../../../app/introduce.ts';
import type { TorrentClient, TorrentState } from '../../../clients/client.ts';
import { type Section } from '../sections.ts';
import { Checks } from './checks.ts';
import { type Entries, hasLost, isUnsettled, isUnsure, isWhole, type Scope } from './lost.ts';
import { clientFailure, hashesOf, startableEntries, type Work } from './sections.ts';
import { settledStates } from './settled.ts';

/** The reason why not all torrents of the client are started. */
export interface Obstacle {
  readonly level: 'info' | 'warn';
  readonly what: string;
  readonly why: string;
}

/** libtorrent ignores a stop that a start follows at once. */
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
  /** Torrents that we started on this mount. From then on the user and the client decide about them. */
  readonly #done = new Set<string>();
  readonly #checks = new Checks();
  /** Torrents that we must start, as recorded; a started torrent leaves the set. */
  #open: ReadonlySet<string> = new Set();
  /** Torrents among them that must be checked first, as recorded. */
  #unchecked = new Set<string>();
  /** Torrents checked on this mount; a start that fails afterwards does not undo the check. */
  readonly #checked = new Set<string>();
  /** Torrents checked a second time, since the first check found too little. */
  readonly #twice = new Set<string>();
  /** Torrents that lost the mount; reported once they run again. */
  readonly #lost = new Set<string>();
  #started: string[] = [];
  #gotOn = false;
  #clientLost = false;
  /** The client went away while it checked. */
  #wasLost = false;
  /** The client has had its time to look at its torrents. */
  #settled = false;
  #failure: string | undefined;
  #said = '';
  /** Torrents that were reported to hang. */
  readonly #named = new Set<string>();

  /**
   * `shown`: info hashes that the mount has shown since its beginning. Torrents that were added later cannot have lost
   * an earlier mount.
   */
  constructor(work: Work, section: Section, shown: ReadonlySet<string>) {
    this.#work = work;
    this.#section = section;
    this.#shown = shown;
  }

  /** True while checks are running. */
  get isChecking(): boolean {
    return !this.#clientLost && this.#checks.infoHashes.length > 0;
  }

  /** Reports whether a further torrent was started since the last call. */
  gotOn(): boolean {
    const gotOn = this.#gotOn;
    this.#gotOn = false;
    return gotOn;
  }

  /**
   * Notes that the client went away or did not answer, and so may have forgotten its checks.
   * True the first time that this interrupts checks: the client may then take as long to return as at the beginning.
   */
  lostClient(): boolean {
    const isFirst = this.isChecking && !this.#wasLost;
    this.#wasLost ||= isFirst;
    this.#clientLost = true;
    this.#settled = false;
    return isFirst;
  }

  /**
   * Runs one turn. If nothing is in the way, it ends when every torrent is checked and started.
   * @throws AutotorrentError('CLIENT') if the client cannot be reached; what is left is recorded then, too
   */
  async turn(client: TorrentClient, scope: Scope): Promise<Obstacle | undefined> {
    const { record } = this.#work;
    this.#failure = undefined;
    const entries = await startableEntries(this.#work);
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
      const what = `${awaited.length} torrent(s) that were stopped for the mount will be started when the client has loaded them`;
      return { level: 'info', what, why: 'it has just been started, or they were removed from it' };
    }
    if (this.#checks.infoHashes.length === 0) return undefined;
    return {
      level: 'info',
      what: 'its checks will be looked for again',
      why: 'it no longer has the torrents that it was checking',
    };
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
        // A Deluge that was just started reports "checking" for torrents that it only looks at.
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
    // The check may or may not have ended before the client did, so the torrent is treated like any other.
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
    // The record must be on the disk before the client is asked to stop them.
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

  /**
   * Starts torrents whose check has ended. A client that was restarted in the meantime may have given a check up; so a
   * check that found too little is made twice.
   */
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

  /** Returns the torrents that the mount can take: one that is read-only cannot take torrents that lack bytes. */
  async #takenBy(ready: readonly TorrentState[], entries: Entries): Promise<readonly TorrentState[]> {
    if (!(await this.#work.server.status()).readOnly) return ready;
    const taken = ready.filter(({ infoHash }) => isWhole(infoHash, entries));
    const left = ready.length - taken.length;
    const said = `${left} torrent(s) stay stopped: they lack bytes, which a read-only mount cannot take`;
    if (left > 0 && said !== this.#said) this.#work.say('warn', `${this.#section.shown}: ${said}`);
    this.#said = said;
    return taken;
  }

  /**
   * Follows the checks until all have ended, a torrent fails, or the client no longer has one since it was restarted.
   */
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

  /** Runs `act` and returns the torrents for which it succeeded: one that fails does not hold up the others. */
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
      // This throws if the failure is not a torrent's but the client's.
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
    if (resumed > 0) say('info', `${shown}: ${resumed} torrent(s) that were stopped for the mount run again`);
    if (recovered > 0) say('info', `${shown}: ${recovered} torrent(s) that had lost the mount use it again`);
  }

  /**
   * Reports each hanging torrent once. libtorrent 2.0 never ends a check that met a disk error, whatever it is asked.
   */
  #sayHung(states: readonly TorrentState[]): void {
    const fresh = states.filter(({ infoHash }) => !this.#named.has(infoHash));
    if (fresh.length === 0) return;
    for (const { infoHash } of fresh) this.#named.add(infoHash);
    const names = fresh.slice(0, NAMED).map(({ name }) => JSON.stringify(name));
    const more = fresh.length > NAMED ? ` and ${fresh.length - NAMED} more` : '';
    const what = `${fresh.length} torrent(s) are stuck in a check that lost the mount`;
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
