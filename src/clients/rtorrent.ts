/**
 * rTorrent, over XML-RPC: SCGI on tcp or a unix socket, or HTTP(S) through a web server. Seen with 0.9.8.
 *
 * What shapes this file:
 * - `load.*` answers 0 whatever becomes of the torrent (garbage, a duplicate, a failing command), and loads it after it
 *   answered. A nonce of ours in a custom field of the torrent says that it is there, and that it is ours.
 * - Only `load.raw` is used: a torrent loaded from a path is tied to it, and `d.erase` then deletes the user's file.
 * - It writes its session every 20 minutes. One that is killed before that would come back with the torrent stopped, in its
 *   default directory, and download everything again: the session is saved with every change.
 * - The plain `name` and `path` are used as the bytes they are; `name.utf-8` and `path.utf-8` are ignored.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientConfig } from '../config/config.ts';
import { AutotorrentError } from '../errors.ts';
import type { Metainfo } from '../metainfo/metainfo.ts';
import { withTopLevelKey } from '../metainfo/top-level-key.ts';
import type {
  AddRequest,
  AddResult,
  ClientDescription,
  TorrentActivity,
  TorrentClient,
  TorrentState,
} from './client.ts';
import { changedNames, pathComponents } from './client-names.ts';
import { type ClientOptions, failure, quoted } from './exchange.ts';
import { libtorrentResume } from './rtorrent-resume.ts';
import { connectRtorrent, integer, listOf, type RtorrentRpc, text } from './rtorrent-rpc.ts';
import { asParam, isSpellingOf } from './rtorrent-spelling.ts';

const STATE_FIELDS = [
  'd.hash',
  'd.name',
  'd.state',
  'd.is_active',
  'd.hashing',
  'd.hashing_failed',
  'd.complete',
  'd.completed_bytes',
  'd.size_bytes',
  'd.chunks_hashed',
  'd.size_chunks',
  'd.message',
] as const;

/** Up to here a few torrents are asked for one by one (in one request); beyond, all are asked for and sorted out. */
const FEW = 50;
/** The longest request over SCGI (rTorrent 0.9.8, `rpc/scgi_task.h`): beyond, it closes the connection. */
const MAX_SCGI_BODY = 16 * 1024 * 1024;
const MARK = 'autotorrent';

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
      return answers.filter((row) => row !== undefined).map((row) => stateOf(this.#rpc, row));
    }
    const rows = listOf(
      this.#rpc,
      await this.#rpc.call('d.multicall2', ['', 'main', ...STATE_FIELDS.map((field) => `${field}=`)]),
    );
    const states = rows.map((row) => stateOf(this.#rpc, listOf(this.#rpc, row)));
    if (infoHashes === undefined) return states;
    const wanted = new Set(infoHashes.map((hash) => hash.toLowerCase()));
    return states.filter((state) => wanted.has(state.infoHash));
  }

  async add(request: AddRequest): Promise<AddResult> {
    const { metainfo } = request;
    refuseUnservable(metainfo);
    const hash = upper(metainfo.infoHash);
    if ((await this.#mark(hash)) !== undefined) return { outcome: 'exists' };

    const resume = request.resume === undefined ? undefined : libtorrentResume(metainfo, request.resume);
    const raw = resume === undefined ? metainfo.raw : withTopLevelKey(metainfo.raw, 'libtorrent_resume', resume);
    const nonce = randomUUID();
    try {
      await this.#load(raw, nonce);
      const loaded = await this.#loaded(hash, nonce);
      if (loaded === 'absent') {
        const [strange] = await this.#marked(nonce);
        if (strange !== undefined) {
          throw failure(this.#rpc.endpoint, `computes another info hash for this torrent: ${strange.toLowerCase()}`);
        }
        throw failure(
          this.#rpc.endpoint,
          'did not take the torrent, and does not say why',
          metainfo.announce.length === 0
            ? 'The torrent names no tracker: rTorrent takes such a one only while its DHT is on.'
            : "See rTorrent's own log: it may find the torrent invalid.",
        );
      }
      // Someone else added it between the question and the loading: it is theirs.
      if (loaded === 'other') return { outcome: 'exists' };
      const names = await this.#settle(hash, request);
      return names === undefined ? { outcome: 'added' } : { outcome: 'added', names };
    } catch (error) {
      await this.#discard(nonce);
      throw error;
    }
  }

  start(infoHash: string): Promise<boolean> {
    return this.#each(infoHash, ['d.open', 'd.start', 'd.save_full_session']);
  }

  /** Closes its files, too: an open torrent keeps them mapped, and a file system under them busy. */
  stop(infoHash: string): Promise<boolean> {
    return this.#each(infoHash, ['d.stop', 'd.close', 'd.save_full_session']);
  }

  recheck(infoHash: string): Promise<boolean> {
    return this.#each(infoHash, ['d.check_hash']);
  }

  async remove(infoHash: string): Promise<boolean> {
    // `d.erase` deletes the .torrent that a torrent is tied to: it belongs to the user.
    const [row] = await this.#rpc.perTorrent(
      [upper(infoHash)],
      [{ method: 'd.tied_to_file.set', params: [''] }, { method: 'd.erase' }],
    );
    return row !== undefined;
  }

  async close(): Promise<void> {}

  async #each(infoHash: string, methods: readonly string[]): Promise<boolean> {
    const [row] = await this.#rpc.perTorrent(
      [upper(infoHash)],
      methods.map((method) => ({ method })),
    );
    return row !== undefined;
  }

  async #load(raw: Buffer, nonce: string): Promise<void> {
    const params = ['', raw, `d.custom.set=${MARK},${nonce}`];
    try {
      await this.#rpc.callLarge('load.raw', params);
    } catch (error) {
      if (raw.length * (4 / 3) < MAX_SCGI_BODY) throw error;
      throw new AutotorrentError(
        'UNSUPPORTED',
        `rTorrent takes requests of up to ${MAX_SCGI_BODY >> 20} MiB, and this .torrent (${raw.length} bytes) makes a longer one`,
        { hint: 'Add the .torrent in rTorrent itself, or use another client for it.', cause: error },
      );
    }
  }

  /** What our custom field holds; undefined where rTorrent does not have the torrent. */
  async #mark(hash: string): Promise<string | undefined> {
    const [row] = await this.#rpc.perTorrent([hash], [{ method: 'd.custom', params: [MARK] }]);
    return row === undefined ? undefined : text(this.#rpc, row[0]);
  }

  /** Waits until what `load.raw` was given is there: it loads after it answered, before or after the next request. */
  async #loaded(hash: string, nonce: string): Promise<'ours' | 'other' | 'absent'> {
    for (let wait = 5; wait < 500; wait *= 1.5) {
      const mark = await this.#mark(hash);
      if (mark !== undefined) return mark === nonce ? 'ours' : 'other';
      await sleep(wait);
    }
    return 'absent';
  }

  /** Directory and label, and that they took; the names that differ. */
  async #settle(
    hash: string,
    { metainfo, directory }: AddRequest,
  ): Promise<readonly (readonly string[])[] | undefined> {
    const [before] = await this.#rpc.perTorrent([hash], [{ method: 'd.state' }, { method: 'd.is_open' }]);
    // The user's own rtorrent.rc may start every torrent that is inserted.
    if (before?.some((value) => integer(this.#rpc, value) !== 0) === true) await this.stop(hash);

    const label = this.#label === undefined ? undefined : encodeURIComponent(this.#label);
    const [row] = await this.#rpc.perTorrent(
      [hash],
      [
        { method: 'd.directory.set', params: [asParam(directory)] },
        ...(label === undefined ? [] : [{ method: 'd.custom1.set', params: [label] }]),
        { method: 'f.multicall', params: ['', 'f.path=', 'f.size_bytes='] },
        { method: 'd.custom1' },
        { method: 'd.is_multi_file' },
        { method: 'd.directory_base' },
      ],
    );
    const endpoint = this.#rpc.endpoint;
    if (row === undefined) throw failure(endpoint, 'lost the torrent while it was added');
    const [files, tag, multi, base] = row.slice(-4);
    const folder = directory.replace(/\/+$/, '');
    const root = text(this.#rpc, base).replace(/\/+$/, '');
    // For several files the folder is that of the torrent's name: the raw one, and `name.utf-8` if a version uses it.
    const tops = integer(this.#rpc, multi) === 0 ? [''] : [`${metainfo.rawName.toString()}/`, `${metainfo.name}/`];
    const top = tops.find((name) => isSpellingOf(root, `${folder}/${name}`.slice(0, -1)));
    if (top === undefined) {
      throw failure(endpoint, `put the torrent into ${quoted(root)}, not into ${quoted(folder)}`);
    }
    if (label !== undefined && text(this.#rpc, tag) !== label) throw failure(endpoint, 'did not take the label');

    const names = listOf(this.#rpc, files).map((file, i) => {
      const [path, size] = listOf(this.#rpc, file);
      const reply = text(this.#rpc, path);
      const { rawPath = [], path: shown = [] } = metainfo.files[i] ?? {};
      const own = [rawPath.join('/'), shown.join('/')].find((name) => isSpellingOf(reply, name));
      return { path: pathComponents(endpoint, `${top}${own ?? reply}`), length: integer(this.#rpc, size) };
    });
    const changed = changedNames(endpoint, metainfo, names);
    // Last: what fails before this is found, and taken back, by the mark.
    await this.#rpc.perTorrent(
      [hash],
      [{ method: 'd.custom.set', params: [MARK, ''] }, { method: 'd.save_full_session' }],
    );
    return changed;
  }

  /** The info hashes of what was loaded with this nonce, whatever rTorrent computed them to be. */
  async #marked(nonce: string): Promise<string[]> {
    const rows = listOf(this.#rpc, await this.#rpc.call('d.multicall2', ['', 'main', 'd.hash=', `d.custom=${MARK}`]));
    return rows
      .map((row) => listOf(this.#rpc, row))
      .filter(([, mark]) => mark === nonce)
      .map(([hash]) => text(this.#rpc, hash));
  }

  async #discard(nonce: string): Promise<void> {
    try {
      for (const ours of await this.#marked(nonce)) await this.remove(ours);
    } catch {
      // It could not be reached a second time: the first error says more.
    }
  }
}

const upper = (infoHash: string): string => infoHash.toUpperCase();

function refuseUnservable(metainfo: Metainfo): void {
  if (metainfo.version === 'v2') {
    throw new AutotorrentError(
      'UNSUPPORTED',
      'rTorrent does not know BitTorrent v2 torrents, and ignores them silently',
      {
        hint: 'Use another client for this torrent.',
      },
    );
  }
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  for (const name of [metainfo.rawName, ...metainfo.files.flatMap((file) => file.rawPath)]) {
    try {
      decoder.decode(name);
    } catch (cause) {
      throw new AutotorrentError(
        'UNSUPPORTED',
        `rTorrent looks for the name ${JSON.stringify(name.toString('latin1'))} under bytes that are not UTF-8, which the mount cannot show`,
        { hint: 'Use another client for this torrent.', cause },
      );
    }
  }
}

/** `row` holds the values of `STATE_FIELDS`. */
function stateOf(rpc: RtorrentRpc, row: readonly unknown[]): TorrentState {
  const field = (name: (typeof STATE_FIELDS)[number]): unknown => row[STATE_FIELDS.indexOf(name)];
  const number = (name: (typeof STATE_FIELDS)[number]): number => integer(rpc, field(name));
  const infoHash = text(rpc, field('d.hash')).toLowerCase();
  if (!/^[0-9a-f]{40}$/.test(infoHash)) throw failure(rpc.endpoint, 'answered with an info hash that is none');

  const checking = number('d.hashing') !== 0;
  const complete = number('d.complete') !== 0;
  const failed = number('d.hashing_failed') !== 0;
  const said = text(rpc, field('d.message'));
  // It keeps quiet about a check that failed (a file that cannot be read), and is neither active nor stopped then.
  const message = said === '' && failed ? 'the hash check failed' : said;
  const share = checking
    ? number('d.chunks_hashed') / number('d.size_chunks')
    : number('d.completed_bytes') / number('d.size_bytes');
  const activity: TorrentActivity = checking
    ? 'checking'
    : number('d.is_active') !== 0
      ? complete
        ? 'seeding'
        : 'downloading'
      : failed
        ? 'error'
        : number('d.state') !== 0
          ? 'queued'
          : 'stopped';
  return {
    infoHash,
    name: text(rpc, field('d.name')),
    activity,
    progress: complete && !checking ? 1 : Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0,
    ...(message === '' ? {} : { message: quoted(message) }),
  };
}
