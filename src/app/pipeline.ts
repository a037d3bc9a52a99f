/**
 * The order of the work of `add`: torrents are read in windows, planned side by side, and settled in rounds of ready ones,
 * while the next are planned.
 *
 *     read ─► wanted? ─► planned (matched, hashed) ─► ready ─► a round ─► settled: its outcome is known
 *
 * - A torrent that is hashed for an hour holds up no other. Outcomes still come in the order of the torrents.
 * - A round takes all ready torrents: calls to the server and the client cost about as much for one as for a hundred. It
 *   waits a moment for more, unless everything that was read is ready.
 * - Memory is bounded: a fixed number of torrents, and what they weigh together (`weight.ts`: files, pieces, bytes), are
 *   between read and settled. A torrent that is heavier than that goes alone. One that does not fit into the process at all is
 *   refused before it is parsed. An outcome that waits for earlier ones is small.
 * - A torrent whose info hash is already on its way waits until that one is settled.
 * - After a failure that concerns all, or when stopped, planned torrents are dropped: nothing of them exists anywhere yet. A
 *   round that has begun ends by itself. Then the known outcomes are given, and the failure is thrown.
 */
import { AutotorrentError } from '../errors.ts';
import type { ParsedTorrent, ReadTorrent, TorrentFile } from './torrent-files.ts';
import { type Room, roomForTorrents, weightOf } from './weight.ts';

/** Torrents that are read together: index, server and client are asked about all of them in one call. */
const WINDOW = 100;
/** Torrents between read and settled, plus one window. */
const MOST = 400;
/** Torrents of one round. */
const ROUND = 200;
/** Milliseconds for which a round waits for more torrents. */
const LINGER_MS = 50;

/** A torrent that only a round can settle; `planned` is undefined for one that was not wanted. */
export interface Ready<Planned> {
  readonly torrent: ParsedTorrent;
  readonly planned: Planned | undefined;
}

export interface Steps<Planned, Outcome> {
  /** Reads a torrent; before it takes memory it awaits `room` for as much as it may weigh. */
  read(torrent: TorrentFile, room: (weight: number) => Promise<void>): Promise<ReadTorrent>;
  /** Gives those of `torrents` that should be planned. */
  wanted(torrents: readonly ParsedTorrent[]): Promise<ReadonlySet<ParsedTorrent>>;
  plan(torrent: ParsedTorrent): Promise<Planned>;
  /** Settles each of `ready`, all with different info hashes, as soon as it can; it throws only failures that concern all. */
  round(ready: readonly Ready<Planned>[], settle: (torrent: ParsedTorrent, outcome: Outcome) => void): Promise<void>;
  /** Gives the outcome of a torrent that cannot be read or planned. */
  failed(torrent: ReadTorrent, error: Error): Outcome;
  /** Reports how many torrents have been read. */
  onRead?(count: number): void;
}

/**
 * Gives the outcomes of `torrents`, in their order. `stop` is aborted when a failure concerns all, or when the caller leaves;
 * the caller aborts it to stop. Throws that failure, or the reason of the signal.
 */
export async function* pipeline<Planned, Outcome>(
  torrents: readonly TorrentFile[],
  steps: Steps<Planned, Outcome>,
  stop: AbortController,
  room: Room = roomForTorrents(),
): AsyncGenerator<Outcome> {
  const run = new Run(torrents, steps, stop, room);
  const ended = run.start();
  try {
    yield* run.outcomes();
    await ended;
  } finally {
    stop.abort(new Error('nobody waits for the outcomes'));
    await ended;
  }
  if (run.failure !== undefined) throw run.failure.error;
}

interface UnderWay {
  readonly place: number;
  readonly weight: number;
}

class Run<Planned, Outcome> {
  failure: { readonly error: unknown } | undefined;
  readonly #torrents: readonly TorrentFile[];
  readonly #steps: Steps<Planned, Outcome>;
  readonly #stop: AbortController;
  /** Torrents that were read and are not settled. */
  readonly #underWay = new Map<ParsedTorrent, UnderWay>();
  readonly #room: Room;
  #weight = 0;
  #ready: Ready<Planned>[] = [];
  /** By info hash: torrents that wait for the one that is on its way. */
  readonly #repeats = new Map<string, ParsedTorrent[]>();
  /** By place: outcomes that are known and not given yet. */
  readonly #outcomes = new Map<number, Outcome>();
  /** Planning, and admitting repeats: awaited at the end. */
  readonly #work = new Set<Promise<void>>();
  #allRead = false;
  #ended = false;
  #waiting: (() => void)[] = [];

  constructor(torrents: readonly TorrentFile[], steps: Steps<Planned, Outcome>, stop: AbortController, room: Room) {
    this.#room = room;
    this.#torrents = torrents;
    this.#steps = steps;
    this.#stop = stop;
  }

