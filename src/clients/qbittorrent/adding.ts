/**
 * Adding torrents to qBittorrent.
 *
 * - `torrents/add` takes one save path a call, answers before the torrent is there, and says no more than `Fails.`.
 * - `skip_checking` is believed without a look: it is used only where every piece was verified.
 * - qBittorrent lists files without pads; libtorrent drops backslashes from names and writes `_` for bytes that are not
 *   UTF-8.
 */
import { AutotorrentError } from '../../errors.ts';
import type { AddSteps } from '../adding/add-all.ts';
import type { Adding } from '../adding/adding.ts';
import { requireDirectory } from '../adding/directory.ts';
import { Asked, changedNames, filesIn } from '../adding/names.ts';
import type { AddRequest, TorrentClient } from '../client.ts';
import { namesAgainstDuplicates } from '../libtorrent/duplicates.ts';
import { withPads } from '../libtorrent/pads.ts';
import { maySkipCheck } from '../libtorrent/skip-check.ts';
import { inParallel } from '../wire/batches.ts';
import { failure, quoted } from '../wire/exchange.ts';
import { within } from '../wire/within.ts';
import { Conflict, type QbittorrentRpc } from './rpc.ts';
import type { Torrent } from './states.ts';
import { FAILS } from './texts.ts';
import type { QbittorrentTorrents } from './torrents.ts';

const ADDS_AT_ONCE = 4;
/** Until the torrents are there that it took; the second is for each of them. */
const LOAD_LIMIT_MS = 20_000;
const LOAD_LIMIT_EACH_MS = 50;

export interface QbittorrentAddParts {
  readonly rpc: QbittorrentRpc;
  readonly torrents: QbittorrentTorrents;
  readonly category: string | undefined;
  readonly tags: string | undefined;
  readonly client: Pick<TorrentClient, 'describe' | 'remove'>;
}

export class QbittorrentAddSteps implements AddSteps<Adding> {
  readonly #rpc: QbittorrentRpc;
  readonly #torrents: QbittorrentTorrents;
  readonly #category: string | undefined;
  readonly #tags: string | undefined;
  readonly #client: Pick<TorrentClient, 'describe' | 'remove'>;

  constructor({ rpc, torrents, category, tags, client }: QbittorrentAddParts) {
    this.#rpc = rpc;
    this.#torrents = torrents;
    this.#category = category;
    this.#tags = tags;
    this.#client = client;
  }

  async present(all: readonly Adding[]): Promise<Set<string>> {
    const torrents = await this.#torrents.get(hashesOf(all));
    return new Set(torrents.map((torrent) => this.#torrents.infoHashOf(torrent)));
  }

  async load(all: readonly Adding[]): Promise<void> {
    await inParallel(all, ADDS_AT_ONCE, (adding) => this.#load(adding));
  }

  async settle(all: readonly Adding[]): Promise<void> {
    const there = await this.#loaded(all);
    await inParallel(all, ADDS_AT_ONCE, (adding) =>
      adding.attempt(async () =>
        adding.added(...(await this.#namesOf(adding.request, there.get(adding.metainfo.infoHash)))),
      ),
    );
  }

  async discard(all: readonly Adding[]): Promise<void> {
    await this.#client.remove(hashesOf(all));
  }

  async #load(adding: Adding): Promise<void> {
    adding.sent();
    try {
      if (await this.#takes(adding.request)) return;
      // Someone else may have added it since qBittorrent was asked for it.
      if ((await this.#torrents.get([adding.metainfo.infoHash])).length > 0) adding.exists();
      else adding.refused(failure(this.#rpc.endpoint, 'refused the torrent, and does not say why'));
    } catch (error) {
      if (!(error instanceof AutotorrentError)) throw error;
      // Either this request alone failed, or qBittorrent is gone: this throws.
      await this.#client.describe();
      adding.failed(error);
    }
  }

  /** Gives false where it refuses the torrent, or has it: it does not say which. */
  async #takes(request: AddRequest): Promise<boolean> {
    try {
      const form = this.#formOf(request);
      const said = await this.#rpc.request('/torrents/add', 'POST', undefined, form, undefined, false);
      return said !== FAILS;
    } catch (error) {
      if (error instanceof AutotorrentError && error.cause instanceof Conflict) return false;
      throw error;
    }
  }

  #formOf(request: AddRequest): FormData {
    const { metainfo, directory } = request;
    const form = new FormData();
    form.set(
      'torrents',
      new File([metainfo.raw], `${metainfo.infoHash}.torrent`, { type: 'application/x-bittorrent' }),
    );
    const options = {
      savepath: directory,
      useDownloadPath: false,
      autoTMM: false,
      contentLayout: 'Original',
      skip_checking: maySkipCheck(request),
      // 4.x and 5.x.
      paused: true,
      stopped: true,
      ...(this.#category === undefined ? {} : { category: this.#category }),
      ...(this.#tags === undefined ? {} : { tags: this.#tags }),
    };
    for (const [key, value] of Object.entries(options)) form.set(key, String(value));
    return form;
  }

  /** By info hash, those that are there by now; qBittorrent loads them after it has answered. */
  async #loaded(all: readonly Adding[]): Promise<Map<string, Torrent>> {
    for (const { metainfo } of all) this.#torrents.know(metainfo);
    let found = new Map<string, Torrent>();
    await within(LOAD_LIMIT_MS + all.length * LOAD_LIMIT_EACH_MS, async () => {
      const torrents = await this.#torrents.get(hashesOf(all));
      found = new Map(torrents.map((torrent) => [this.#torrents.infoHashOf(torrent), torrent]));
      return found.size === all.length;
    });
    return found;
  }

  async #namesOf(
    { metainfo, directory }: AddRequest,
    torrent: Torrent | undefined,
  ): Promise<Parameters<Adding['added']>> {
    const { endpoint } = this.#rpc;
    if (torrent === undefined) throw failure(endpoint, 'took the torrent, but does not have it');
    requireDirectory(endpoint, torrent['save_path'], directory);
    if (this.#category !== undefined && torrent['category'] !== this.#category) {
      const hint = 'A category has no backslash, does not begin or end with /, and has no // in it.';
      throw failure(endpoint, `did not take the category ${quoted(this.#category)}`, hint);
    }
    const listed = filesIn(
      new Asked(endpoint, { metainfo, directory }),
      await this.#torrents.files(torrent, metainfo.files.length),
      {
        path: 'name',
        length: 'size',
      },
    );
    const files = withPads(metainfo, listed);
    return [changedNames(endpoint, metainfo, files), namesAgainstDuplicates(metainfo, files)];
  }
}

const hashesOf = (all: readonly Adding[]): string[] => all.map(({ metainfo }) => metainfo.infoHash);
