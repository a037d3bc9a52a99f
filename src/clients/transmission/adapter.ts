/**
 * Transmission, over its JSON RPC. Seen with 3.00 (RPC 16).
 *
 * What shapes this file:
 * - It changes names (`:?*"<>|\` and control characters become `_`, ends are trimmed), so its own file list is read.
 * - There is no way to skip its check: it begins as soon as a torrent is added, also one that is added stopped (which
 *   shows as `checking`). Fast resume is not used.
 * - Labels in torrent-add are ignored: `torrent-set` sets them (since 3.00).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientConfig } from '../../config/config.ts';
import { AutotorrentError } from '../../errors.ts';
import { changedNames, pathComponents } from '../adding/names.ts';
import type {
  AddRequest,
  AddResult,
  ClientDescription,
  TorrentActivity,
  TorrentClient,
  TorrentState,
} from '../client.ts';
import { byWeight, inParallel } from '../wire/batches.ts';
import { type ClientOptions, failure, quoted } from '../wire/exchange.ts';
import { isRecord } from '../wire/json.ts';
import { argumentsOf, connectTransmission, type TransmissionRpc } from './rpc.ts';
import { restored, spelling } from './spelling.ts';

const STATE_FIELDS = ['hashString', 'name', 'status', 'error', 'errorString', 'percentDone', 'recheckProgress'];

/** `status` (RPC 14 and later): stopped, check queued, checking, download queued, downloading, seed queued, seeding. */
const ACTIVITIES: readonly TorrentActivity[] = [
  'stopped',
  'checking',
  'checking',
  'queued',
  'downloading',
  'queued',
  'seeding',
];
const STOPPED = 0;
/** It may have to end a check first, which it does between two pieces; and for each torrent. */
const STOP_LIMIT_MS = 10_000;
const STOP_LIMIT_EACH_MS = 100;
/** No version knows them; a hybrid is one's own affair (4.0 takes it as v1). */
const REFUSED_V2: AddResult = {
  outcome: 'failed',
  error: new AutotorrentError('UNSUPPORTED', 'Transmission does not know BitTorrent v2 torrents', {
    hint: 'Use another client for this torrent.',
  }),
};
const INFO_HASH = /^[0-9a-f]{40}$/;
/** It takes one torrent a call; it hashes and writes the .torrent before it answers. */
const ADDS_AT_ONCE = 4;
/** A torrent takes it 80 ms (seen with 3.00), within which it answers nobody. */
const REMOVALS_A_CALL = 50;
/** Files in one reply: some 200 bytes each. */
const FILES_A_CALL = 100_000;
/** `error`: 1 and 2 are a tracker's warning and error, which stop nothing; 3 is a local one. */
const LOCAL_ERROR = 3;

export function createTransmissionClient(
  config: Extract<ClientConfig, { client: 'transmission' }>,
  options: ClientOptions = {},
): TorrentClient {
  return new TransmissionClient(connectTransmission(config, options), config.label);
}

class TransmissionClient implements TorrentClient {
  readonly #rpc: TransmissionRpc;
  readonly #label: string | undefined;
  /** Added by this object, under names that were not there when Transmission checked it. */
  readonly #renamed = new Set<string>();

  constructor(rpc: TransmissionRpc, label: string | undefined) {
    this.#rpc = rpc;
    this.#label = label === '' ? undefined : label;
  }

  takesWord(): boolean {
    return false;
  }