  /** Never rejects; resolves when nothing runs any longer. */
  async start(): Promise<void> {
    const { signal } = this.#stop;
    const onAbort = (): void => this.#fail(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    await Promise.all([this.#guarded(this.#readAll()), this.#guarded(this.#roundAfterRound())]);
    while (this.#work.size > 0) await Promise.all(this.#work);
    signal.removeEventListener('abort', onAbort);
    this.#ended = true;
    this.#changed();
  }

  /** Gives outcomes in order; after a failure it skips those that are not known. */
  async *outcomes(): AsyncGenerator<Outcome> {
    for (let place = 0; place < this.#torrents.length; ) {
      const outcome = this.#outcomes.get(place);
      if (outcome === undefined && !this.#ended) {
        await this.#change();
        continue;
      }
      this.#outcomes.delete(place++);
      if (outcome !== undefined) yield outcome;
    }
  }

  async #readAll(): Promise<void> {
    for (let next = 0; next < this.#torrents.length; ) {
      await this.#until(() => this.#underWay.size <= MOST);
      if (this.failure !== undefined) return;
      const window: ParsedTorrent[] = [];
      for (; next < this.#torrents.length && window.length < WINDOW; next++) {
        const torrent = this.#torrents[next];
        if (torrent === undefined) continue;
        const read = await this.#steps.read(torrent, (weight) => this.#makeRoom(weight, window));
        if (this.failure !== undefined) return;
        if (read.error !== undefined) {
          this.#outcomes.set(next, this.#steps.failed(read, read.error));
          continue;
        }
        const weight = weightOf(read.metainfo);
        this.#underWay.set(read, { place: next, weight });
        this.#weight += weight;
        const repeats = this.#repeats.get(read.metainfo.infoHash);
        if (repeats !== undefined) repeats.push(read);
        else {
          this.#repeats.set(read.metainfo.infoHash, []);
          window.push(read);
        }
      }
      this.#steps.onRead?.(next);
      this.#changed();
      await this.#admit(window);
    }
    this.#allRead = true;
    this.#changed();
  }

  /** Waits until a torrent of this weight may be under way, or is alone. The torrents of the window go on meanwhile. */
  async #makeRoom(weight: number, window: ParsedTorrent[]): Promise<void> {
    if (this.#weight + weight <= this.#room.all) return;
    await this.#admit(window.splice(0));
    await this.#until(() => this.#underWay.size === 0 || this.#weight + weight <= this.#room.all);
  }

  async #admit(torrents: readonly ParsedTorrent[]): Promise<void> {
    if (torrents.length === 0 || this.failure !== undefined) return;
    const wanted = await this.#steps.wanted(torrents);
    for (const torrent of torrents) {
      if (wanted.has(torrent)) this.#begin(this.#plan(torrent));
      else this.#ready.push({ torrent, planned: undefined });
    }
    this.#changed();
  }

  async #plan(torrent: ParsedTorrent): Promise<void> {
    try {
      this.#ready.push({ torrent, planned: await this.#steps.plan(torrent) });
    } catch (error) {
      // A failure of the index concerns all; any other is this torrent's own.
      if (this.#stop.signal.aborted || error instanceof AutotorrentError || !(error instanceof Error)) throw error;
      this.#settle(torrent, this.#steps.failed(torrent, error));
    }
    this.#changed();
  }

  async #roundAfterRound(): Promise<void> {
    for (;;) {
      await this.#until(() => this.#ready.length > 0 || (this.#allRead && this.#underWay.size === 0));
      if (this.failure !== undefined || this.#ready.length === 0) return;
      await this.#linger();
      if (this.failure !== undefined) return;
      const round = this.#ready.splice(0, ROUND);
      await this.#steps.round(round, (torrent, outcome) => this.#settle(torrent, outcome));
      const left = round.find(({ torrent }) => this.#underWay.has(torrent));
      if (left !== undefined) throw new Error(`nothing became of ${left.torrent.path}`);
    }
  }

  /** Waits until a round is full, or everything that was read is ready, or a moment has passed. */
  async #linger(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    let over = false;
    timer = setTimeout(() => {
      over = true;
      this.#changed();
    }, LINGER_MS);
    await this.#until(
      () => over || this.#ready.length >= ROUND || (this.#allRead && this.#ready.length === this.#underWay.size),
    );
    clearTimeout(timer);
  }

  #settle(torrent: ParsedTorrent, outcome: Outcome): void {
    const known = this.#underWay.get(torrent);
    if (known === undefined) throw new Error(`${torrent.path} is settled twice`);
    this.#underWay.delete(torrent);
    this.#weight -= known.weight;
    this.#outcomes.set(known.place, outcome);
    const { infoHash } = torrent.metainfo;
    const repeat = this.#repeats.get(infoHash)?.shift();
    if (repeat === undefined) this.#repeats.delete(infoHash);
    else this.#begin(this.#admit([repeat]));
    this.#changed();
  }

  #begin(work: Promise<void>): void {
    const guarded = this.#guarded(work);
    this.#work.add(guarded);
    void guarded.then(() => this.#work.delete(guarded));
  }

  async #guarded(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.failure !== undefined || this.#ended) return;
    this.failure = { error };
    this.#stop.abort(error);
    this.#changed();
  }

  /** Resolves when `condition` holds, or after a failure. */
  async #until(condition: () => boolean): Promise<void> {
    while (this.failure === undefined && !condition()) await this.#change();
  }

  async #change(): Promise<void> {
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #changed(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }
}
