/**
 * Deluge 2, over its daemon's RPC or its web interface. Seen with 2.0.3 and libtorrent 2.0.8.
 *
 * `seed_mode` makes Deluge believe a torrent after a look at the sizes of its files: it is used only where every piece was
 * verified.
 */
import type { ClientConfig } from '../../config/config.ts';
import type { Metainfo } from '../../metainfo/metainfo.ts';
import { addAll, renamedAmong } from '../adding/add-all.ts';
import { Adding } from '../adding/adding.ts';
import type {
  AddRequest,
  AddResult,
  ClientDescription,
  ClientProgram,
  TorrentClient,
  TorrentHashes,
  TorrentState,
} from '../client.ts';
import { keepsNames, maySkipCheck } from '../libtorrent/skip-check.ts';
import { type ClientOptions, failure, quoted } from '../wire/exchange.ts';
import { within } from '../wire/within.ts';
import { DelugeAddSteps } from './adding.ts';
import { connectDaemon } from './daemon.ts';
import { DelugeLabel, labelOf } from './label.ts';
import { ask, type DelugeRpc } from './rpc.ts';
import { STATE_KEYS, stateOf } from './states.ts';
import { DelugeTorrents } from './torrents.ts';
import { connectWeb } from './web.ts';

/** Until torrents have stopped; the second is for each of them. */
const STOP_LIMIT_MS = 20_000;
const STOP_LIMIT_EACH_MS = 50;
/** Until a started torrent shows no longer as paused: a third of a second was seen. */
const SHOWN_MS = 2000;

/** Does not connect yet. @throws AutotorrentError('CONFIG') where its address or its label cannot be used */
export function createDelugeClient(
  config: Extract<ClientConfig, { client: 'deluge' }>,
  options: ClientOptions = {},
): TorrentClient {
  const rpc = config.host === undefined ? connectWeb(config, options) : connectDaemon(config, options);
  return new DelugeClient(rpc, labelOf(config.label));
}

class DelugeClient implements TorrentClient {
  readonly #rpc: DelugeRpc;
  readonly #torrents: DelugeTorrents;
  readonly #label: DelugeLabel | undefined;
  /** Added by this object, under names that were not there when Deluge looked for them. */
  readonly #renamed = new Set<string>();
  /** Added by this object, and to be checked once they are started. */
  readonly #unchecked = new Set<string>();

  constructor(rpc: DelugeRpc, label: string | undefined) {
    this.#rpc = rpc;
    this.#torrents = new DelugeTorrents(rpc);
    this.#label = label === undefined ? undefined : new DelugeLabel(rpc, label);
  }

  get program(): ClientProgram | undefined {
    return this.#rpc.endpoint.program;
  }

  introduce(torrents: readonly TorrentHashes[]): void {
    for (const torrent of torrents) this.#torrents.know(torrent);
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
    const statuses = await this.#torrents.statuses(STATE_KEYS, infoHashes);
    return [...statuses].map(([infoHash, status]) => stateOf(infoHash, status));
  }

  async add(requests: readonly AddRequest[]): Promise<AddResult[]> {
    const steps = new DelugeAddSteps({ rpc: this.#rpc, torrents: this.#torrents, label: this.#label, client: this });
    const results = await addAll(
      requests.map((request) => new Adding(request)),
      steps,
    );
    for (const infoHash of renamedAmong(requests, results)) this.#renamed.add(infoHash);
    for (const [i, request] of requests.entries()) {
      if (results[i]?.outcome === 'added' && !maySkipCheck(request)) this.#unchecked.add(request.metainfo.infoHash);
    }
    return results;
  }

  /**
   * Has Deluge check at once what is in error (its files were missing), and what it looked for under names that were not
   * there: it would download it otherwise. A torrent that Deluge takes to be stopped when it is told to check stops again
   * after the check, and one in error does not resume: so it is told to check, to resume, and to check.
   */
  async start(infoHashes: readonly string[]): Promise<string[]> {
    const statuses = await this.#torrents.statuses(['state'], infoHashes);
    const there = infoHashes.filter((hash) => statuses.has(hash));
    const inError = there.filter((hash) => statuses.get(hash)?.['state'] === 'Error');
    const stale = there.filter((hash) => this.#renamed.has(hash) || inError.includes(hash));
    await this.#torrents.act('core.force_recheck', inError);
    await this.#torrents.refresh(there);
    await this.#torrents.act('core.resume_torrents', there);
    await this.#running(stale);
    await this.#torrents.act('core.force_recheck', stale);
    await this.#running(there.filter((hash) => this.#unchecked.has(hash) || stale.includes(hash)));
    for (const hash of there) {
      this.#renamed.delete(hash);
      this.#unchecked.delete(hash);
    }
    return there;
  }

  /**
   * Waits until Deluge shows that these go on: until then they show as paused, could not be told from such, and would stop
   * again after a check.
   */
  async #running(hashes: readonly string[]): Promise<void> {
    await within(SHOWN_MS, async () => {
      const states = [...(await this.#torrents.live(['state'], hashes)).values()];
      return states.every(({ state }) => state !== 'Paused');
    });
  }

  async stop(infoHashes: readonly string[]): Promise<string[]> {
    const there = await this.#torrents.present(infoHashes);
    await this.#torrents.refresh(there);
    await this.#torrents.act('core.pause_torrents', there);
    const stopped = await within(STOP_LIMIT_MS + there.length * STOP_LIMIT_EACH_MS, async () => {
      const states = [...(await this.#torrents.live(['state'], there)).values()].map(({ state }) => state);
      return states.every((state) => state === 'Paused' || state === 'Error');
    });
    if (!stopped) throw failure(this.#rpc.endpoint, 'does not stop what it was told to stop');
    return there;
  }

  async recheck(infoHashes: readonly string[]): Promise<string[]> {
    const there = await this.#torrents.present(infoHashes);
    await this.#torrents.refresh(there);
    await this.#torrents.act('core.force_recheck', there);
    return there;
  }

  async remove(infoHashes: readonly string[], options: { readonly withData?: boolean } = {}): Promise<string[]> {
    const there = await this.#torrents.present(infoHashes);
    await this.#torrents.act('core.remove_torrents', there, options.withData === true);
    return there;
  }

  async close(): Promise<void> {
    await this.#rpc.close();
  }
}
