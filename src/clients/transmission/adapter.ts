/**
 * Transmission, over its JSON RPC. Seen with 3.00 (RPC 16).
 *
 * Quirks of Transmission that shape this folder:
 * - Transmission changes names (`:?*"<>|\` and control characters become `_`, ends are trimmed), so its own file list is
 *   read.
 * - Nothing can make it skip its check, which begins as soon as a torrent is added, also one that is added stopped (it
 *   shows as `checking`). Fast resume is not used.
 */
import type { ClientConfig } from '../../config/config.ts';
import { addAll, renamedAmong } from '../adding/add-all.ts';
import { Adding } from '../adding/adding.ts';
import type {
  AddRequest,
  AddResult,
  ClientDescription,
  ClientProgram,
  TorrentClient,
  TorrentState,
} from '../client.ts';
import { byWeight } from '../wire/batches.ts';
import { type ClientOptions, failure, quoted } from '../wire/exchange.ts';
import { within } from '../wire/within.ts';
import { TransmissionAddSteps } from './adding.ts';
import { argumentsOf, connectTransmission, type TransmissionRpc } from './rpc.ts';
import { spelling } from './spelling.ts';
import { STATE_FIELDS, STOPPED, stateOf } from './states.ts';
import { TransmissionTorrents } from './torrents.ts';

/** To stop, Transmission may have to end a check first, which it does between two pieces; the second is for each torrent. */
const STOP_LIMIT_MS = 10_000;
const STOP_LIMIT_EACH_MS = 100;
/** A removal takes it 80 ms a torrent (3.00); it answers nobody meanwhile. */
const REMOVALS_A_CALL = 50;

/** Does not connect yet. @throws AutotorrentError('CONFIG') where its address cannot be used */
export function createTransmissionClient(
  config: Extract<ClientConfig, { client: 'transmission' }>,
  options: ClientOptions = {},
): TorrentClient {
  return new TransmissionClient(connectTransmission(config, options), config.label);
}

class TransmissionClient implements TorrentClient {
  readonly #rpc: TransmissionRpc;
  readonly #torrents: TransmissionTorrents;
  readonly #label: string | undefined;
  /** Added by this object, under names that were not there when Transmission checked it. */
  readonly #renamed = new Set<string>();

  constructor(rpc: TransmissionRpc, label: string | undefined) {
    this.#rpc = rpc;
    this.#torrents = new TransmissionTorrents(rpc);
    this.#label = label === '' ? undefined : label;
  }

  get program(): ClientProgram | undefined {
    return this.#rpc.endpoint.program;
  }

  spellings(path: string): readonly string[] {
    const other = spelling(path);
    return other === path ? [] : [other];
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
    return (await this.#torrents.get(STATE_FIELDS, infoHashes)).map((torrent) => stateOf(this.#rpc.endpoint, torrent));
  }

  async add(requests: readonly AddRequest[]): Promise<AddResult[]> {
    const steps = new TransmissionAddSteps({
      rpc: this.#rpc,
      torrents: this.#torrents,
      label: this.#label,
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
   * Makes Transmission check first the torrents whose files it may have missed: under names of its own, which were not
   * there when it was added, or while the mount was away. It would download them otherwise.
   */
  async start(infoHashes: readonly string[], options: { readonly checked?: boolean } = {}): Promise<string[]> {
    const torrents = await this.#torrents.get(['hashString', 'status', 'leftUntilDone'], infoHashes);
    const stale = torrents.filter(
      ({ hashString, status, leftUntilDone }) =>
        this.#renamed.has(String(hashString)) ||
        (options.checked !== true && status === STOPPED && leftUntilDone !== 0),
    );
    await this.#torrents.on(this.#torrents.hashesOf(stale), (there) => this.#rpc.verifyTorrent(there));
    const there = this.#torrents.hashesOf(torrents);
    await this.#torrents.on(there, () => this.#rpc.resumeTorrent(there));
    for (const hash of there) this.#renamed.delete(hash);
    return there;
  }

  /** Waits until they have stopped: that takes up to half a second, and a start before it is lost. */
  async stop(infoHashes: readonly string[]): Promise<string[]> {
    const asked = await this.#torrents.onPresent(infoHashes, (there) => this.#rpc.pauseTorrent(there));
    let there: string[] = [];
    const stopped = await within(STOP_LIMIT_MS + asked.length * STOP_LIMIT_EACH_MS, async () => {
      const torrents = await this.#torrents.get(['hashString', 'status'], asked);
      there = this.#torrents.hashesOf(torrents);
      return torrents.every(({ status }) => status === STOPPED);
    });
    if (!stopped) throw failure(this.#rpc.endpoint, 'does not stop what it was told to stop');
    return there;
  }

  recheck(infoHashes: readonly string[]): Promise<string[]> {
    return this.#torrents.onPresent(infoHashes, (there) => this.#rpc.verifyTorrent(there));
  }

  async remove(infoHashes: readonly string[], options: { readonly withData?: boolean } = {}): Promise<string[]> {
    const removed: string[] = [];
    for (const some of byWeight(infoHashes, REMOVALS_A_CALL, () => 1)) {
      removed.push(
        ...(await this.#torrents.onPresent(some, (there) => this.#rpc.removeTorrent(there, options.withData === true))),
      );
    }
    return removed;
  }

  async close(): Promise<void> {}
}
