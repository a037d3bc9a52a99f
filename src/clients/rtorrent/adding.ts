/**
 * Adding torrents to rTorrent.
 *
 * `load.raw` answers 0 whatever becomes of the torrent (garbage, a duplicate, a failing command), and loads it after it
 * answered. So each torrent is loaded with a mark of ours in a custom field, which shows that it is there, and that it
 * is ours. The mark is emptied last: what fails before that is found by it, and removed.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { AutotorrentError } from '../../errors.ts';
import { withTopLevelKey } from '../../metainfo/top-level-key.ts';
import type { AddSteps } from '../adding/add-all.ts';
import { Adding } from '../adding/adding.ts';
import { misplaced, withoutSlash } from '../adding/directory.ts';
import { changedNames, pathComponents } from '../adding/names.ts';
import type { AddRequest, TorrentClient } from '../client.ts';
import { byWeight } from '../wire/batches.ts';
import { failure, quoted } from '../wire/exchange.ts';
import type { XmlRpcParam } from '../wire/xml-rpc.ts';
import { libtorrentResume } from './resume.ts';
import { REQUEST_BYTES, type RtorrentRpc } from './rpc.ts';
import { asParam, isSpellingOf } from './spelling.ts';
import { unservable } from './unservable.ts';
import { integer, listOf, text } from './values.ts';

/** The longest request over SCGI (rTorrent 0.9.8, `rpc/scgi_task.h`): beyond, it closes the connection. */
const MAX_SCGI_BODY = 16 * 1024 * 1024;
/** A .torrent beyond this has a request of its own, in bytes: in base64 it comes near rTorrent's limit. */
const LARGE_TORRENT = (REQUEST_BYTES * 3) / 4;
/** Files in one reply: some 200 bytes each. */
const FILES_A_CALL = 100_000;
const MARK = 'autotorrent';
/** How long to wait for the next torrent to appear: after each look half as long again, from the first to the last. */
const FIRST_WAIT_MS = 5;
const LAST_WAIT_MS = 500;

export class RtorrentAdding extends Adding {
  /** The info hash as rTorrent writes it. */
  readonly hash: string;
  /** In a custom field of the torrent from the moment on at which it is there. */
  readonly mark = randomUUID();
  #raw: Buffer | undefined;

  constructor(request: AddRequest) {
    super(request);
    this.hash = request.metainfo.infoHash.toUpperCase();
  }

  /** The .torrent, with `libtorrent_resume` in it. */
  get raw(): Buffer {
    this.#raw ??= withResume(this.request);
    return this.#raw;
  }

  get params(): XmlRpcParam[] {
    return ['', this.raw, `d.custom.set=${MARK},${this.mark}`];
  }
}

export class RtorrentAddSteps implements AddSteps<RtorrentAdding> {
  readonly #rpc: RtorrentRpc;
  readonly #label: string | undefined;
  readonly #client: Pick<TorrentClient, 'describe' | 'stop' | 'remove'>;

  constructor(
    rpc: RtorrentRpc,
    label: string | undefined,
    client: Pick<TorrentClient, 'describe' | 'stop' | 'remove'>,
  ) {
    this.#rpc = rpc;
    // As ruTorrent writes and reads it.
    this.#label = label === undefined ? undefined : encodeURIComponent(label);
    this.#client = client;
  }

  readonly unsupported = unservable;

  async present(all: readonly RtorrentAdding[]): Promise<Set<string>> {
    const marks = await this.#marksOf(all);
    return new Set([...marks].flatMap(([{ metainfo }, mark]) => (mark === undefined ? [] : [metainfo.infoHash])));
  }

  async load(all: readonly RtorrentAdding[]): Promise<void> {
    await this.#send(all);
    await this.#waitUntilLoaded(all.filter(({ result }) => result === undefined));
  }

  async settle(all: readonly RtorrentAdding[]): Promise<void> {
    for (const some of byWeight(all, FILES_A_CALL, ({ metainfo }) => metainfo.files.length)) {
      await this.#settle(some);
    }
  }

  async discard(all: readonly RtorrentAdding[]): Promise<void> {
    const marked = await this.#marked();
    const ours = all.map(({ mark }) => marked.get(mark)).filter((hash) => hash !== undefined);
    // Those that were settled in an earlier request have no mark any more.
    const settled = all.filter(({ result }) => result?.outcome === 'added').map(({ hash }) => hash);
    await this.#client.remove([...ours, ...settled]);
  }

