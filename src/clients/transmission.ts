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
import type { ClientConfig } from '../config/config.ts';
import { AutotorrentError } from '../errors.ts';
import type {
  AddRequest,
  AddResult,
  ClientDescription,
  TorrentActivity,
  TorrentClient,
  TorrentState,
} from './client.ts';
import { changedNames, pathComponents } from './client-names.ts';
import { type ClientOptions, failure, quoted } from './exchange.ts';
import { argumentsOf, connectTransmission, isRecord, type TransmissionRpc } from './transmission-rpc.ts';
import { restored, spelling } from './transmission-spelling.ts';

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
/** It may have to end a check first, which it does between two pieces. */
const STOP_LIMIT_MS = 10_000;
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

  async describe(): Promise<ClientDescription> {
    const { version } = argumentsOf(this.#rpc.endpoint, await this.#rpc.getSession());
    if (typeof version !== 'string') throw failure(this.#rpc.endpoint, 'answered without a version: no Transmission');
    return { name: 'Transmission', version: quoted(version) };
  }

  async list(infoHashes?: readonly string[]): Promise<TorrentState[]> {
    return (await this.#get(STATE_FIELDS, infoHashes)).map((torrent) => this.#stateOf(torrent));
  }

  async add(request: AddRequest): Promise<AddResult> {
    const { metainfo, directory } = request;
    const endpoint = this.#rpc.endpoint;
    const reply: unknown = await this.#rpc.addTorrent(metainfo.raw.toString('base64'), {
      'download-dir': directory,
      paused: true,
    });
    const result = isRecord(reply) && typeof reply['result'] === 'string' ? reply['result'] : '';
    // Before 2.80 a duplicate was a result of its own.
    if (result.startsWith('duplicate torrent')) return { outcome: 'exists' };
    if (result !== 'success') throw this.#refusal(request, result);
    const args = argumentsOf(endpoint, reply);
    if (isRecord(args['torrent-duplicate'])) return { outcome: 'exists' };
    const added = args['torrent-added'];
    const hash = isRecord(added) ? added['hashString'] : undefined;
    if (typeof hash !== 'string') throw failure(endpoint, 'does not say which torrent it added');
    try {
      if (hash !== metainfo.infoHash) {
        throw failure(endpoint, `computes another info hash for this torrent: ${quoted(hash)}`);
      }
      const names = await this.#settle(request);
      if (names !== undefined) this.#renamed.add(hash);
      return names === undefined ? { outcome: 'added' } : { outcome: 'added', names };
    } catch (error) {
      await this.#discard(hash);
      throw error;
    }
  }

  /**
   * Makes it check first what it may have looked for in vain: files that were not there when it was added, under names
   * of its own, or while the mount was away. It would download them otherwise.
   */
  async start(infoHash: string): Promise<boolean> {
    const [torrent] = await this.#get(['status', 'leftUntilDone'], [infoHash]);
    if (torrent === undefined) return false;
    const stale = this.#renamed.has(infoHash) || (torrent['status'] === STOPPED && torrent['leftUntilDone'] !== 0);
    if (stale) argumentsOf(this.#rpc.endpoint, await this.#rpc.verifyTorrent(infoHash));
    argumentsOf(this.#rpc.endpoint, await this.#rpc.resumeTorrent(infoHash));
    this.#renamed.delete(infoHash);
    return true;
  }

  /** Waits until it has stopped: it does so up to half a second later, and a start before that is lost. */
  async stop(infoHash: string): Promise<boolean> {
    if (!(await this.#ifThere(infoHash, () => this.#rpc.pauseTorrent(infoHash)))) return false;
    const end = performance.now() + STOP_LIMIT_MS;
    for (;;) {
      const [torrent] = await this.#get(['status'], [infoHash]);
      if (torrent === undefined) return false;
      if (torrent['status'] === STOPPED) return true;
      if (performance.now() > end) throw failure(this.#rpc.endpoint, 'does not stop the torrent');
      await sleep(50);
    }
  }

  recheck(infoHash: string): Promise<boolean> {
    return this.#ifThere(infoHash, () => this.#rpc.verifyTorrent(infoHash));
  }

  remove(infoHash: string): Promise<boolean> {
    return this.#ifThere(infoHash, () => this.#rpc.removeTorrent(infoHash, false));
  }

  async close(): Promise<void> {}

  /** Transmission answers `success` for torrents it does not have. */
  async #ifThere(infoHash: string, act: () => Promise<unknown>): Promise<boolean> {
    if ((await this.#get(['hashString'], [infoHash])).length === 0) return false;
    argumentsOf(this.#rpc.endpoint, await act());
    return true;
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
    if (typeof hashString !== 'string' || !/^[0-9a-f]{40}$/i.test(hashString) || activity === undefined) {
      throw failure(this.#rpc.endpoint, 'answered with a torrent that makes no sense');
    }
    const share = activity === 'checking' ? recheckProgress : percentDone;
    const message = typeof errorString === 'string' && error !== 0 ? quoted(errorString) : '';
    return {
      infoHash: hashString.toLowerCase(),
      name: typeof name === 'string' ? name : '',
      activity: error === LOCAL_ERROR ? 'error' : activity,
      progress: typeof share === 'number' ? Math.min(1, Math.max(0, share)) : 0,
      ...(message === '' ? {} : { message }),
    };
  }

  #refusal({ metainfo }: AddRequest, result: string): AutotorrentError {
    if (metainfo.version !== 'v1') {
      return new AutotorrentError(
        'UNSUPPORTED',
        `this Transmission does not take BitTorrent ${metainfo.version === 'v2' ? 'v2' : 'hybrid v1 and v2'} torrents: ${quoted(result)}`,
        { hint: 'Use another client for this torrent.' },
      );
    }
    return failure(this.#rpc.endpoint, `refused the torrent: ${quoted(result)}`);
  }

  /** Label and directory, and that they took; the names that differ. */
  async #settle({ metainfo, directory }: AddRequest): Promise<readonly (readonly string[])[] | undefined> {
    const endpoint = this.#rpc.endpoint;
    const hash = metainfo.infoHash;
    if (this.#label !== undefined) {
      argumentsOf(endpoint, await this.#rpc.setTorrent(hash, { labels: [this.#label] }));
    }
    const [torrent] = await this.#get(['downloadDir', 'labels', 'files'], [hash]);
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

  async #discard(hash: string): Promise<void> {
    try {
      await this.remove(hash);
    } catch {
      // It could not be reached a second time: the first error says more.
    }
  }
}
