/**
 * Deluge's torrents: which there are, their status, and calls on them.
 *
 * A torrent's id is the v1 info hash, or, for hybrid and v2 torrents, the v2 one cut to 40 digits. Nothing in Deluge shows
 * the v1 hash of a hybrid, so `know` is told which hybrids there are. A call on a list with a torrent that Deluge does not
 * have fails for all of the list, so callers ask first which are there.
 */
import type { Metainfo } from '../../metainfo/metainfo.ts';
import { torrentId } from '../libtorrent/ids.ts';
import { type Allowance, MOST_TORRENTS, sumOf, times, torrentOf } from '../wire/allowance.ts';
import { failure } from '../wire/exchange.ts';
import { isRecord } from '../wire/json.ts';
import type { Rencodable } from '../wire/rencode.ts';
import { ask, askFor, type DelugeRpc } from './rpc.ts';
import type { Status } from './states.ts';

/** Up to here torrents are asked for one by one (in one request): the answer is of now, not of some seconds ago. */
const FEW = 50;
/** What an answer has around the torrents. */
const AROUND: Allowance = { bytes: 1024, values: 10, lists: 5 };
/** An info hash in a list of such. */
const AN_ID: Allowance = { bytes: 64, values: 1, lists: 0 };

export class DelugeTorrents {
  readonly #rpc: DelugeRpc;
  /** By our info hash: the id of a hybrid torrent, which may be another. */
  readonly #ids = new Map<string, string>();

  constructor(rpc: DelugeRpc) {
    this.#rpc = rpc;
  }

  /** Takes note of the id of a hybrid or v2 torrent; a v1 torrent has no other than its info hash. */
  know(torrent: Pick<Metainfo, 'infoHash' | 'infoHashV2'>): void {
    if (torrent.infoHashV2 !== undefined) this.#ids.set(torrent.infoHash, torrentId(torrent));
  }

  /** Deluge has the torrent under its v1 info hash, as older libtorrents have hybrids. */
  knowByV1(infoHash: string): void {
    this.#ids.delete(infoHash);
  }

  idOf(infoHash: string): string {
    return this.#ids.get(infoHash) ?? infoHash;
  }

  /** Calls `method` with the ids as its first argument; not at all where there is none, since that would mean all. */
  async act(method: string, infoHashes: readonly string[], ...rest: readonly Rencodable[]): Promise<void> {
    if (infoHashes.length === 0) return;
    const ids = infoHashes.map((hash) => this.idOf(hash));
    await ask(this.#rpc, method, ids, ...rest);
  }

  /** Those of `infoHashes` that Deluge has. */
  async present(infoHashes: readonly string[]): Promise<string[]> {
    if (infoHashes.length === 0) return [];
    const all = await askFor(this.#rpc, sumOf(AROUND, times(MOST_TORRENTS, AN_ID)), 'core.get_session_state');
    if (!Array.isArray(all)) throw failure(this.#rpc.endpoint, 'answered without a list of torrents');
    const ids = new Set<unknown>(all);
    return infoHashes.filter((hash) => ids.has(this.idOf(hash)));
  }

  /**
   * The status of all torrents, or of those of `infoHashes` that Deluge has, by info hash, in the order asked for.
   * `beside`: what the answers for all of them may hold beside one value a key.
   */
  async statuses(
    keys: readonly string[],
    infoHashes?: readonly string[],
    beside: Allowance = AROUND,
  ): Promise<Map<string, Status>> {
    if (infoHashes === undefined) {
      const known = new Map([...this.#ids].map(([infoHash, id]) => [id, infoHash]));
      const all = await this.#filtered(keys, {}, times(MOST_TORRENTS, torrentOf(keys.length)));
      return new Map([...all].map(([id, status]) => [known.get(id) ?? id, status]));
    }
    if (infoHashes.length <= FEW) return await this.live(keys, infoHashes, beside);
    const asked = await this.present(infoHashes);
    if (asked.length === 0) return new Map();
    const allowed = sumOf(beside, times(asked.length, torrentOf(keys.length)));
    const byId = await this.#filtered(keys, { id: asked.map((hash) => this.idOf(hash)) }, allowed);
    return new Map(
      asked.flatMap((hash): [string, Status][] => {
        const status = byId.get(this.idOf(hash));
        // One that was removed meanwhile has a status without any key.
        return status === undefined || Object.keys(status).length === 0 ? [] : [[hash, status]];
      }),
    );
  }

  /** The same as `statuses`, as it is at this moment: a call for each torrent, in one request. */
  async live(
    keys: readonly string[],
    infoHashes: readonly string[],
    beside: Allowance = AROUND,
  ): Promise<Map<string, Status>> {
    const allowed = sumOf(beside, torrentOf(keys.length));
    const answers = await this.#rpc.calls(
      infoHashes.map((hash) => ({ method: 'core.get_torrent_status', args: [this.idOf(hash), keys], allowed })),
    );
    const found = new Map<string, Status>();
    for (const [i, hash] of infoHashes.entries()) {
      const answer = answers[i];
      // For a torrent that it does not have, Deluge answers without any key, or, in some versions, with an error.
      if (answer === undefined || 'error' in answer) continue;
      if (!isRecord(answer.result)) throw failure(this.#rpc.endpoint, 'answered without the status of a torrent');
      if (Object.keys(answer.result).length > 0) found.set(hash, answer.result);
    }
    return found;
  }

  /** Makes Deluge look at these torrents: it decides by a state that may be seconds old, unless it was asked for it. */
  async refresh(infoHashes: readonly string[]): Promise<void> {
    await this.live(['state'], infoHashes);
  }

  /** By id. */
  async #filtered(
    keys: readonly string[],
    filter: { readonly [key: string]: Rencodable },
    allowed: Allowance,
  ): Promise<Map<string, Status>> {
    const answer = await askFor(this.#rpc, sumOf(AROUND, allowed), 'core.get_torrents_status', filter, keys);
    if (!isRecord(answer)) throw failure(this.#rpc.endpoint, 'answered without a list of torrents');
    return new Map(
      Object.entries(answer).map(([id, status]): [string, Status] => {
        if (!/^[0-9a-f]{40}$/.test(id) || !isRecord(status)) {
          throw failure(this.#rpc.endpoint, 'answered with a torrent that has no id or no status');
        }
        return [id, status];
      }),
    );
  }
}
