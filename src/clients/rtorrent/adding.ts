/**
 * Adding torrents to rTorrent.
 *
 * `load.raw` answers 0 whatever becomes of the torrent (garbage, a duplicate, a failing command), and loads it after it
 * answered. So each torrent is loaded with a mark of ours in a custom field, which shows that it is there, and that it
 * is ours. The mark is emptied last: what fails before that is found by it, and removed.
 *
 * rTorrent writes three files of its session when it inserts a torrent, after the commands that came with `load.raw`. So
 * directory and label are among those: to set them later would cost another three files.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { AutotorrentError } from '../../errors.ts';
import type { Metainfo } from '../../metainfo/metainfo.ts';
import { withTopLevelKey } from '../../metainfo/top-level-key.ts';
import type { AddSteps } from '../adding/add-all.ts';
import { Adding } from '../adding/adding.ts';
import { misplaced, withoutSlash } from '../adding/directory.ts';
import { Asked, changedNames, pathComponents } from '../adding/names.ts';
import type { AddRequest, TorrentClient } from '../client.ts';
import { A_FILE, MOST_TORRENTS, SHORT, sumOf, times } from '../wire/allowance.ts';
import { byWeight } from '../wire/batches.ts';
import { failure, quoted } from '../wire/exchange.ts';
import type { XmlRpcParam } from '../wire/xml-rpc.ts';
import { presentIn } from './present.ts';
import { libtorrentResume } from './resume.ts';
import { REQUEST_BYTES, type RtorrentCall, type RtorrentRpc, type TorrentCalls } from './rpc.ts';
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
/** Text that means itself between quotes in a command of rTorrent. A `$` at its beginning would be a command. */
const PLAIN = /^(?!\$)(?!.*["\\])[\x20-\x7e\xa0-\ud7ff]+$/;
/** How long to wait for the next torrent to appear: after each look half as long again, from the first to the last. */
const FIRST_WAIT_MS = 5;
const LAST_WAIT_MS = 500;

type Row = readonly unknown[] | AutotorrentError | undefined;

/** Info hash and mark of a torrent. */
const A_MARK = { bytes: 512, values: 3, lists: 1 };

/** Whether it runs, its files, its label and its place. `Row`s end with their values. */
function placed({ files }: Metainfo): RtorrentCall[] {
  return [
    { method: 'd.state' },
    { method: 'd.is_open' },
    { method: 'f.multicall', params: ['', 'f.path=', 'f.size_bytes='], beside: times(files.length, A_FILE) },
    { method: 'd.custom1' },
    { method: 'd.is_multi_file' },
    { method: 'd.directory_base' },
  ];
}

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

  /** Of `load.raw`. `label`: as rTorrent keeps it. */
  params(label: string | undefined): XmlRpcParam[] {
    const { directory } = this.request;
    return [
      '',
      this.raw,
      `d.custom.set=${MARK},${this.mark}`,
      // What rTorrent's parser may read as something else is set once the torrent is there, as a parameter of its own.
      ...(PLAIN.test(directory) ? [`d.directory.set="${directory}"`] : []),
      ...(label === undefined || !PLAIN.test(label) ? [] : [`d.custom1.set="${label}"`]),
    ];
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
    const there = await presentIn(this.#rpc);
    return new Set(all.map(({ metainfo }) => metainfo.infoHash).filter((infoHash) => there.has(infoHash)));
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
    const answers = await this.#rpc.calls(
      small.map((adding) => ({ method: 'load.raw', params: adding.params(this.#label) })),
    );
    for (const [i, answer] of answers.entries()) if (answer instanceof AutotorrentError) small[i]?.failed(answer);
    for (const adding of all) {
      if (adding.raw.length <= LARGE_TORRENT) continue;
      try {
        await this.#rpc.callLarge('load.raw', adding.params(this.#label));
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
    const label = this.#label;
    const rows = await this.#rpc.onTorrents(all.map(({ hash, metainfo }) => ({ hash, calls: placed(metainfo) })));
    // The user's own rtorrent.rc may start every torrent that is inserted.
    const started = all.filter((_, i) => isStarted(this.#rpc, rows[i]));
    if (started.length > 0) await this.#client.stop(started.map(({ metainfo }) => metainfo.infoHash));
    // What was not set with `load.raw`, or was changed since by that rtorrent.rc.
    const elsewhere = all.flatMap((adding, i) => (this.#isPlaced(adding.request, rows[i]) ? [] : [i]));
    const again = await this.#rpc.onTorrents(
      elsewhere.flatMap((i): TorrentCalls[] => {
        const adding = all[i];
        if (adding === undefined) return [];
        return [
          {
            hash: adding.hash,
            calls: [
              { method: 'd.directory.set', params: [asParam(adding.request.directory)] },
              ...(label === undefined ? [] : [{ method: 'd.custom1.set', params: [label] }]),
              { method: 'd.save_full_session' },
              ...placed(adding.metainfo),
            ],
          },
        ];
      }),
    );
    const settled = [...rows];
    for (const [at, i] of elsewhere.entries()) settled[i] = again[at];
    for (const [i, adding] of all.entries()) {
      await adding.attempt(() => adding.added(this.#namesOf(adding.request, settled[i])));
    }
    // In the session the mark may stay: it is of this call alone.
    await this.#rpc.perTorrent(
      all.filter(({ result }) => result?.outcome === 'added').map(({ hash }) => hash),
      [{ method: 'd.custom.set', params: [MARK, ''] }],
    );
  }

  #isPlaced({ metainfo, directory }: AddRequest, row: Row): boolean {
    // It is gone, or something is wrong with it: there is nothing to set.
    if (row === undefined || row instanceof AutotorrentError) return true;
    const [tag] = row.slice(-3);
    if (this.#label !== undefined && text(this.#rpc, tag) !== this.#label) return false;
    return this.#topOf(metainfo, directory, row) !== undefined;
  }

  /** The torrent's own folder, with a `/`, or '' for a single file; undefined where it lies elsewhere than in `directory`. */
  #topOf(metainfo: Metainfo, directory: string, row: readonly unknown[]): string | undefined {
    const [multi, base] = row.slice(-2);
    const folder = withoutSlash(directory);
    const root = withoutSlash(text(this.#rpc, base));
    // For several files the folder is that of the torrent's name: the raw one, and `name.utf-8` if a version uses it.
    const tops =
      integer(this.#rpc, multi) === 0 ? [''] : [topNamed(metainfo.rawName.toString()), topNamed(metainfo.name)];
    return tops.find((name) => isSpellingOf(root, withoutSlash(`${folder}/${name}`)));
  }

  #namesOf({ metainfo, directory }: AddRequest, row: Row): readonly (readonly string[])[] | undefined {
    const endpoint = this.#rpc.endpoint;
    if (row instanceof AutotorrentError) throw row;
    if (row === undefined) throw failure(endpoint, 'lost the torrent while it was added');
    const [files, tag, , base] = row.slice(-4);
    const top = this.#topOf(metainfo, directory, row);
    if (top === undefined) throw misplaced(endpoint, withoutSlash(text(this.#rpc, base)), withoutSlash(directory));
    if (this.#label !== undefined && text(this.#rpc, tag) !== this.#label) {
      throw failure(endpoint, 'did not take the label');
    }
    const asked = new Asked(endpoint, { metainfo, directory });
    const names = listOf(this.#rpc, files).map((file, i) => {
      const [path, size] = listOf(this.#rpc, file);
      const reply = text(this.#rpc, path);
      // An empty string in the torrent's path is two slashes here, and one to the kernel.
      const told = reply.replaceAll(/\/{2,}/g, '/').replace(/^\//, '');
      const { rawPath = [], path: shown = [] } = metainfo.files[i] ?? {};
      const own = [rawPath.join('/'), shown.join('/')].find((name) => isSpellingOf(told, name));
      return {
        path: pathComponents(asked, `${top}${own ?? told}`),
        length: integer(this.#rpc, size),
      };
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
    const allowed = sumOf(SHORT, times(MOST_TORRENTS, A_MARK));
    const params = ['', 'main', 'd.hash=', `d.custom=${MARK}`];
    const rows = listOf(this.#rpc, await this.#rpc.call('d.multicall2', params, allowed));
    return new Map(
      rows
        .map((row) => listOf(this.#rpc, row))
        .map(([hash, mark]) => [text(this.#rpc, mark), text(this.#rpc, hash)] as const)
        .filter(([mark]) => mark !== ''),
    );
  }
}

/** An empty name adds no folder: the torrent's files lie in `directory` itself. */
const topNamed = (name: string): string => (name === '' ? '' : `${name}/`);

function isStarted(rpc: RtorrentRpc, row: Row): boolean {
  if (row === undefined || row instanceof AutotorrentError) return false;
  return row.slice(0, 2).some((value) => integer(rpc, value) !== 0);
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
