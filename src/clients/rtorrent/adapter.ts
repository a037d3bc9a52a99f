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
import { isUtf8 } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClientConfig } from '../../config/config.ts';
import { AutotorrentError } from '../../errors.ts';
import type { Metainfo } from '../../metainfo/metainfo.ts';
import { withTopLevelKey } from '../../metainfo/top-level-key.ts';
import { changedNames, pathComponents } from '../adding/names.ts';
import type {
  AddRequest,
  AddResult,
  ClientDescription,
  TorrentActivity,
  TorrentClient,
  TorrentState,
} from '../client.ts';
import { byWeight } from '../wire/batches.ts';
import { type ClientOptions, failure, quoted } from '../wire/exchange.ts';
import type { XmlRpcParam } from '../wire/xml-rpc.ts';
import { libtorrentResume } from './resume.ts';
import { connectRtorrent, integer, listOf, REQUEST_BYTES, type RtorrentCall, type RtorrentRpc, text } from './rpc.ts';
import { asParam, isSpellingOf } from './spelling.ts';

/** Behind a check that failed it does nothing more with a torrent, not even another check, until that is closed. */
const CLOSE_FAILED: RtorrentCall = { method: 'branch', params: ['d.hashing_failed=', 'd.close='] };
/** And what is started already it does not start. */
const STOP_FAILED: RtorrentCall = { method: 'branch', params: ['d.hashing_failed=', 'd.stop='] };
/** Its words where it has stopped a complete torrent by itself (`core/download_list.cc`): as if the user had. */
const LOST_FILES = 'Download registered as completed, but hash check returned unfinished chunks.';
/** Or a later stop would be taken for its own. */
const FORGET_MESSAGE: RtorrentCall = { method: 'catch', params: ['d.message.set='] };
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
/** A .torrent beyond this has a request of its own, in bytes: in base64 it comes near rTorrent's limit. */
const LARGE_TORRENT = (REQUEST_BYTES * 3) / 4;
/** Files in one reply: some 200 bytes each. */
const FILES_A_CALL = 100_000;
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

  async add(requests: readonly AddRequest[]): Promise<AddResult[]> {
    const begun = requests.map((request) => new Adding(request));
    for (const adding of begun) {
      const refused = unservable(adding.metainfo);
      if (refused !== undefined) adding.fail(refused);
    }
    const marks = await this.#marksOf(unsettled(begun));
    for (const [adding, mark] of marks) if (mark !== undefined) adding.result = { outcome: 'exists' };
    try {
      await this.#load(unsettled(begun));
      await this.#waitUntilLoaded(unsettled(begun));
      for (const some of byWeight(unsettled(begun), FILES_A_CALL, ({ metainfo }) => metainfo.files.length)) {
        await this.#settle(some);
      }
    } catch (error) {
      await this.#discard(begun);
      throw error;
    }
    const failed = begun.filter(({ result }) => result?.outcome === 'failed');
    if (failed.length > 0) await this.#discard(failed);
    return begun.map(({ result }) => result ?? { outcome: 'exists' });
  }

  /** What it has stopped because it missed it, it checks where it is closed first, and would download anew otherwise. */
  async start(infoHashes: readonly string[]): Promise<string[]> {
    const states = await this.list(infoHashes);
    await this.stop(states.filter(({ activity }) => activity === 'error').map(({ infoHash }) => infoHash));
    return await this.#each(infoHashes, [
      STOP_FAILED,
      CLOSE_FAILED,
      FORGET_MESSAGE,
      { method: 'd.open' },
      { method: 'd.start' },
      { method: 'd.save_full_session' },
    ]);
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

  /** `load.raw` of each, several in a request; it loads them after it answered. */
  async #load(all: readonly Adding[]): Promise<void> {
    const small = all.filter(({ raw }) => raw.length <= LARGE_TORRENT);
    const answers = await this.#rpc.calls(small.map(({ params }) => ({ method: 'load.raw', params })));
    for (const [i, answer] of answers.entries()) if (answer instanceof AutotorrentError) small[i]?.fail(answer);
    for (const adding of all) {
      if (adding.raw.length <= LARGE_TORRENT) continue;
      try {
        await this.#rpc.callLarge('load.raw', adding.params);
      } catch (error) {
        if (!(error instanceof AutotorrentError)) throw error;
        // This one alone was too much for it, or for a proxy before it; or all is lost, which this throws.
        await this.describe();
        adding.fail(adding.raw.length * (4 / 3) < MAX_SCGI_BODY ? error : tooLong(adding.raw, error));
      }
    }
  }

  /** Until what was loaded is there: before or after the next request, one torrent after the other. */
  async #waitUntilLoaded(all: readonly Adding[]): Promise<void> {
    let pending = all;
    for (let wait = 5; pending.length > 0 && wait < 500; wait *= 1.5) {
      const marks = await this.#marksOf(pending);
      // Someone else added it between the question and the loading: it is theirs.
      for (const [adding, mark] of marks) {
        if (mark !== undefined && mark !== adding.mark) adding.result = { outcome: 'exists' };
      }
      const absent = [...marks].filter(([, mark]) => mark === undefined).map(([adding]) => adding);
      if (absent.length < pending.length) wait = 5;
      pending = absent;
      if (pending.length > 0) await sleep(wait);
    }
    if (pending.length === 0) return;
    const strangers = await this.#marked();
    for (const adding of pending) {
      const stranger = strangers.get(adding.mark);
      adding.fail(stranger === undefined ? this.#notTaken(adding) : this.#otherHash(stranger));
    }
  }

  #notTaken({ metainfo }: Adding): AutotorrentError {
    return failure(
      this.#rpc.endpoint,
      'did not take the torrent, and does not say why',
      metainfo.announce.length === 0
        ? 'The torrent names no tracker: rTorrent takes such a one only while its DHT is on.'
        : "See rTorrent's own log: it may find the torrent invalid.",
    );
  }

  #otherHash(hash: string): AutotorrentError {
    return failure(this.#rpc.endpoint, `computes another info hash for this torrent: ${quoted(hash.toLowerCase())}`);
  }

  /** Directory and label, and that they took; the names that differ. */
  async #settle(all: readonly Adding[]): Promise<void> {
    // The user's own rtorrent.rc may start every torrent that is inserted.
    const before = await this.#rpc.perTorrent(
      all.map(({ hash }) => hash),
      [{ method: 'd.state' }, { method: 'd.is_open' }],
    );
    const started = all.filter((_, i) => before[i]?.some((value) => integer(this.#rpc, value) !== 0) === true);
    if (started.length > 0) await this.stop(started.map(({ metainfo }) => metainfo.infoHash));

    const label = this.#label === undefined ? undefined : encodeURIComponent(this.#label);
    const rows = await this.#rpc.onTorrents(
      all.map(({ hash, request }) => ({
        hash,
        calls: [
          { method: 'd.directory.set', params: [asParam(request.directory)] },
          ...(label === undefined ? [] : [{ method: 'd.custom1.set', params: [label] }]),
          { method: 'f.multicall', params: ['', 'f.path=', 'f.size_bytes='] },
          { method: 'd.custom1' },
          { method: 'd.is_multi_file' },
          { method: 'd.directory_base' },
        ],
      })),
    );
    for (const [i, adding] of all.entries()) {
      adding.attempt(() => {
        const names = this.#namesOf(adding.request, label, rows[i]);
        adding.result = names === undefined ? { outcome: 'added' } : { outcome: 'added', names };
      });
    }
    // Last: what fails before this is found, and taken back, by the mark.
    await this.#rpc.perTorrent(
      all.filter(({ result }) => result?.outcome === 'added').map(({ hash }) => hash),
      [{ method: 'd.custom.set', params: [MARK, ''] }, { method: 'd.save_full_session' }],
    );
  }

  #namesOf(
    { metainfo, directory }: AddRequest,
    label: string | undefined,
    row: readonly unknown[] | AutotorrentError | undefined,
  ): readonly (readonly string[])[] | undefined {
    const endpoint = this.#rpc.endpoint;
    if (row instanceof AutotorrentError) throw row;
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
    return changedNames(endpoint, metainfo, names);
  }

  /** What our custom field of each holds; undefined where rTorrent does not have the torrent. */
  async #marksOf(all: readonly Adding[]): Promise<Map<Adding, string | undefined>> {
    const rows = await this.#rpc.perTorrent(
      all.map(({ hash }) => hash),
      [{ method: 'd.custom', params: [MARK] }],
    );
    return new Map(
      all.map((adding, i) => {
        const row = rows[i];
        return [adding, row === undefined ? undefined : text(this.#rpc, row[0])];
      }),
    );
  }

  /** Mark to info hash of what was loaded with a mark and not settled, whatever rTorrent computed the hash to be. */
  async #marked(): Promise<Map<string, string>> {
    const rows = listOf(this.#rpc, await this.#rpc.call('d.multicall2', ['', 'main', 'd.hash=', `d.custom=${MARK}`]));
    return new Map(
      rows
        .map((row) => listOf(this.#rpc, row))
        .map(([hash, mark]) => [text(this.#rpc, mark), text(this.#rpc, hash)] as const)
        .filter(([mark]) => mark !== ''),
    );
  }

  async #discard(all: readonly Adding[]): Promise<void> {
    try {
      const marked = await this.#marked();
      const ours = all.map(({ mark }) => marked.get(mark)).filter((hash) => hash !== undefined);
      // Those that were settled in an earlier request have no mark any more.
      const settled = all.filter(({ result }) => result?.outcome === 'added').map(({ hash }) => hash);
      await this.remove([...ours, ...settled]);
    } catch {
      // It could not be reached a second time: the first error says more.
    }
  }
}

/** A torrent on its way into rTorrent: `result` is undefined as long as it goes on. */
class Adding {
  readonly request: AddRequest;
  readonly metainfo: Metainfo;
  /** As rTorrent writes it. */
  readonly hash: string;
  /** In a custom field of the torrent from the moment on at which it is there. */
  readonly mark = randomUUID();
  result: AddResult | undefined;
  #raw: Buffer | undefined;

  constructor(request: AddRequest) {
    this.request = request;
    this.metainfo = request.metainfo;
    this.hash = upper(request.metainfo.infoHash);
  }

  /** The .torrent, with what rTorrent is told of it. */
  get raw(): Buffer {
    this.#raw ??= withResume(this.request);
    return this.#raw;
  }

  get params(): XmlRpcParam[] {
    return ['', this.raw, `d.custom.set=${MARK},${this.mark}`];
  }

  fail(error: AutotorrentError): void {
    this.result = { outcome: 'failed', error };
  }

  /** What `work` throws on purpose is this torrent's failure. */
  attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof AutotorrentError)) throw error;
      this.fail(error);
    }
  }
}

