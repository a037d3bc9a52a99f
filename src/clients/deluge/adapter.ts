/**
 * Deluge 2, over its daemon's RPC or its web interface. Seen with 2.0.3 and libtorrent 2.0.8.
 *
 * What shapes this file:
 * - A torrent's id is the v1 info hash, or, for hybrid and v2 torrents, the v2 one cut to 40 digits. Nothing in it tells
 *   the v1 hash of a hybrid: whoever asks says first which hybrids there are (`introduce`).
 * - Calls on a torrent that it does not have fail for all of a list: what is there is asked for first.
 * - `seed_mode` is believed after a look at the files' sizes: it is used only where every piece was verified.
 * - Labels are the plugin's: small letters, digits, `_`, `-` and `.`; it is enabled where a label is configured.
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
  TorrentHashes,
  TorrentState,
} from '../client.ts';
import { keepsNames, maySkipCheck, torrentId, withPads } from '../libtorrent/libtorrent.ts';
import { byWeight } from '../wire/batches.ts';
import { type ClientOptions, failure, quoted } from '../wire/exchange.ts';
import { isRecord } from '../wire/json.ts';
import type { Rencodable } from '../wire/rencode.ts';
import { connectDaemon } from './daemon.ts';
import { ask, type DelugeAnswer, type DelugeRpc, refusal } from './rpc.ts';
import { connectWeb } from './web.ts';

const STATE_KEYS = ['name', 'state', 'progress', 'message'];
const ACTIVITIES: ReadonlyMap<string, TorrentActivity> = new Map(
  Object.entries({
    Allocating: 'checking',
    Checking: 'checking',
    Downloading: 'downloading',
    Seeding: 'seeding',
    Paused: 'stopped',
    Queued: 'queued',
    Moving: 'queued',
    Error: 'error',
  } satisfies Record<string, TorrentActivity>),
);

/** Up to here torrents are asked for one by one (in one request): the answer is of now, not of some seconds ago. */
const FEW = 50;
/** Bytes of .torrents in one request, before base64 makes a third more of them. */
const BYTES_A_REQUEST = 8 * 1024 * 1024;
const WAIT_MS = 20_000;
const WAIT_EACH_MS = 50;
const POLL_MS = 50;
const LABEL_PLUGIN = 'Label';

type Status = Record<string, unknown>;

/** Throws `AutotorrentError('CONFIG')` where its address or its label cannot be used. */
export function createDelugeClient(
  config: Extract<ClientConfig, { client: 'deluge' }>,
  options: ClientOptions = {},
): TorrentClient {
  const rpc = config.host === undefined ? connectWeb(config, options) : connectDaemon(config, options);
  return new DelugeClient(rpc, labelOf(config.label));
}

/** As the plugin has it. */
function labelOf(configured: string | undefined): string | undefined {
  if (configured === undefined || configured === '') return undefined;
  const label = configured
    .toLowerCase()
    .replaceAll(/[^a-z0-9_.-]+/g, '-')
    .replaceAll(/^-|-$/g, '');
  if (label !== '') return label;
  throw new AutotorrentError('CONFIG', `client: label: Deluge cannot have the label ${quoted(configured)}`, {
    hint: 'Its labels are made of a to z, 0 to 9, _, - and .',
  });
}

class DelugeClient implements TorrentClient {
  readonly #rpc: DelugeRpc;
  readonly #label: string | undefined;
  /** By our info hash: the id of a hybrid torrent, which may be another. */
  readonly #ids = new Map<string, string>();
  /** Added by this object, under names that were not there when Deluge looked for them. */
  readonly #renamed = new Set<string>();
  #labelReady: Promise<void> | undefined;

  constructor(rpc: DelugeRpc, label: string | undefined) {
    this.#rpc = rpc;
    this.#label = label;
  }

  introduce(torrents: readonly TorrentHashes[]): void {
    for (const torrent of torrents) this.#ids.set(torrent.infoHash, torrentId(torrent));
  }

  takesWord(metainfo: Metainfo, whole: boolean): boolean {
    return whole && keepsNames(metainfo);
  }

