/** Adding torrents to Transmission: one a call; labels are set afterwards, since torrent-add ignores them (3.00). */
import { AutotorrentError } from '../../errors.ts';
import type { Metainfo } from '../../metainfo/metainfo.ts';
import type { AddSteps } from '../adding/add-all.ts';
import type { Adding } from '../adding/adding.ts';
import { requireDirectory } from '../adding/directory.ts';
import { Asked, changedNames, filesIn, ownPath } from '../adding/names.ts';
import type { AddRequest, TorrentClient } from '../client.ts';
import { A_FILE, SHORT, sumOf, times } from '../wire/allowance.ts';
import { byWeight, inParallel } from '../wire/batches.ts';
import { failure, quoted } from '../wire/exchange.ts';
import { isRecord } from '../wire/json.ts';
import { argumentsOf, type TransmissionRpc } from './rpc.ts';
import { restored, spelling } from './spelling.ts';
import { isDuplicate, SUCCESS } from './texts.ts';
import type { TransmissionTorrents } from './torrents.ts';

/** Transmission takes one torrent a call; it hashes and writes the .torrent before it answers. */
const ADDS_AT_ONCE = 4;
/** Files in one reply: some 200 bytes each. */
const FILES_A_CALL = 100_000;
/** Of one torrent: its list of labels and its list of files. */
const LABELS = { bytes: 1024, values: 20, lists: 2 };
const OTHER_CLIENT = { hint: 'Use another client for this torrent.' };

export interface TransmissionAddParts {
  readonly rpc: TransmissionRpc;
  readonly torrents: TransmissionTorrents;
  readonly label: string | undefined;
  readonly client: Pick<TorrentClient, 'describe' | 'remove'>;
}

export class TransmissionAddSteps implements AddSteps<Adding> {
  readonly #rpc: TransmissionRpc;
  readonly #torrents: TransmissionTorrents;
  readonly #label: string | undefined;
  readonly #client: Pick<TorrentClient, 'describe' | 'remove'>;

  constructor({ rpc, torrents, label, client }: TransmissionAddParts) {
    this.#rpc = rpc;
    this.#torrents = torrents;
    this.#label = label;
    this.#client = client;
  }

  /** No version knows v2; whether it takes a hybrid depends on the version (4.0 takes it as v1). */
  unsupported({ version }: Metainfo): AutotorrentError | undefined {
    if (version !== 'v2') return undefined;
    return new AutotorrentError('UNSUPPORTED', 'Transmission does not know BitTorrent v2 torrents', OTHER_CLIENT);
  }

  async present(all: readonly Adding[]): Promise<Set<string>> {
    return new Set(await this.#torrents.present(hashesOf(all)));
  }

  async load(all: readonly Adding[]): Promise<void> {
    await inParallel(all, ADDS_AT_ONCE, (adding) => this.#load(adding));
  }

  async settle(all: readonly Adding[]): Promise<void> {
    for (const some of byWeight(all, FILES_A_CALL, ({ metainfo }) => metainfo.files.length)) await this.#settle(some);
  }

  async discard(all: readonly Adding[]): Promise<void> {
    await this.#client.remove(hashesOf(all));
  }

  async #load(adding: Adding): Promise<void> {
    const { metainfo, directory } = adding.request;
    let reply: unknown;
    adding.sent();
    try {
      reply = await this.#rpc.addTorrent(metainfo.raw.toString('base64'), { 'download-dir': directory, paused: true });
    } catch (error) {
      if (!(error instanceof AutotorrentError)) throw error;
      // Either this request alone failed (too long for a proxy, say), or Transmission is gone: this throws.
      await this.#client.describe();
      adding.failed(error);
      return;
    }
    const stranger = this.#judge(adding, reply);
    if (stranger !== undefined) await this.#client.remove([stranger]);
  }

  /** Reads what became of it. Gives the info hash under which Transmission added it, where that is a wrong one. */
  #judge(adding: Adding, reply: unknown): string | undefined {
    const { endpoint } = this.#rpc;
    const result = isRecord(reply) && typeof reply['result'] === 'string' ? reply['result'] : '';
    const args = result === SUCCESS ? argumentsOf(endpoint, reply) : {};
    if (isDuplicate(result) || isRecord(args['torrent-duplicate'])) {
      adding.exists();
      return undefined;
    }
    if (result !== SUCCESS) {
      adding.refused(this.#refusal(adding.metainfo, result));
      return undefined;
    }
    const added = args['torrent-added'];
    const hash = isRecord(added) ? added['hashString'] : undefined;
    if (typeof hash !== 'string') {
      adding.failed(failure(endpoint, 'does not say which torrent it added'));
      return undefined;
    }
    if (hash === adding.metainfo.infoHash) return undefined;
    adding.refused(failure(endpoint, `computes another info hash for this torrent: ${quoted(hash)}`));
    return hash;
  }

  #refusal({ version }: Metainfo, result: string): AutotorrentError {
    if (version !== 'hybrid') return failure(this.#rpc.endpoint, `refused the torrent: ${quoted(result)}`);
    return new AutotorrentError(
      'UNSUPPORTED',
      `this Transmission does not take BitTorrent hybrid v1 and v2 torrents: ${quoted(result)}`,
      OTHER_CLIENT,
    );
  }

  async #settle(all: readonly Adding[]): Promise<void> {
    const hashes = hashesOf(all);
    const label = this.#label;
    if (label !== undefined) await this.#torrents.on(hashes, () => this.#rpc.setTorrent(hashes, { labels: [label] }));
    const files = all.reduce((total, { metainfo }) => total + metainfo.files.length, 0);
    const listed = sumOf(SHORT, times(files, A_FILE), times(all.length, LABELS));
    const torrents = await this.#torrents.get(['hashString', 'downloadDir', 'labels', 'files'], hashes, listed);
    const byHash = new Map(torrents.map((torrent) => [torrent['hashString'], torrent]));
    for (const adding of all) {
      await adding.attempt(() =>
        adding.added(this.#namesOf(adding.request, byHash.get(adding.request.metainfo.infoHash))),
      );
    }
  }

  #namesOf(
    { metainfo, directory }: AddRequest,
    torrent: Record<string, unknown> | undefined,
  ): readonly (readonly string[])[] | undefined {
    const { endpoint } = this.#rpc;
    if (torrent === undefined) throw failure(endpoint, 'lost the torrent while it was added');
    const { downloadDir, labels, files } = torrent;
    requireDirectory(endpoint, downloadDir, directory, spelling);
    // Before 3.00 (RPC 16) there were no labels, and a Transmission says nothing of one that is set.
    const label = this.#label;
    if (label !== undefined && Array.isArray(labels) && ![label, spelling(label)].some((l) => labels.includes(l))) {
      throw failure(endpoint, 'did not take the label');
    }
    const named = filesIn(new Asked(endpoint, { metainfo, directory }), files, { path: 'name', length: 'length' }).map(
      ({ path, length }, i) => {
        const own = ownPath(metainfo, i);
        return { path: path.map((name, depth) => restored(name, own[depth] ?? '')), length };
      },
    );
    return changedNames(endpoint, metainfo, named);
  }
}

const hashesOf = (all: readonly Adding[]): string[] => all.map(({ metainfo }) => metainfo.infoHash);