const unsettled = (all: readonly Adding[]): Adding[] => all.filter(({ result }) => result === undefined);

function withResume({ metainfo, resume }: AddRequest): Buffer {
  const told = resume === undefined ? undefined : libtorrentResume(metainfo, resume);
  return told === undefined ? metainfo.raw : withTopLevelKey(metainfo.raw, 'libtorrent_resume', told);
}

function tooLong(raw: Buffer, cause: AutotorrentError): AutotorrentError {
  return new AutotorrentError(
    'UNSUPPORTED',
    `rTorrent takes requests of up to ${MAX_SCGI_BODY >> 20} MiB, and this .torrent (${raw.length} bytes) makes a longer one`,
    { hint: 'Add the .torrent in rTorrent itself, or use another client for it.', cause },
  );
}

const upper = (infoHash: string): string => infoHash.toUpperCase();

/** Why rTorrent cannot seed the torrent from the mount; undefined where it can. */
function unservable(metainfo: Metainfo): AutotorrentError | undefined {
  const unsupported = (what: string): AutotorrentError =>
    new AutotorrentError('UNSUPPORTED', what, { hint: 'Use another client for this torrent.' });
  if (metainfo.version === 'v2') {
    return unsupported('rTorrent does not know BitTorrent v2 torrents, and ignores them silently');
  }
  const paths = new Set<string>();
  for (const { rawPath } of metainfo.files) {
    const path = rawPath.join('/');
    if (paths.has(path)) {
      return unsupported(`rTorrent opens no torrent that has two files under one name: ${JSON.stringify(path)}`);
    }
    paths.add(path);
  }
  for (const name of [metainfo.rawName, ...metainfo.files.flatMap((file) => file.rawPath)]) {
    if (isUtf8(name)) continue;
    return unsupported(
      `rTorrent looks for the name ${JSON.stringify(name.toString('latin1'))} under bytes that are not UTF-8, which the mount cannot show`,
    );
  }
  return undefined;
}