  async describe(): Promise<ClientDescription> {
    const { version } = argumentsOf(this.#rpc.endpoint, await this.#rpc.getSession());
    if (typeof version !== 'string') throw failure(this.#rpc.endpoint, 'answered without a version: no Transmission');
    return { name: 'Transmission', version: quoted(version) };
  }

  async list(infoHashes?: readonly string[]): Promise<TorrentState[]> {
    return (await this.#get(STATE_FIELDS, infoHashes)).map((torrent) => this.#stateOf(torrent));
  }

  async add(requests: readonly AddRequest[]): Promise<AddResult[]> {
    const results = new Map<AddRequest, AddResult>();
    const hashes = requests.map(({ metainfo }) => metainfo.infoHash);
    const before = new Set((await this.#get(['hashString'], hashes)).map(({ hashString }) => hashString));
    const begun = requests.filter(({ metainfo }) => !before.has(metainfo.infoHash));
    try {
      for (const request of begun) if (request.metainfo.version === 'v2') results.set(request, REFUSED_V2);
      const known = begun.filter((request) => !results.has(request));
      await inParallel(known, ADDS_AT_ONCE, (request) => this.#load(request, results));
      const added = begun.filter((request) => !results.has(request));
      const files = byWeight(added, FILES_A_CALL, ({ metainfo }) => metainfo.files.length);
      for (const some of files) for (const [request, result] of await this.#settle(some)) results.set(request, result);
    } catch (error) {
      await this.#discard(begun.filter((request) => results.get(request)?.outcome !== 'exists'));
      throw error;
    }
    await this.#discard(begun.filter((request) => results.get(request)?.outcome === 'failed'));
    return requests.map((request) => results.get(request) ?? { outcome: 'exists' });
  }

  /**
   * Makes it check first what it may have looked for in vain: files that were not there when it was added, under names
   * of its own, or while the mount was away. It would download them otherwise.
   */
  async start(infoHashes: readonly string[]): Promise<string[]> {
    const torrents = await this.#get(['hashString', 'status', 'leftUntilDone'], infoHashes);
    const stale = torrents.filter(
      ({ hashString, status, leftUntilDone }) =>
        this.#renamed.has(String(hashString)) || (status === STOPPED && leftUntilDone !== 0),
    );
    await this.#act(this.#hashesOf(stale), (there) => this.#rpc.verifyTorrent(there));
    const there = this.#hashesOf(torrents);
    await this.#act(there, () => this.#rpc.resumeTorrent(there));
    for (const hash of there) this.#renamed.delete(hash);
    return there;
  }

  /** Waits until they have stopped: it does so up to half a second later, and a start before that is lost. */
  async stop(infoHashes: readonly string[]): Promise<string[]> {
    await this.#ifThere(infoHashes, (there) => this.#rpc.pauseTorrent(there));
    const end = performance.now() + STOP_LIMIT_MS + infoHashes.length * STOP_LIMIT_EACH_MS;
    for (;;) {
      const torrents = await this.#get(['hashString', 'status'], infoHashes);
      if (torrents.every(({ status }) => status === STOPPED)) return this.#hashesOf(torrents);
      if (performance.now() > end) throw failure(this.#rpc.endpoint, 'does not stop what it was told to stop');
      await sleep(50);
    }
  }

  recheck(infoHashes: readonly string[]): Promise<string[]> {
    return this.#ifThere(infoHashes, (there) => this.#rpc.verifyTorrent(there));
  }

  async remove(infoHashes: readonly string[], options: { readonly withData?: boolean } = {}): Promise<string[]> {
    const removed: string[] = [];
    for (const some of byWeight(infoHashes, REMOVALS_A_CALL, () => 1)) {
      removed.push(
        ...(await this.#ifThere(some, (there) => this.#rpc.removeTorrent(there, options.withData === true))),
      );
    }
    return removed;
  }

  async close(): Promise<void> {}

  /** Transmission answers `success` for torrents it does not have. */
  async #ifThere(infoHashes: readonly string[], act: (there: string[]) => Promise<unknown>): Promise<string[]> {
    const there = this.#hashesOf(await this.#get(['hashString'], infoHashes));
    await this.#act(there, act);
    return there;
  }

  /** An empty list of ids would mean all. */
  async #act(hashes: string[], act: (hashes: string[]) => Promise<unknown>): Promise<void> {
    if (hashes.length > 0) argumentsOf(this.#rpc.endpoint, await act(hashes));
  }

  #hashesOf(torrents: readonly Record<string, unknown>[]): string[] {
    return torrents.map(({ hashString }) => {
      if (typeof hashString !== 'string' || !INFO_HASH.test(hashString)) {
        throw failure(this.#rpc.endpoint, 'answered with an info hash that is none');
      }
      return hashString;
    });
  }

  /** The package's own `listTorrents` asks for every field there is: files and peers of 5,000 torrents. */
  async #get(fields: readonly string[], infoHashes?: readonly string[]): Promise<Record<string, unknown>[]> {
    if (infoHashes?.length === 0) return [];
    const reply = await this.#rpc.request('torrent-get', {
      fields,
      ...(infoHashes === undefined ? {} : { ids: infoHashes }),
    });
    const { torrents } = argumentsOf(this.#rpc.endpoint, reply._data);
    if (!Array.isArray(torrents) || !torrents.every(isRecord)) {
      throw failure(this.#rpc.endpoint, 'answered without a list of torrents');
    }
    return torrents;
  }

  #stateOf(torrent: Record<string, unknown>): TorrentState {
    const { hashString, name, status, error, errorString, percentDone, recheckProgress } = torrent;
    const activity = typeof status === 'number' ? ACTIVITIES[status] : undefined;
    if (typeof hashString !== 'string' || !INFO_HASH.test(hashString) || activity === undefined) {
      throw failure(this.#rpc.endpoint, 'answered with a torrent that makes no sense');
    }
    const share = activity === 'checking' ? recheckProgress : percentDone;
    const message = typeof errorString === 'string' && error !== 0 ? quoted(errorString) : '';
    return {
      infoHash: hashString,
      name: typeof name === 'string' ? name : '',
      activity: error === LOCAL_ERROR ? 'error' : activity,
      progress: typeof share === 'number' ? Math.min(1, Math.max(0, share)) : 0,
      ...(message === '' ? {} : { message }),
    };
  }

  #refusal({ metainfo }: AddRequest, result: string): AutotorrentError {
    if (metainfo.version === 'hybrid') {
      return new AutotorrentError(
        'UNSUPPORTED',
        `this Transmission does not take BitTorrent hybrid v1 and v2 torrents: ${quoted(result)}`,
        { hint: 'Use another client for this torrent.' },
      );
    }
    return failure(this.#rpc.endpoint, `refused the torrent: ${quoted(result)}`);
  }

  /** Puts into `results` what became of it, where it is not in the client now. Throws where that cannot be talked to. */
  async #load(request: AddRequest, results: Map<AddRequest, AddResult>): Promise<void> {
    const { metainfo, directory } = request;
    let reply: unknown;
    try {
      reply = await this.#rpc.addTorrent(metainfo.raw.toString('base64'), { 'download-dir': directory, paused: true });
    } catch (error) {
      if (!(error instanceof AutotorrentError)) throw error;
      // A request too long for a proxy before it, and this alone has failed; or all is lost, which this throws.
      await this.describe();
      results.set(request, { outcome: 'failed', error });
      return;
    }
    const loaded = this.#loaded(request, reply);
    if (loaded === undefined) return;
    results.set(request, loaded);
    if (loaded.stranger !== undefined) await this.remove([loaded.stranger]);
  }

  /** Undefined: it was added. A `stranger` is what it was added as, by mistake. */
  #loaded(request: AddRequest, reply: unknown): (AddResult & { readonly stranger?: string }) | undefined {
    const endpoint = this.#rpc.endpoint;
    const { infoHash } = request.metainfo;
    const failed = (error: AutotorrentError) => ({ outcome: 'failed', error }) as const;
    const result = isRecord(reply) && typeof reply['result'] === 'string' ? reply['result'] : '';
    // Before 2.80 a duplicate was a result of its own.
    if (result.startsWith('duplicate torrent')) return { outcome: 'exists' };
    if (result !== 'success') return failed(this.#refusal(request, result));
    const args = argumentsOf(endpoint, reply);
    if (isRecord(args['torrent-duplicate'])) return { outcome: 'exists' };
    const added = args['torrent-added'];
    const hash = isRecord(added) ? added['hashString'] : undefined;
    if (typeof hash !== 'string') return failed(failure(endpoint, 'does not say which torrent it added'));
    if (hash === infoHash) return undefined;
    const error = failure(endpoint, `computes another info hash for this torrent: ${quoted(hash)}`);
    return { ...failed(error), stranger: hash };
  }

  /** Label and directory, and that they took; the names that differ. */
  async #settle(requests: readonly AddRequest[]): Promise<Map<AddRequest, AddResult>> {
    const hashes = requests.map(({ metainfo }) => metainfo.infoHash);
    const label = this.#label;
    if (label !== undefined) await this.#act(hashes, () => this.#rpc.setTorrent(hashes, { labels: [label] }));
    const torrents = await this.#get(['hashString', 'downloadDir', 'labels', 'files'], hashes);
    const byHash = new Map(torrents.map((torrent) => [torrent['hashString'], torrent]));
    const results = new Map<AddRequest, AddResult>();
    for (const request of requests) {
      try {
        const names = this.#namesOf(request, byHash.get(request.metainfo.infoHash));
        if (names !== undefined) this.#renamed.add(request.metainfo.infoHash);
        results.set(request, names === undefined ? { outcome: 'added' } : { outcome: 'added', names });
      } catch (error) {
        if (!(error instanceof AutotorrentError)) throw error;
        results.set(request, { outcome: 'failed', error });
      }
    }
    return results;
  }

  #namesOf(
    { metainfo, directory }: AddRequest,
    torrent: Record<string, unknown> | undefined,
  ): readonly (readonly string[])[] | undefined {
    const endpoint = this.#rpc.endpoint;
    if (torrent === undefined) throw failure(endpoint, 'lost the torrent while it was added');
    const { downloadDir, labels, files } = torrent;
    const folder = directory.replace(/\/+$/, '');
    const put = typeof downloadDir === 'string' ? downloadDir.replace(/\/+$/, '') : '';
    if (put !== folder && put !== spelling(folder)) {
      throw failure(endpoint, `put the torrent into ${quoted(put)}, not into ${quoted(folder)}`);
    }
    // Before 3.00 (RPC 16) there were no labels, and nothing is said of one that is set.
    const label = this.#label;
    if (label !== undefined && Array.isArray(labels) && ![label, spelling(label)].some((l) => labels.includes(l))) {
      throw failure(endpoint, 'did not take the label');
    }
    if (!Array.isArray(files)) throw failure(endpoint, 'answered without a list of files');
    const named = files.map((file: unknown, i) => {
      if (!isRecord(file) || typeof file['name'] !== 'string' || typeof file['length'] !== 'number') {
        throw failure(endpoint, 'answered with a file that makes no sense');
      }
      const own = [...(metainfo.multi ? [metainfo.name] : []), ...(metainfo.files[i]?.path ?? [])];
      const path = pathComponents(endpoint, file['name']).map((name, depth) => restored(name, own[depth] ?? ''));
      return { path, length: file['length'] };
    });
    return changedNames(endpoint, metainfo, named);
  }

  async #discard(requests: readonly AddRequest[]): Promise<void> {
    try {
      await this.remove(requests.map(({ metainfo }) => metainfo.infoHash));
    } catch {
      // It could not be reached a second time: the first error says more.
    }
  }
}
