/** Adding torrents to Deluge: many in a request, paused, then their labels, directories and names in one request each. */
import type { AddSteps } from '../adding/add-all.ts';
import type { Adding } from '../adding/adding.ts';
import { requireDirectory } from '../adding/directory.ts';
import { Asked, changedNames, filesIn } from '../adding/names.ts';
import type { AddRequest, TorrentClient } from '../client.ts';
import { torrentId } from '../libtorrent/ids.ts';
import { withPads } from '../libtorrent/pads.ts';
import { maySkipCheck } from '../libtorrent/skip-check.ts';
import { A_FILE, type Allowance, SHORT, sumOf, times } from '../wire/allowance.ts';
import { byWeight } from '../wire/batches.ts';
import { failure, quoted } from '../wire/exchange.ts';
import type { DelugeLabel } from './label.ts';
import { type DelugeAnswer, type DelugeCall, type DelugeRpc, refusal } from './rpc.ts';
import type { Status } from './states.ts';
import { isAlreadyThere } from './texts.ts';
import type { DelugeTorrents } from './torrents.ts';

/** Bytes of .torrents in one request, before base64 makes a third more of them. */
const BYTES_A_REQUEST = 8 * 1024 * 1024;

export interface DelugeAddParts {
  readonly rpc: DelugeRpc;
  readonly torrents: DelugeTorrents;
  readonly label: DelugeLabel | undefined;
  readonly client: Pick<TorrentClient, 'remove'>;
}

export class DelugeAddSteps implements AddSteps<Adding> {
  readonly #rpc: DelugeRpc;
  readonly #torrents: DelugeTorrents;
  readonly #label: DelugeLabel | undefined;
  readonly #client: Pick<TorrentClient, 'remove'>;

  constructor({ rpc, torrents, label, client }: DelugeAddParts) {
    this.#rpc = rpc;
    this.#torrents = torrents;
    this.#label = label;
    this.#client = client;
  }

  async present(all: readonly Adding[]): Promise<Set<string>> {
    for (const { metainfo } of all) this.#torrents.know(metainfo);
    return new Set(await this.#torrents.present(hashesOf(all)));
  }

  async load(all: readonly Adding[]): Promise<void> {
    await this.#label?.prepare();
    for (const some of byWeight(all, BYTES_A_REQUEST, ({ metainfo }) => metainfo.raw.length)) {
      for (const adding of some) adding.sent();
      const answers = await this.#rpc.calls(some.map(({ request }) => callOf(request)));
      for (const [i, adding] of some.entries()) this.#judge(adding, answers[i]);
    }
  }

  async settle(all: readonly Adding[]): Promise<void> {
    const { endpoint } = this.#rpc;
    const hashes = hashesOf(all);
    const label = this.#label?.name;
    const labelled =
      label === undefined
        ? []
        : await this.#rpc.calls(
            hashes.map((hash) => ({ method: 'label.set_torrent', args: [this.#torrents.idOf(hash), label] })),
          );
    const statuses = await this.#torrents.statuses(['save_path', 'files'], hashes, filesOf(all));
    for (const [i, adding] of all.entries()) {
      await adding.attempt(() => {
        const answer = labelled[i];
        if (answer !== undefined && 'error' in answer) throw refusal(endpoint, 'the label', answer.error.message);
        const status = statuses.get(adding.metainfo.infoHash);
        if (status === undefined) throw failure(endpoint, 'lost the torrent while it was added');
        adding.added(this.#namesOf(adding.request, status));
      });
    }
  }

  async discard(all: readonly Adding[]): Promise<void> {
    await this.#client.remove(hashesOf(all));
  }

  /** Reads what became of it; without a result it was added. */
  #judge(adding: Adding, answer: DelugeAnswer | undefined): void {
    const { endpoint } = this.#rpc;
    const { metainfo } = adding;
    if (answer === undefined) {
      adding.failed(failure(endpoint, 'did not say what became of the torrent'));
    } else if ('error' in answer) {
      if (isAlreadyThere(answer.error.message)) adding.exists();
      else adding.refused(refusal(endpoint, 'the torrent', answer.error.message));
    } else if (answer.result === metainfo.infoHash) {
      this.#torrents.knowByV1(metainfo.infoHash);
    } else if (answer.result !== torrentId(metainfo)) {
      const told = quoted(String(answer.result));
      adding.failed(failure(endpoint, `computes another info hash for this torrent: ${told}`));
    }
  }

  #namesOf(
    { metainfo, directory }: AddRequest,
    { save_path: path, files }: Status,
  ): readonly (readonly string[])[] | undefined {
    const { endpoint } = this.#rpc;
    requireDirectory(endpoint, path, directory);
    const listed = filesIn(new Asked(endpoint, { metainfo, directory }), files, { path: 'path', length: 'size' });
    return changedNames(endpoint, metainfo, withPads(metainfo, listed));
  }
}

function callOf(request: AddRequest): DelugeCall {
  const { metainfo, directory } = request;
  const options = {
    download_location: directory,
    add_paused: true,
    seed_mode: maySkipCheck(request),
    move_completed: false,
    pre_allocate_storage: false,
  };
  const name = `${metainfo.infoHash}.torrent`;
  return { method: 'core.add_torrent_file_async', args: [name, metainfo.raw.toString('base64'), options] };
}

/** Their lists of files, in one answer or in several. */
function filesOf(all: readonly Adding[]): Allowance {
  const files = all.reduce((total, { metainfo }) => total + metainfo.files.length, 0);
  return sumOf(SHORT, times(files + all.length, A_FILE));
}

const hashesOf = (all: readonly Adding[]): string[] => all.map(({ metainfo }) => metainfo.infoHash);