/** `row` holds the values of `STATE_FIELDS`. */
function stateOf(rpc: RtorrentRpc, row: readonly unknown[]): TorrentState {
  const field = (name: (typeof STATE_FIELDS)[number]): unknown => row[STATE_FIELDS.indexOf(name)];
  const number = (name: (typeof STATE_FIELDS)[number]): number => integer(rpc, field(name));
  const infoHash = text(rpc, field('d.hash')).toLowerCase();
  if (!/^[0-9a-f]{40}$/.test(infoHash)) throw failure(rpc.endpoint, 'answered with an info hash that is none');

  const complete = number('d.complete') !== 0;
  // It keeps quiet about a check that failed (a file that cannot be read), and goes on to say that it checks.
  const failed = number('d.hashing_failed') !== 0;
  const checking = number('d.hashing') !== 0 && !failed;
  const said = text(rpc, field('d.message'));
  const message = failed ? 'its check failed: it could not open or read a file' : said;
  const share = checking
    ? number('d.chunks_hashed') / number('d.size_chunks')
    : number('d.completed_bytes') / number('d.size_bytes');
  const activity: TorrentActivity = checking
    ? 'checking'
    : number('d.is_active') !== 0
      ? complete
        ? 'seeding'
        : 'downloading'
      : number('d.state') === 0
        ? said === LOST_FILES && !complete
          ? 'error'
          : 'stopped'
        : failed
          ? 'error'
          : 'queued';
  return {
    infoHash,
    name: text(rpc, field('d.name')),
    activity,
    progress: complete && !checking ? 1 : Number.isFinite(share) ? Math.min(1, Math.max(0, share)) : 0,
    ...(message === '' ? {} : { message: quoted(message) }),
  };
}
