/** qBittorrent, over its web API. Seen with 4.5.2 (API 2.8.19); 5.x as its documentation has it. */
import type { ClientConfig } from '../../config/config.ts';
import type { Metainfo } from '../../metainfo/metainfo.ts';
import { addAll, renamedAmong } from '../adding/add-all.ts';
import { Adding } from '../adding/adding.ts';
import type {
  AddRequest,
  AddResult,
  ClientDescription,
  ClientProgram,
  TorrentActivity,
  TorrentClient,
  TorrentState,
} from '../client.ts';
import { keepsNames } from '../libtorrent/skip-check.ts';
import { type ClientOptions, failure, quoted, wrongFormat } from '../wire/exchange.ts';
import { within } from '../wire/within.ts';
import { QbittorrentAddSteps } from './adding.ts';
import { connectQbittorrent, type QbittorrentRpc } from './rpc.ts';
import { activityOf, isUnsettled, stateOf, type Torrent } from './states.ts';
import { QbittorrentTorrents } from './torrents.ts';

/** For what it does after its answer; the second is for each torrent. */
const LIMIT_MS = 20_000;
const LIMIT_EACH_MS = 50;
/** It renews the states that it shows every 1.5 s. */
const SHOWN_MS = 2000;

/** Does not connect yet. @throws AutotorrentError('CONFIG') where its address cannot be used */
export function createQbittorrentClient(
  config: Extract<ClientConfig, { client: 'qbittorrent' }>,
  options: ClientOptions = {},
): TorrentClient {
  return new QbittorrentClient(connectQbittorrent(config, options), config.category, config.tags);
}

class QbittorrentClient implements TorrentClient {
  readonly #rpc: QbittorrentRpc;
  readonly #torrents: QbittorrentTorrents;
  readonly #category: string | undefined;
  readonly #tags: string | undefined;
  /** Added by this object, under names that were not there when qBittorrent looked for them. */
  readonly #renamed = new Set<string>();
  #versionKnown = false;

  constructor(rpc: QbittorrentRpc, category: string | undefined, tags: string | undefined) {
    this.#rpc = rpc;
    this.#torrents = new QbittorrentTorrents(rpc);
    this.#category = category === '' ? undefined : category;
    this.#tags = tags === '' ? undefined : tags;
  }

  get program(): ClientProgram | undefined {
    return this.#rpc.endpoint.program;
  }

  takesWord(metainfo: Metainfo, whole: boolean): boolean {
    return whole && keepsNames(metainfo);
  }