  /** `load.raw` of each, several in a request. */
  async #send(all: readonly RtorrentAdding[]): Promise<void> {
    for (const adding of all) adding.sent();
    const small = all.filter(({ raw }) => raw.length <= LARGE_TORRENT);
    const answers = await this.#rpc.calls(small.map(({ params }) => ({ method: 'load.raw', params })));
    for (const [i, answer] of answers.entries()) if (answer instanceof AutotorrentError) small[i]?.failed(answer);
    for (const adding of all) {
      if (adding.raw.length <= LARGE_TORRENT) continue;
      try {
        await this.#rpc.callLarge('load.raw', adding.params);
      } catch (error) {
        if (!(error instanceof AutotorrentError)) throw error;
        // Either this one alone was too much for rTorrent, or for a proxy in front of it; or rTorrent is gone: this throws.
        await this.#client.describe();
        adding.failed(adding.raw.length * (4 / 3) < MAX_SCGI_BODY ? error : tooLong(adding.raw, error));
      }
    }
  }

  /** rTorrent loads one torrent after the other, some of them after it has answered further requests. */
  async #waitUntilLoaded(all: readonly RtorrentAdding[]): Promise<void> {
    let pending = all;
    for (let wait = FIRST_WAIT_MS; pending.length > 0 && wait < LAST_WAIT_MS; wait *= 1.5) {
      const marks = await this.#marksOf(pending);
      for (const [adding, mark] of marks) {
        // Someone else added it between the question and the loading: it is theirs.
        if (mark !== undefined && mark !== adding.mark) adding.exists();
      }
      const absent = [...marks].filter(([, mark]) => mark === undefined).map(([adding]) => adding);
      if (absent.length < pending.length) wait = FIRST_WAIT_MS;
      pending = absent;
      if (pending.length > 0) await sleep(wait);
    }
    if (pending.length === 0) return;
    const strangers = await this.#marked();
    for (const adding of pending) {
      const stranger = strangers.get(adding.mark);
      adding.failed(stranger === undefined ? this.#notTaken(adding) : this.#otherHash(stranger));
    }
  }

  #notTaken({ metainfo }: RtorrentAdding): AutotorrentError {
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

  async #settle(all: readonly RtorrentAdding[]): Promise<void> {
    // The user's own rtorrent.rc may start every torrent that is inserted.
    const before = await this.#rpc.perTorrent(
      all.map(({ hash }) => hash),
      [{ method: 'd.state' }, { method: 'd.is_open' }],
    );
    const started = all.filter((_, i) => before[i]?.some((value) => integer(this.#rpc, value) !== 0) === true);
    if (started.length > 0) await this.#client.stop(started.map(({ metainfo }) => metainfo.infoHash));

    const label = this.#label;
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
      await adding.attempt(() => adding.added(this.#namesOf(adding.request, rows[i])));
    }
    await this.#rpc.perTorrent(
      all.filter(({ result }) => result?.outcome === 'added').map(({ hash }) => hash),
      [{ method: 'd.custom.set', params: [MARK, ''] }, { method: 'd.save_full_session' }],
    );
  }

  #namesOf(
    { metainfo, directory }: AddRequest,
    row: readonly unknown[] | AutotorrentError | undefined,
  ): readonly (readonly string[])[] | undefined {
    const endpoint = this.#rpc.endpoint;
    if (row instanceof AutotorrentError) throw row;
    if (row === undefined) throw failure(endpoint, 'lost the torrent while it was added');
    const [files, tag, multi, base] = row.slice(-4);
    const folder = withoutSlash(directory);
    const root = withoutSlash(text(this.#rpc, base));
    // For several files the folder is that of the torrent's name: the raw one, and `name.utf-8` if a version uses it.
    const tops = integer(this.#rpc, multi) === 0 ? [''] : [`${metainfo.rawName.toString()}/`, `${metainfo.name}/`];
    const top = tops.find((name) => isSpellingOf(root, `${folder}/${name}`.slice(0, -1)));
    if (top === undefined) throw misplaced(endpoint, root, folder);
    if (this.#label !== undefined && text(this.#rpc, tag) !== this.#label) {
      throw failure(endpoint, 'did not take the label');
    }
    const names = listOf(this.#rpc, files).map((file, i) => {
      const [path, size] = listOf(this.#rpc, file);
      const reply = text(this.#rpc, path);
      const { rawPath = [], path: shown = [] } = metainfo.files[i] ?? {};
      const own = [rawPath.join('/'), shown.join('/')].find((name) => isSpellingOf(reply, name));
      return { path: pathComponents(endpoint, `${top}${own ?? reply}`), length: integer(this.#rpc, size) };
    });
    return changedNames(endpoint, metainfo, names);
  }

  /** The mark of each, empty once it is settled; undefined where rTorrent does not have the torrent. */
  async #marksOf(all: readonly RtorrentAdding[]): Promise<Map<RtorrentAdding, string | undefined>> {
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

  /** Mark to info hash of all that was loaded with a mark and not settled, whatever hash rTorrent computed for it. */
  async #marked(): Promise<Map<string, string>> {
    const rows = listOf(this.#rpc, await this.#rpc.call('d.multicall2', ['', 'main', 'd.hash=', `d.custom=${MARK}`]));
    return new Map(
      rows
        .map((row) => listOf(this.#rpc, row))
        .map(([hash, mark]) => [text(this.#rpc, mark), text(this.#rpc, hash)] as const)
        .filter(([mark]) => mark !== ''),
    );
  }
}

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