  async describe(): Promise<ClientDescription> {
    const version = await ask(this.#rpc, 'daemon.get_version');
    if (typeof version !== 'string') throw failure(this.#rpc.endpoint, 'answered without a version: no Deluge');
    return { name: 'Deluge', version: quoted(version) };
  }

  async list(infoHashes?: readonly string[]): Promise<TorrentState[]> {
    const statuses = await this.#statuses(STATE_KEYS, infoHashes);
    return [...statuses].map(([infoHash, status]) => this.#stateOf(infoHash, status));
  }

  async add(requests: readonly AddRequest[]): Promise<AddResult[]> {
    for (const { metainfo } of requests) {
      if (metainfo.version !== 'v1') this.#ids.set(metainfo.infoHash, torrentId(metainfo));
    }
    const results = new Map<AddRequest, AddResult>();
    const before = await this.#there(requests.map(({ metainfo }) => metainfo.infoHash));
    const begun = requests.filter(({ metainfo }) => !before.includes(metainfo.infoHash));
    if (begun.length > 0) await this.#prepareLabel();
    const loaded: AddRequest[] = [];
    try {
      for (const some of byWeight(begun, BYTES_A_REQUEST, ({ metainfo }) => metainfo.raw.length)) {
        const answers = await this.#rpc.calls(some.map((request) => callOf(request)));
        for (const [i, request] of some.entries()) {
          const result = this.#loaded(request, answers[i]);
          if (result === undefined) loaded.push(request);
          else results.set(request, result);
        }
      }
      await this.#settle(loaded, results);
    } catch (error) {
      await this.#discard(loaded);
      throw error;
    }
    await this.#discard(loaded.filter((request) => results.get(request)?.outcome === 'failed'));
    return requests.map((request) => results.get(request) ?? { outcome: 'exists' });
  }

  /**
   * What is in error (its files were missing), and what it looked for under names that were not there, it checks at once: it
   * would download it otherwise. A torrent that it takes to be stopped when it is told to check stops again behind the
   * check, and one in error is not resumed: so it is told to check, to go on, and to check.
   */
  async start(infoHashes: readonly string[]): Promise<string[]> {
    const statuses = await this.#statuses(['state'], infoHashes);
    const there = infoHashes.filter((hash) => statuses.has(hash));
    const inError = there.filter((hash) => statuses.get(hash)?.['state'] === 'Error');
    const stale = there.filter((hash) => this.#renamed.has(hash) || inError.includes(hash));
    await this.#act('core.force_recheck', inError);
    await this.#refresh(there);
    await this.#act('core.resume_torrents', there);
    await this.#refresh(stale);
    await this.#act('core.force_recheck', stale);
    for (const hash of there) this.#renamed.delete(hash);
    return there;
  }

  async stop(infoHashes: readonly string[]): Promise<string[]> {
    const there = await this.#there(infoHashes);
    await this.#refresh(there);
    await this.#act('core.pause_torrents', there);
    await this.#stopped(there);
    return there;
  }

  async recheck(infoHashes: readonly string[]): Promise<string[]> {
    const there = await this.#there(infoHashes);
    await this.#refresh(there);
    await this.#act('core.force_recheck', there);
    return there;
  }

  async remove(infoHashes: readonly string[], options: { readonly withData?: boolean } = {}): Promise<string[]> {
    const there = await this.#there(infoHashes);
    await this.#act('core.remove_torrents', there, options.withData === true);
    return there;
  }

  async close(): Promise<void> {
    await this.#rpc.close();
  }

  #idOf(infoHash: string): string {
    return this.#ids.get(infoHash) ?? infoHash;
  }

  /** An empty list would mean all. */
  async #act(method: string, infoHashes: readonly string[], ...rest: readonly Rencodable[]): Promise<void> {
    if (infoHashes.length > 0)
      await ask(
        this.#rpc,
        method,
        infoHashes.map((hash) => this.#idOf(hash)),
        ...rest,
      );
  }

  async #there(infoHashes: readonly string[]): Promise<string[]> {
    if (infoHashes.length === 0) return [];
    const all = await ask(this.#rpc, 'core.get_session_state');
    if (!Array.isArray(all)) throw failure(this.#rpc.endpoint, 'answered without a list of torrents');
    const ids = new Set<unknown>(all);
    return infoHashes.filter((hash) => ids.has(this.#idOf(hash)));
  }

  /** By info hash, in the order asked for. */
  async #statuses(keys: readonly string[], infoHashes?: readonly string[]): Promise<Map<string, Status>> {
    if (infoHashes !== undefined && infoHashes.length <= FEW) return await this.#live(keys, infoHashes);
    const asked = infoHashes === undefined ? undefined : await this.#there(infoHashes);
    if (asked?.length === 0) return new Map();
    const filter = asked === undefined ? {} : { id: asked.map((hash) => this.#idOf(hash)) };
    const answer = await ask(this.#rpc, 'core.get_torrents_status', filter, keys);
    if (!isRecord(answer)) throw failure(this.#rpc.endpoint, 'answered without a list of torrents');
    const entries = Object.entries(answer).map(([id, status]): [string, Status] => {
      if (!/^[0-9a-f]{40}$/.test(id) || !isRecord(status)) {
        throw failure(this.#rpc.endpoint, 'answered with a torrent that makes no sense');
      }
      return [id, status];
    });
    if (asked === undefined) {
      const infoHashes = new Map([...this.#ids].map(([infoHash, id]) => [id, infoHash]));
      return new Map(entries.map(([id, status]) => [infoHashes.get(id) ?? id, status]));
    }
    const byId = new Map(entries);
    return new Map(
      asked.flatMap((hash): [string, Status][] => {
        const status = byId.get(this.#idOf(hash));
        // One that was removed meanwhile is told of without any key.
        return status === undefined || Object.keys(status).length === 0 ? [] : [[hash, status]];
      }),
    );
  }

  #stateOf(infoHash: string, { name, state, progress, message }: Status): TorrentState {
    const activity = ACTIVITIES.get(String(state));
    const said = typeof message === 'string' && message !== 'OK' ? quoted(message) : '';
    const unknown = activity === undefined ? `a state that is not known: ${quoted(String(state))}` : said;
    // It sets the state first, and then says why.
    const told = unknown === '' && activity === 'error' ? 'an error, of which its log says more' : unknown;
    return {
      infoHash,
      name: typeof name === 'string' ? name : '',
      activity: activity ?? 'error',
      progress: typeof progress === 'number' ? Math.min(1, Math.max(0, progress / 100)) : 0,
      ...(told === '' ? {} : { message: told }),
    };
  }

  async #stopped(hashes: readonly string[]): Promise<void> {
    const end = performance.now() + WAIT_MS + hashes.length * WAIT_EACH_MS;
    for (;;) {
      const states = [...(await this.#live(['state'], hashes)).values()].map(({ state }) => state);
      if (states.every((state) => state === 'Paused' || state === 'Error')) return;
      if (performance.now() > end) throw failure(this.#rpc.endpoint, 'does not stop what it was told to stop');
      await sleep(POLL_MS);
    }
  }

  /** Deluge decides by a state that may be seconds old, unless it was asked for this one torrent. */
  async #refresh(infoHashes: readonly string[]): Promise<void> {
    await this.#live(['state'], infoHashes);
  }

  /** What is so now, by info hash, in the order asked for: a call each, in one request. */
  async #live(keys: readonly string[], infoHashes: readonly string[]): Promise<Map<string, Status>> {
    const answers = await this.#rpc.calls(
      infoHashes.map((hash) => ({ method: 'core.get_torrent_status', args: [this.#idOf(hash), keys] })),
    );
    const found = new Map<string, Status>();
    for (const [i, hash] of infoHashes.entries()) {
      const answer = answers[i];
      // One that is not there has no key, or, in some versions, is an error.
      if (answer === undefined || 'error' in answer) continue;
      if (!isRecord(answer.result)) throw failure(this.#rpc.endpoint, 'answered with a torrent that makes no sense');
      if (Object.keys(answer.result).length > 0) found.set(hash, answer.result);
    }
    return found;
  }

  /** Has the plugin, and the label. */
  async #prepareLabel(): Promise<void> {
    const label = this.#label;
    if (label === undefined) return;
    this.#labelReady ??= this.#makeLabel(label);
    try {
      await this.#labelReady;
    } catch (error) {
      this.#labelReady = undefined;
      throw error;
    }
  }

  async #makeLabel(label: string): Promise<void> {
    const enabled = await ask(this.#rpc, 'core.get_enabled_plugins');
    if (!Array.isArray(enabled) || !enabled.includes(LABEL_PLUGIN)) {
      await ask(this.#rpc, 'core.enable_plugin', LABEL_PLUGIN);
      await this.#rpc.learnMethods();
    }
    const labels = await ask(this.#rpc, 'label.get_labels');
    if (Array.isArray(labels) && labels.includes(label)) return;
    await ask(this.#rpc, 'label.add', label);
  }

  /** Undefined: it was added. */
  #loaded({ metainfo }: AddRequest, answer: DelugeAnswer | undefined): AddResult | undefined {
    const { endpoint } = this.#rpc;
    const failed = (error: AutotorrentError): AddResult => ({ outcome: 'failed', error });
    if (answer === undefined) return failed(failure(endpoint, 'did not say what became of the torrent'));
    if ('error' in answer) {
      if (/already (?:in session|being added)/i.test(answer.error.message)) return { outcome: 'exists' };
      return failed(refusal(endpoint, 'the torrent', answer.error.message));
    }
    const { result } = answer;
    // Older libtorrents know a hybrid by its v1 info hash.
    if (result === metainfo.infoHash) this.#ids.delete(metainfo.infoHash);
    else if (result !== torrentId(metainfo)) {
      return failed(failure(endpoint, `computes another info hash for this torrent: ${quoted(String(result))}`));
    }
    return undefined;
  }

  /** Label and directory, and that they took; the names that differ. */
  async #settle(requests: readonly AddRequest[], results: Map<AddRequest, AddResult>): Promise<void> {
    const { endpoint } = this.#rpc;
    const label = this.#label;
    const hashes = requests.map(({ metainfo }) => metainfo.infoHash);
    const labelled =
      label === undefined
        ? []
        : await this.#rpc.calls(
            hashes.map((hash) => ({ method: 'label.set_torrent', args: [this.#idOf(hash), label] })),
          );
    const statuses = await this.#statuses(['save_path', 'files'], hashes);
    for (const [i, request] of requests.entries()) {
      const status = statuses.get(request.metainfo.infoHash);
      const answer = labelled[i];
      try {
        if (answer !== undefined && 'error' in answer) throw refusal(endpoint, 'the label', answer.error.message);
        if (status === undefined) throw failure(endpoint, 'lost the torrent while it was added');
        results.set(request, this.#settled(request, status));
      } catch (error) {
        if (!(error instanceof AutotorrentError)) throw error;
        results.set(request, { outcome: 'failed', error });
      }
    }
  }

  #settled({ metainfo, directory }: AddRequest, { save_path: path, files }: Status): AddResult {
    const { endpoint } = this.#rpc;
    const put = String(path).replace(/\/+$/, '');
    const folder = directory.replace(/\/+$/, '');
    if (put !== folder) throw failure(endpoint, `put the torrent into ${quoted(put)}, not into ${quoted(folder)}`);
    if (!Array.isArray(files)) throw failure(endpoint, 'answered without a list of files');
    const told = files.map((file: unknown): NamedFile => {
      if (!isRecord(file) || typeof file['path'] !== 'string' || typeof file['size'] !== 'number') {
        throw failure(endpoint, 'answered with a file that makes no sense');
      }
      return { path: pathComponents(endpoint, file['path']), length: file['size'] };
    });
    const names = changedNames(endpoint, metainfo, withPads(metainfo, told));
    if (names === undefined) return { outcome: 'added' };
    this.#renamed.add(metainfo.infoHash);
    return { outcome: 'added', names };
  }

  async #discard(requests: readonly AddRequest[]): Promise<void> {
    try {
      await this.remove(requests.map(({ metainfo }) => metainfo.infoHash));
    } catch {
      // It could not be reached a second time: the first error says more.
    }
  }
}

function callOf(request: AddRequest): { readonly method: string; readonly args: readonly Rencodable[] } {
  const { metainfo, directory } = request;
  const options = {
    download_location: directory,
    add_paused: true,
    seed_mode: maySkipCheck(request),
    move_completed: false,
    pre_allocate_storage: false,
  };
  const name = `${metainfo.infoHash}.torrent`;
  return { method: 'core.add_torrent_file_async', args: [name, metainfo.raw.toString('base64'), options] };
}
