/**
 * qBittorrent, over its web API. Seen with 4.5.2 (API 2.8.19); 5.x as its documentation has it.
 *
 * What shapes this file:
 * - A torrent's name in the API is its id: the v1 info hash, or, for hybrid and v2 torrents, the v2 one cut to 40 digits.
 * - `torrents/add` takes one save path a call, answers before the torrent is there, and says no more than `Fails.`.
 * - It shows files without pads; libtorrent drops backslashes from names and writes `_` for bytes that are not UTF-8.
 * - `skip_checking` is believed without a look: it is used only where every piece was verified.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientConfig } from '../../config/config.ts';
import { AutotorrentError } from '../../errors.ts';
import type { Metainfo } from '../../metainfo/metainfo.ts';
import { changedNames, type NamedFile, pathComponents } from '../adding/names.ts';
import type {
  AddRequest,
  AddResult,
  ClientDescription,
  TorrentActivity,
  TorrentClient,
  TorrentState,
} from '../client.ts';
import { keepsNames, maySkipCheck, torrentId, withPads } from '../libtorrent/libtorrent.ts';
import { byWeight, inParallel } from '../wire/batches.ts';
import { type ClientOptions, failure, quoted, wrongFormat } from '../wire/exchange.ts';
import { isRecord } from '../wire/json.ts';
import { connectQbittorrent, type QbittorrentRpc } from './rpc.ts';

/** `state` of a torrent; those of 5.x beside those of 4.x. */
const ACTIVITIES: ReadonlyMap<string, TorrentActivity> = new Map(
  Object.entries({
    error: 'error',
    missingFiles: 'error',
    unknown: 'error',
    uploading: 'seeding',
    stalledUP: 'seeding',
    forcedUP: 'seeding',
    pausedUP: 'stopped',
    pausedDL: 'stopped',
    stoppedUP: 'stopped',
    stoppedDL: 'stopped',
    queuedUP: 'queued',
    queuedDL: 'queued',
    moving: 'queued',
    checkingUP: 'checking',
    checkingDL: 'checking',
    checkingResumeData: 'checking',
    downloading: 'downloading',
    stalledDL: 'downloading',
    forcedDL: 'downloading',
    metaDL: 'downloading',
    forcedMetaDL: 'downloading',
    allocating: 'downloading',
  } satisfies Record<string, TorrentActivity>),
);
const MESSAGES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    error: 'an error, of which its log says more',
    missingFiles: 'its files are missing',
    unknown: 'an unknown state',
  }),
);

const ADDS_AT_ONCE = 4;
/** Hashes in one request: a request of more than 10 MB is refused. */
const HASHES_A_CALL = 10_000;
/** Up to here torrents are asked for by name; beyond, all are asked for and sorted out. */
const FEW = 200;
/** For what it does behind its answer. */
const WAIT_MS = 20_000;
const WAIT_EACH_MS = 50;
const POLL_MS = 50;
/** It shows what became of a torrent every 1.5 s. */
const SHOWN_MS = 2000;

type Torrent = Record<string, unknown>;

export function createQbittorrentClient(
  config: Extract<ClientConfig, { client: 'qbittorrent' }>,
  options: ClientOptions = {},
): TorrentClient {
  return new QbittorrentClient(connectQbittorrent(config, options), config.category, config.tags);
}

class QbittorrentClient implements TorrentClient {
  readonly #rpc: QbittorrentRpc;
  readonly #category: string | undefined;
  readonly #tags: string | undefined;
  /** By our info hash: the id under which qBittorrent has the torrent, where it was seen under another one. */
  readonly #ids = new Map<string, string>();
  /** Added by this object, under names that were not there when qBittorrent looked for them. */
  readonly #renamed = new Set<string>();
  #versionKnown = false;