  async describe(): Promise<ClientDescription> {
    const version = await this.#rpc.getAppVersion();
    if (!/^v?\d+\.\d/.test(version)) throw wrongFormat(this.#rpc.endpoint, Buffer.from(version), 'a version');
    // By this the package knows the names of calls that 5.0 changed.
    this.#rpc.state.version = { version, isVersion5OrHigher: Number.parseInt(version.replace(/^v/, ''), 10) >= 5 };
    this.#versionKnown = true;
    return { name: 'qBittorrent', version: quoted(version.replace(/^v/, '')) };
  }

  async list(infoHashes?: readonly string[]): Promise<TorrentState[]> {
    const torrents = await this.#torrents.get(infoHashes);
    return torrents.map((torrent) => stateOf(this.#torrents.infoHashOf(torrent), torrent));
  }

  async add(requests: readonly AddRequest[]): Promise<AddResult[]> {
    await this.#knowVersion();
    const steps = new QbittorrentAddSteps({
      rpc: this.#rpc,
      torrents: this.#torrents,
      category: this.#category,
      tags: this.#tags,
      client: this,
    });
    const results = await addAll(
      requests.map((request) => new Adding(request)),
      steps,
    );
    for (const infoHash of renamedAmong(requests, results)) this.#renamed.add(infoHash);
    return results;
  }

  /**
   * Has qBittorrent check at once what it has marked as missing (the mount was away), and what it looked for under names
   * that were not there: it would download it otherwise.
   */
  async start(infoHashes: readonly string[]): Promise<string[]> {
    await this.#knowVersion();
    const torrents = await this.#torrents.get(infoHashes);
    const isStale = (torrent: Torrent): boolean =>
      this.#renamed.has(this.#torrents.infoHashOf(torrent)) || activityOf(torrent) === 'error';
    const [stale, sound] = [torrents.filter(isStale), torrents.filter((torrent) => !isStale(torrent))];
    // A torrent that was stopped when it was told to check stops again after its check, unless it is stopped before it is
    // started; it shows as stopped or checking.
    const idle = sound.filter((torrent) => ['stopped', 'checking'].includes(activityOf(torrent)));
    await this.#torrents.act(idle, (ids) => this.#rpc.stopTorrent(ids));
    await this.#torrents.act(sound, (ids) => this.#rpc.startTorrent(ids));
    await this.#checkAndStart(await this.#settledAmong(stale));
    const there = this.#torrents.among(infoHashes, torrents);
    for (const hash of there) this.#renamed.delete(hash);
    // The next call could not tell a torrent that only shows as stopped for a moment more from one that is stopped.
    await within(SHOWN_MS, async () => (await this.list(there)).every(({ activity }) => activity !== 'stopped'));
    return there;
  }

  async stop(infoHashes: readonly string[]): Promise<string[]> {
    await this.#knowVersion();
    const torrents = await this.#torrents.get(infoHashes);
    await this.#torrents.act(torrents, (ids) => this.#rpc.stopTorrent(ids));
    const there = this.#torrents.among(infoHashes, torrents);
    // A check goes on to its end; it does no harm, and a start after it is not lost.
    await this.#until('does not stop what it was told to stop', there, (states) =>
      states.every(({ activity }) => activity === 'stopped' || activity === 'checking' || activity === 'error'),
    );
    return there;
  }

  /** Leaves a torrent that is being checked to its check: a second one would get it stuck (see `#checkAndStart`). */
  async recheck(infoHashes: readonly string[]): Promise<string[]> {
    await this.#knowVersion();
    const torrents = await this.#settledAmong(await this.#torrents.get(infoHashes));
    const doing = (...activities: TorrentActivity[]): Torrent[] =>
      torrents.filter((torrent) => activities.includes(activityOf(torrent)));
    // A stopped torrent is checked and stops again.
    await this.#torrents.act(doing('stopped'), (ids) => this.#rpc.recheckTorrent(ids));
    await this.#checkAndStart(doing('downloading', 'seeding', 'queued', 'error'));
    const there = this.#torrents.among(infoHashes, torrents);
    // Until then it shows what it was before; a check that takes less time may never show.
    await within(SHOWN_MS, async () => (await this.list(there)).every(({ activity }) => activity === 'checking'));
    return there;
  }

  /** Waits until they are gone: a torrent that is added while it is being removed is lost. */
  async remove(infoHashes: readonly string[], options: { readonly withData?: boolean } = {}): Promise<string[]> {
    const torrents = await this.#torrents.get(infoHashes);
    await this.#torrents.act(torrents, (ids) => this.#rpc.removeTorrent(ids, options.withData === true));
    const there = this.#torrents.among(infoHashes, torrents);
    await this.#until('does not remove what it was told to remove', there, (states) => states.length === 0);
    return there;
  }

  async close(): Promise<void> {}

  async #knowVersion(): Promise<void> {
    if (!this.#versionKnown) await this.describe();
  }

  /**
   * Checks torrents and starts them. To check a torrent of which a file is missing and that is being checked already,
   * which its state may not show yet, gets it stuck at 0% (4.5.2 with libtorrent 2.0.8), and every check after it:
   * stopped and started again it goes on. Stopped first and then told to check, it would stop after the check.
   */
  async #checkAndStart(torrents: readonly Torrent[]): Promise<void> {
    await this.#torrents.act(torrents, (ids) => this.#rpc.recheckTorrent(ids));
    await this.#torrents.act(torrents, (ids) => this.#rpc.stopTorrent(ids));
    await this.#torrents.act(torrents, (ids) => this.#rpc.startTorrent(ids));
  }

  /** The torrents once qBittorrent has looked for their files: before that it forgets that it is to check them. */
  async #settledAmong(torrents: readonly Torrent[]): Promise<Torrent[]> {
    let last = [...torrents];
    const hashes = torrents.map((torrent) => this.#torrents.infoHashOf(torrent));
    await within(LIMIT_MS + hashes.length * LIMIT_EACH_MS, async () => {
      if (!last.some(isUnsettled)) return true;
      last = await this.#torrents.get(hashes);
      return false;
    });
    return last;
  }

  async #until(complaint: string, hashes: readonly string[], is: (states: TorrentState[]) => boolean): Promise<void> {
    if (hashes.length === 0) return;
    const limitMs = LIMIT_MS + hashes.length * LIMIT_EACH_MS;
    if (!(await within(limitMs, async () => is(await this.list(hashes))))) throw failure(this.#rpc.endpoint, complaint);
  }
}
