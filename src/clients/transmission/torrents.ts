/** Calls on Transmission's torrents. Its ids are info hashes; an empty list of ids would mean all torrents. */
import { type Allowance, MOST_TORRENTS, SHORT, sumOf, times, torrentOf } from '../wire/allowance.ts';
import { failure } from '../wire/exchange.ts';
import { isRecord } from '../wire/json.ts';
import { argumentsOf, type TransmissionRpc } from './rpc.ts';
import { infoHashOf } from './states.ts';

export class TransmissionTorrents {
  readonly #rpc: TransmissionRpc;

  constructor(rpc: TransmissionRpc) {
    this.#rpc = rpc;
  }

  /**
   * The fields of all torrents, or of those of `infoHashes` that Transmission has. (The package's own `listTorrents` asks
   * for every field there is: files and peers of 5,000 torrents.) `beside`: what the answer may hold beside one value a field.
   */
  async get(
    fields: readonly string[],
    infoHashes?: readonly string[],
    beside: Allowance = SHORT,
  ): Promise<Record<string, unknown>[]> {
    if (infoHashes?.length === 0) return [];
    const ids = infoHashes === undefined ? {} : { ids: infoHashes };
    const allowed = sumOf(beside, times(infoHashes?.length ?? MOST_TORRENTS, torrentOf(fields.length)));
    const reply = await this.#rpc.request('torrent-get', { fields, ...ids }, allowed);
    const { torrents } = argumentsOf(this.#rpc.endpoint, reply._data);
    if (!Array.isArray(torrents) || !torrents.every(isRecord)) {
      throw failure(this.#rpc.endpoint, 'answered without a list of torrents');
    }
    if (infoHashes === undefined) return torrents;
    const asked = new Set<unknown>(infoHashes);
    if (torrents.some(({ hashString }) => !asked.delete(hashString))) {
      throw failure(this.#rpc.endpoint, 'answered with a torrent that it was not asked for, or with one twice');
    }
    return torrents;
  }

  async present(infoHashes: readonly string[]): Promise<string[]> {
    return this.hashesOf(await this.get(['hashString'], infoHashes));
  }

  hashesOf(torrents: readonly Record<string, unknown>[]): string[] {
    return torrents.map((torrent) => infoHashOf(this.#rpc.endpoint, torrent));
  }

  /** Acts on those of `infoHashes` that Transmission has, and gives them: it answers `success` for others, too. */
  async onPresent(infoHashes: readonly string[], act: (there: string[]) => Promise<unknown>): Promise<string[]> {
    const there = await this.present(infoHashes);
    await this.on(there, act);
    return there;
  }

  async on(hashes: string[], act: (hashes: string[]) => Promise<unknown>): Promise<void> {
    if (hashes.length > 0) argumentsOf(this.#rpc.endpoint, await act(hashes));
  }
}