  constructor(rpc: QbittorrentRpc, category: string | undefined, tags: string | undefined) {
    this.#rpc = rpc;
    this.#category = category === '' ? undefined : category;
    this.#tags = tags === '' ? undefined : tags;
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
    return (await this.#torrents(infoHashes)).map((torrent) => this.#stateOf(torrent));
  }

  async add(requests: readonly AddRequest[]): Promise<AddResult[]> {
    await this.#knowVersion();
    const results = new Map<AddRequest, AddResult>();
    const before = new Set((await this.#torrents(hashesOf(requests))).map((torrent) => this.#infoHashOf(torrent)));
    const begun = requests.filter(({ metainfo }) => !before.has(metainfo.infoHash));
    // What it said of them: of these nothing is in it, or it was there before.
    const answered = new Set<AddRequest>();
    try {
      await inParallel(begun, ADDS_AT_ONCE, async (request) => {
        const result = await this.#load(request);
        if (result === undefined) return;
        results.set(request, result.result);
        if (result.said) answered.add(request);
      });
      const loaded = begun.filter((request) => !results.has(request));
      const there = await this.#there(loaded);
      await inParallel(loaded, ADDS_AT_ONCE, async (request) => {
        results.set(request, await this.#settled(request, there.get(request.metainfo.infoHash)));
      });
    } catch (error) {
      await this.#discard(begun.filter((request) => !answered.has(request)));
      throw error;
    }
    await this.#discard(begun.filter((request) => !answered.has(request) && results.get(request)?.outcome !== 'added'));
    return requests.map((request) => results.get(request) ?? { outcome: 'exists' });
  }

  /**
   * What it has marked as missing (the mount was away), and what it looked for under names that were not there, it checks
   * at once: it would download it otherwise.
   */
  async start(infoHashes: readonly string[]): Promise<string[]> {
    await this.#knowVersion();
    const torrents = await this.#torrents(infoHashes);
    const isStale = (torrent: Torrent): boolean =>
      this.#renamed.has(this.#infoHashOf(torrent)) || ACTIVITIES.get(String(torrent['state'])) === 'error';
    const [stale, sound] = [torrents.filter(isStale), torrents.filter((torrent) => !isStale(torrent))];
    // What was stopped when it was told to check would stop again behind its check, unless it is stopped before it is
    // started; it shows as stopped or checking.
    const idle = sound.filter(({ state }) => ['stopped', 'checking'].includes(ACTIVITIES.get(String(state)) ?? ''));
    await this.#act(idle, (ids) => this.#rpc.stopTorrent(ids));
    await this.#act(sound, (ids) => this.#rpc.startTorrent(ids));
    await this.#checkAndStart(await this.#settledAmong(stale));
    const there = this.#among(infoHashes, torrents);
    for (const hash of there) this.#renamed.delete(hash);
    // What shows as stopped for a moment more could not be told from what is, by the next call.
    await this.#within(SHOWN_MS, async () => (await this.list(there)).every(({ activity }) => activity !== 'stopped'));
    return there;
  }

  async stop(infoHashes: readonly string[]): Promise<string[]> {
    await this.#knowVersion();
    const torrents = await this.#torrents(infoHashes);
    await this.#act(torrents, (ids) => this.#rpc.stopTorrent(ids));
    const there = this.#among(infoHashes, torrents);
    // A check goes on to its end; it does no harm, and a start after it is not lost.
    await this.#until('does not stop what it was told to stop', there, (states) =>
      states.every(({ activity }) => activity === 'stopped' || activity === 'checking' || activity === 'error'),
    );
    return there;
  }

  /** What is being checked is left to its check: to be told again would get it stuck (see `#checkAndStart`). */
  async recheck(infoHashes: readonly string[]): Promise<string[]> {
    await this.#knowVersion();
    const torrents = await this.#settledAmong(await this.#torrents(infoHashes));
    const doing = (...activities: TorrentActivity[]): Torrent[] =>
      torrents.filter(({ state }) => activities.includes(ACTIVITIES.get(String(state)) ?? 'error'));
    // Stopped, it checks and stops again.
    await this.#act(doing('stopped'), (ids) => this.#rpc.recheckTorrent(ids));
    await this.#checkAndStart(doing('downloading', 'seeding', 'queued', 'error'));
    const there = this.#among(infoHashes, torrents);
    // Until then it shows what it was before; what is checked in less may never show.
    await this.#within(SHOWN_MS, async () => (await this.list(there)).every(({ activity }) => activity === 'checking'));
    return there;
  }

  /** Waits until they are gone: a torrent that is added while it is being removed is lost. */
  async remove(infoHashes: readonly string[], options: { readonly withData?: boolean } = {}): Promise<string[]> {
    const torrents = await this.#torrents(infoHashes);
    await this.#act(torrents, (ids) => this.#rpc.removeTorrent(ids, options.withData === true));
    const there = this.#among(infoHashes, torrents);
    await this.#until('does not remove what it was told to remove', there, (states) => states.length === 0);
    return there;
  }

  async close(): Promise<void> {}

  async #knowVersion(): Promise<void> {
    if (!this.#versionKnown) await this.describe();
  }

  async #act(torrents: readonly Torrent[], act: (ids: string[]) => Promise<unknown>): Promise<void> {
    const ids = torrents.map((torrent) => idOf(torrent));
    for (const some of byWeight(ids, HASHES_A_CALL, () => 1)) await act(some);
  }

  /**
   * To check a torrent of which a file is missing and that is being checked already, which the state shown may not tell
   * yet, gets it stuck at 0% (4.5.2 with libtorrent 2.0.8), and every check behind it: stopped and started again it
   * goes on. Stopped first and then told to check, it would stop behind the check.
   */
  async #checkAndStart(torrents: readonly Torrent[]): Promise<void> {
    await this.#act(torrents, (ids) => this.#rpc.recheckTorrent(ids));
    await this.#act(torrents, (ids) => this.#rpc.stopTorrent(ids));
    await this.#act(torrents, (ids) => this.#rpc.startTorrent(ids));
  }

  /** The torrents once it has looked for their files, before which it forgets that it is to check them. */
  async #settledAmong(torrents: readonly Torrent[]): Promise<Torrent[]> {
    let last = [...torrents];
    const hashes = torrents.map((torrent) => this.#infoHashOf(torrent));
    await this.#within(WAIT_MS + hashes.length * WAIT_EACH_MS, async () => {
      if (last.every(({ state }) => state !== 'checkingResumeData')) return true;
      last = await this.#torrents(hashes);
      return false;
    });
    return last;
  }

  /** Asks until it is so; whether it became so. */
  async #within(limitMs: number, isSo: () => Promise<boolean>): Promise<boolean> {
    const end = performance.now() + limitMs;
    for (;;) {
      if (await isSo()) return true;
      if (performance.now() > end) return false;
      await sleep(POLL_MS);
    }
  }

  async #until(complaint: string, hashes: readonly string[], is: (states: TorrentState[]) => boolean): Promise<void> {
    if (hashes.length === 0) return;
    const limitMs = WAIT_MS + hashes.length * WAIT_EACH_MS;
    if (!(await this.#within(limitMs, async () => is(await this.list(hashes))))) {
      throw failure(this.#rpc.endpoint, complaint);
    }
  }

  /** All, or those of these info hashes. */
  async #torrents(infoHashes?: readonly string[]): Promise<Torrent[]> {
    if (infoHashes === undefined) return await this.#info();
    if (infoHashes.length === 0) return [];
    const wanted = new Set(infoHashes);
    if (infoHashes.length <= FEW) {
      const found = await this.#info(infoHashes.map((hash) => this.#ids.get(hash) ?? hash));
      if (found.length === wanted.size) return found;
    }
    // A hybrid torrent has an id that its v1 info hash does not tell.
    return (await this.#info()).filter((torrent) => wanted.has(this.#infoHashOf(torrent)));
  }

  async #info(ids?: readonly string[]): Promise<Torrent[]> {
    const form = new URLSearchParams(ids === undefined ? {} : { hashes: ids.join('|') });
    const torrents: unknown = await this.#rpc.request('/torrents/info', 'POST', undefined, form);
    if (!Array.isArray(torrents) || !torrents.every(isRecord)) {
      throw failure(this.#rpc.endpoint, 'answered without a list of torrents');
    }
    return torrents;
  }

  /** Those of the info hashes that are among the torrents. */
  #among(infoHashes: readonly string[], torrents: readonly Torrent[]): string[] {
    const there = new Set(torrents.map((torrent) => this.#infoHashOf(torrent)));
    return infoHashes.filter((hash) => there.has(hash));
  }

  /** Ours: the v1 one, where it has one. */
  #infoHashOf(torrent: Torrent): string {
    const { hash, infohash_v1: v1 } = torrent;
    const infoHash = typeof v1 === 'string' && v1 !== '' ? v1 : hash;
    if (typeof hash !== 'string' || typeof infoHash !== 'string' || !/^[0-9a-f]{40}$/.test(infoHash)) {
      throw failure(this.#rpc.endpoint, 'answered with an info hash that is none');
    }
    if (hash !== infoHash) this.#ids.set(infoHash, hash);
    return infoHash;
  }

  #stateOf(torrent: Torrent): TorrentState {
    const { name, progress } = torrent;
    const state = String(torrent['state']);
    const message =
      MESSAGES.get(state) ?? (ACTIVITIES.has(state) ? undefined : `a state that is not known: ${quoted(state)}`);
    return {
      infoHash: this.#infoHashOf(torrent),
      name: typeof name === 'string' ? name : '',
      activity: ACTIVITIES.get(state) ?? 'error',
      progress: typeof progress === 'number' ? Math.min(1, Math.max(0, progress)) : 0,
      ...(message === undefined ? {} : { message }),
      // So it says of all torrents for a while after its start.
      ...(state === 'checkingResumeData' ? { unsettled: true } : {}),
    };
  }

  /**
   * Undefined: it was taken. `said`: qBittorrent itself said so; else the answer was lost, and it may have it all the same.
   * Throws where the client cannot be talked to.
   */
  async #load(request: AddRequest): Promise<{ readonly result: AddResult; readonly said: boolean } | undefined> {
    const { metainfo, directory } = request;
    const form = new FormData();
    form.set(
      'torrents',
      new File([metainfo.raw], `${metainfo.infoHash}.torrent`, { type: 'application/x-bittorrent' }),
    );
    const options = {
      savepath: directory,
      useDownloadPath: false,
      autoTMM: false,
      contentLayout: 'Original',
      skip_checking: maySkipCheck(request),
      paused: true,
      stopped: true,
      ...(this.#category === undefined ? {} : { category: this.#category }),
      ...(this.#tags === undefined ? {} : { tags: this.#tags }),
    };
    for (const [key, value] of Object.entries(options)) form.set(key, String(value));
    const failed = (error: AutotorrentError): AddResult => ({ outcome: 'failed', error });
    try {
      const said = await this.#rpc.request('/torrents/add', 'POST', undefined, form, undefined, false);
      if (said !== 'Fails.') return undefined;
      // Someone else may have added it since it was asked for.
      if ((await this.#torrents([metainfo.infoHash])).length > 0) return { result: { outcome: 'exists' }, said: true };
      return { result: failed(failure(this.#rpc.endpoint, 'refused the torrent, and does not say why')), said: true };
    } catch (error) {
      if (!(error instanceof AutotorrentError)) throw error;
      await this.describe(); // all is lost, which this throws; or this torrent alone
      return { result: failed(error), said: false };
    }
  }

  /** By info hash, what is there by now; it loads behind its answer. */
  async #there(requests: readonly AddRequest[]): Promise<Map<string, Torrent>> {
    for (const { metainfo } of requests) {
      if (metainfo.version !== 'v1') this.#ids.set(metainfo.infoHash, torrentId(metainfo));
    }
    let found = new Map<string, Torrent>();
    await this.#within(WAIT_MS + requests.length * WAIT_EACH_MS, async () => {
      const torrents = await this.#torrents(hashesOf(requests));
      found = new Map(torrents.map((torrent) => [this.#infoHashOf(torrent), torrent]));
      return found.size === requests.length;
    });
    return found;
  }

  /** Where it is, that the category took, and the names that differ. */
  async #settled(request: AddRequest, torrent: Torrent | undefined): Promise<AddResult> {
    const { metainfo, directory } = request;
    const { endpoint } = this.#rpc;
    const failed = (error: AutotorrentError): AddResult => ({ outcome: 'failed', error });
    if (torrent === undefined) return failed(failure(endpoint, 'took the torrent, but does not have it'));
    const put = String(torrent['save_path']).replace(/\/+$/, '');
    const folder = directory.replace(/\/+$/, '');
    if (put !== folder)
      return failed(failure(endpoint, `put the torrent into ${quoted(put)}, not into ${quoted(folder)}`));
    if (this.#category !== undefined && torrent['category'] !== this.#category) {
      const hint = 'A category has no backslash, does not begin or end with /, and has no // in it.';
      return failed(failure(endpoint, `did not take the category ${quoted(this.#category)}`, hint));
    }
    try {
      const names = changedNames(endpoint, metainfo, await this.#filesOf(torrent, metainfo));
      if (names === undefined) return { outcome: 'added' };
      this.#renamed.add(metainfo.infoHash);
      return { outcome: 'added', names };
    } catch (error) {
      if (!(error instanceof AutotorrentError)) throw error;
      return failed(error);
    }
  }

  /** In the torrent's order; pads, which it does not list, as the torrent has them. */
  async #filesOf(torrent: Torrent, metainfo: Metainfo): Promise<readonly NamedFile[]> {
    const { endpoint } = this.#rpc;
    const listed: unknown = await this.#rpc.torrentFiles(idOf(torrent));
    if (!Array.isArray(listed)) throw failure(endpoint, 'answered without a list of files');
    const told = listed.map((file: unknown): NamedFile => {
      if (!isRecord(file) || typeof file['name'] !== 'string' || typeof file['size'] !== 'number') {
        throw failure(endpoint, 'answered with a file that makes no sense');
      }
      return { path: pathComponents(endpoint, file['name']), length: file['size'] };
    });
    return withPads(metainfo, told);
  }

  async #discard(requests: readonly AddRequest[]): Promise<void> {
    try {
      await this.remove(hashesOf(requests));
    } catch {
      // It could not be reached a second time: the first error says more.
    }
  }
}

const hashesOf = (requests: readonly AddRequest[]): string[] => requests.map(({ metainfo }) => metainfo.infoHash);

const idOf = (torrent: Torrent): string => String(torrent['hash']);
