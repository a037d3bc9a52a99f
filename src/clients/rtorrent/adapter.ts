/**
 * rTorrent, over XML-RPC: SCGI on tcp or a unix socket, or HTTP(S) through a web server. Seen with 0.9.8.
 *
 * Quirks of rTorrent that shape this folder:
 * - Only `load.raw` is used: a torrent loaded from a path is tied to it, and `d.erase` then deletes the user's file.
 * - rTorrent writes its session every 20 minutes. If it were killed before that, it would come back with the torrent
 *   stopped, in its default directory, and download everything again: the session is saved with every change.
 * - The plain `name` and `path` are used as the bytes they are; `name.utf-8` and `path.utf-8` are ignored.
 */
import type { ClientConfig } from '../../config/config.ts';
import type { Metainfo } from '../../metainfo/metainfo.ts';
import { addAll } from '../adding/add-all.ts';
import type {
  AddRequest,
  AddResult,
  ClientDescription,
  ClientProgram,
  TorrentClient,
  TorrentState,
} from '../client.ts';
import { MOST_TORRENTS, SHORT, sumOf, times, torrentOf } from '../wire/allowance.ts';
import { type ClientOptions, failure, quoted } from '../wire/exchange.ts';
import { RtorrentAdding, RtorrentAddSteps } from './adding.ts';
import { presentIn } from './present.ts';
import { connectRtorrent, type RtorrentCall, type RtorrentRpc } from './rpc.ts';
import { spellingOfPart } from './spelling.ts';
import { STATE_FIELDS, stateOf } from './states.ts';
import { unservable } from './unservable.ts';
import { integer, listOf, text } from './values.ts';

/** After a check that failed rTorrent does nothing more with a torrent, not even another check, until that is closed. */
const CLOSE_FAILED: RtorrentCall = { method: 'branch', params: ['d.hashing_failed=', 'd.close='] };
/** A torrent that is started already it does not start again. */
const STOP_FAILED: RtorrentCall = { method: 'branch', params: ['d.hashing_failed=', 'd.stop='] };
/** Or a later stop would be taken for one of rTorrent's own. */
const FORGET_MESSAGE: RtorrentCall = { method: 'catch', params: ['d.message.set='] };

/** Up to here torrents are asked for one by one (in one request); beyond, all are asked for and sorted out. */
const FEW = 50;

export function createRtorrentClient(
  config: Extract<ClientConfig, { client: 'rtorrent' }>,
  options: ClientOptions = {},
): TorrentClient {
  return new RtorrentClient(connectRtorrent(config.url, options), config.label);
}

class RtorrentClient implements TorrentClient {
  readonly #rpc: RtorrentRpc;
  readonly #label: string | undefined;

  constructor(rpc: RtorrentRpc, label: string | undefined) {
    this.#rpc = rpc;
    this.#label = label === '' ? undefined : label;
  }

  get program(): ClientProgram | undefined {
    return this.#rpc.endpoint.program;
  }

  spellings(path: string): readonly string[] {
    const other = spellingOfPart(path);
    return other === path ? [] : [other];
  }

  takesWord(metainfo: Metainfo): boolean {
    return unservable(metainfo) === undefined;
  }

  async describe(): Promise<ClientDescription> {
    const version = await this.#rpc.call('system.client_version', []);
    return { name: 'rTorrent', version: quoted(text(this.#rpc, version)) };
  }

  async list(infoHashes?: readonly string[]): Promise<TorrentState[]> {
    if (infoHashes !== undefined && infoHashes.length <= FEW) {
      const answers = await this.#rpc.perTorrent(
        infoHashes.map(upper),
        STATE_FIELDS.map((method) => ({ method })),
      );
      return answers.flatMap((row, i) => {
        if (row === undefined) return [];
        const state = stateOf(this.#rpc, row);
        if (state.infoHash === infoHashes[i]?.toLowerCase()) return [state];
        throw failure(this.#rpc.endpoint, 'answered with another torrent than it was asked for');
      });
    }
    if (infoHashes !== undefined) {
      // The state of all is a long answer, and `add` asks about torrents that are mostly not there.
      const there = await presentIn(this.#rpc);
      const asked = infoHashes.filter((hash) => there.has(hash.toLowerCase()));
      if (asked.length <= FEW) return await this.list(asked);
    }
    const allowed = sumOf(SHORT, times(MOST_TORRENTS, torrentOf(STATE_FIELDS.length)));
    const fields = STATE_FIELDS.map((field) => `${field}=`);
    const rows = listOf(this.#rpc, await this.#rpc.call('d.multicall2', ['', 'main', ...fields], allowed));
    const states = rows.map((row) => stateOf(this.#rpc, listOf(this.#rpc, row)));
    if (infoHashes === undefined) return states;
    const wanted = new Set(infoHashes.map((hash) => hash.toLowerCase()));
    return states.filter((state) => wanted.has(state.infoHash));
  }

  add(requests: readonly AddRequest[]): Promise<AddResult[]> {
    return addAll(
      requests.map((request) => new RtorrentAdding(request)),
      new RtorrentAddSteps(this.#rpc, this.#label, this),
    );
  }

  /**
   * A torrent that rTorrent stopped because it misses files is stopped and closed first: it is then checked, not downloaded.
   * Most have no failure and no message, and are started with few calls.
   */
  async start(infoHashes: readonly string[]): Promise<string[]> {
    const said = await this.#rpc.perTorrent(infoHashes.map(upper), [
      { method: 'd.hashing_failed' },
      { method: 'd.message' },
    ]);
    const troubled = infoHashes.filter((_, i) => {
      const [failed, message] = said[i] ?? [];
      return said[i] !== undefined && (integer(this.#rpc, failed) !== 0 || text(this.#rpc, message) !== '');
    });
    const states = await this.list(troubled);
    await this.stop(states.filter(({ activity }) => activity === 'error').map(({ infoHash }) => infoHash));
    await this.#each(troubled, [STOP_FAILED, CLOSE_FAILED, FORGET_MESSAGE]);
    // The .torrent is in the session already: to save the state alone writes less.
    return await this.#each(infoHashes, [{ method: 'd.open' }, { method: 'd.start' }, { method: 'd.save_resume' }]);
  }

  /** Closes its files, too: an open torrent keeps them mapped, and a file system under them busy. */
  async stop(infoHashes: readonly string[]): Promise<string[]> {
    if (infoHashes.length === 0) return [];
    return await this.#each(infoHashes, [
      { method: 'd.stop' },
      { method: 'd.close' },
      FORGET_MESSAGE,
      { method: 'd.save_full_session' },
    ]);
  }

  recheck(infoHashes: readonly string[]): Promise<string[]> {
    return this.#each(infoHashes, [CLOSE_FAILED, { method: 'd.check_hash' }]);
  }

  /** `d.erase` leaves the data, and deletes the .torrent that a torrent is tied to: that belongs to the user. */
  remove(infoHashes: readonly string[]): Promise<string[]> {
    return this.#each(infoHashes, [{ method: 'd.tied_to_file.set', params: [''] }, { method: 'd.erase' }]);
  }

  async close(): Promise<void> {}

  async #each(infoHashes: readonly string[], calls: readonly RtorrentCall[]): Promise<string[]> {
    const rows = await this.#rpc.perTorrent(infoHashes.map(upper), calls);
    return infoHashes.filter((_, i) => rows[i] !== undefined);
  }
}

const upper = (infoHash: string): string => infoHash.toUpperCase();
