/**
 * qBittorrent's torrents, by our info hash.
 *
 * Its API calls a torrent by its id: the v1 info hash, or, for hybrid and v2 torrents, the v2 one cut to 40 digits.
 */
import type { Metainfo } from '../../metainfo/metainfo.ts';
import { torrentId } from '../libtorrent/ids.ts';
import { A_FILE, MOST_TORRENTS, SHORT, sumOf, times, torrentOf } from '../wire/allowance.ts';
import { byWeight } from '../wire/batches.ts';
import { failure } from '../wire/exchange.ts';
import { isRecord } from '../wire/json.ts';
import type { QbittorrentRpc } from './rpc.ts';
import type { Torrent } from './states.ts';

/** Hashes in one request: a request of more than 10 MB is refused. */
const HASHES_A_CALL = 10_000;
/** Up to here torrents are asked for by id; beyond, all are asked for and sorted out. */
const FEW = 200;
/** `piece_range` of a file, and further fields. */
const PIECES_OF_A_FILE = { bytes: 256, values: 8, lists: 1 };
/** Values of a torrent in `torrents/info`: 46 in 4.5.2, some 60 in 5.x. */
const FIELDS = 80;

export class QbittorrentTorrents {
  readonly #rpc: QbittorrentRpc;
  /** By our info hash: the id under which qBittorrent has the torrent, where that is another. */
  readonly #ids = new Map<string, string>();

  constructor(rpc: QbittorrentRpc) {
    this.#rpc = rpc;
  }

  know(metainfo: Metainfo): void {
    if (metainfo.version !== 'v1') this.#ids.set(metainfo.infoHash, torrentId(metainfo));
  }

  /** All, or those of these info hashes. */
  async get(infoHashes?: readonly string[]): Promise<Torrent[]> {
    if (infoHashes === undefined) return await this.#info();
    if (infoHashes.length === 0) return [];
    const wanted = new Set(infoHashes);
    if (infoHashes.length <= FEW) {
      const found = await this.#info(infoHashes.map((hash) => this.#ids.get(hash) ?? hash));
      const all = new Set(found.map((torrent) => this.infoHashOf(torrent)));
      if (found.length === wanted.size && infoHashes.every((hash) => all.has(hash))) return found;
    }
    // A hybrid torrent has an id that its v1 info hash does not show.
    return (await this.#info()).filter((torrent) => wanted.has(this.infoHashOf(torrent)));
  }

  /** Those of the info hashes that are among the torrents. */
  among(infoHashes: readonly string[], torrents: readonly Torrent[]): string[] {
    const there = new Set(torrents.map((torrent) => this.infoHashOf(torrent)));
    return infoHashes.filter((hash) => there.has(hash));
  }

  /** Ours: the v1 info hash, where it has one. */
  infoHashOf(torrent: Torrent): string {
    const { hash, infohash_v1: v1 } = torrent;
    const infoHash = typeof v1 === 'string' && v1 !== '' ? v1 : hash;
    // The id, too: `all` or several hashes would mean other torrents.
    if (!isHash(hash) || !isHash(infoHash)) {
      throw failure(this.#rpc.endpoint, 'answered with an info hash that is none');
    }
    if (hash !== infoHash) this.#ids.set(infoHash, hash);
    return infoHash;
  }

  /** Its list of files, not checked further; `count`: how many it has by its .torrent. */
  async files(torrent: Torrent, count: number): Promise<unknown> {
    const allowed = sumOf(SHORT, times(count, A_FILE), times(count, PIECES_OF_A_FILE));
    const query = { hash: idOf(torrent) };
    return await this.#rpc.request('/torrents/files', 'GET', query, undefined, undefined, true, allowed);
  }

  async act(torrents: readonly Torrent[], act: (ids: string[]) => Promise<unknown>): Promise<void> {
    const ids = torrents.map((torrent) => idOf(torrent));
    for (const some of byWeight(ids, HASHES_A_CALL, () => 1)) await act(some);
  }

  async #info(ids?: readonly string[]): Promise<Torrent[]> {
    const form = new URLSearchParams(ids === undefined ? {} : { hashes: ids.join('|') });
    const allowed = sumOf(SHORT, times(ids?.length ?? MOST_TORRENTS, torrentOf(FIELDS)));
    const torrents: unknown = await this.#rpc.request(
      '/torrents/info',
      'POST',
      undefined,
      form,
      undefined,
      true,
      allowed,
    );
    if (!Array.isArray(torrents) || !torrents.every(isRecord)) {
      throw failure(this.#rpc.endpoint, 'answered without a list of torrents');
    }
    return torrents;
  }
}

function isHash(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{40}$/.test(value);
}

/** qBittorrent's own, for its API. */
export function idOf(torrent: Torrent): string {
  return String(torrent['hash']);
}
