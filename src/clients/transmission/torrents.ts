/** Calls on Transmission's torrents. Its ids are info hashes; an empty list of ids would mean all torrents. */
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
   * for every field there is: files and peers of 5,000 torrents.)
   */
  async get(fields: readonly string[], infoHashes?: readonly string[]): Promise<Record<string, unknown>[]> {
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
