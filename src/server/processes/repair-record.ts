/**
 * Records in `state_path` which repairs are under way, and what was spent of `repair_limit` (docs/sources.md, "What is
 * lost").
 *
 * One process at a time writes it: the server starts one child after the other.
 */
import { readSmallFile } from '../../bytes/read-file.ts';
import { AutotorrentError, errnoOf, messageOf } from '../../errors.ts';
import { jsonText } from '../../printable.ts';
import { replaceDurably } from './replace-durably.ts';

const STEPS = ['ask', 'stop', 'gaps', 'make', 'check', 'wait', 'start'] as const;

/** A repair that has begun: its torrent is to be stopped, or is stopped, by us. */
export interface RepairJob {
  /** The step to do next; docs/sources.md explains each. */
  readonly next: (typeof STEPS)[number];
  /** The client sections in which the torrent ran, and is to be started. */
  readonly running: readonly string[];
  /** Bytes of the gaps that were made, or, if they came back, that were mapped. */
  readonly bytes: number;
  /** Absent: bytes are lost. Else they came back: `found`, and mapped by the repair, or `mapped` before. */
  readonly returned?: 'found' | 'mapped';
  /** The process id of the server under which the check began: an unmount ends a check. */
  readonly server?: number;
  /** How often the clients were told to check. */
  readonly checks?: number;
}

/** What a day's repairs have spent. */
interface Spending {
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  readonly bytes: number;
}

/** Bytes: room for the repairs of more than 100,000 torrents. */
const LARGEST_RECORD = 64 * 1024 * 1024;
const DAY_MS = 24 * 60 * 60_000;
/** Spendings within so many milliseconds are written as one. */
const TOGETHER_MS = 60_000;

export class RepairRecord {
  readonly #path: string;
  readonly #jobs: Map<string, RepairJob>;
  #spent: readonly Spending[];

  private constructor(path: string, jobs: Map<string, RepairJob>, spent: readonly Spending[]) {
    this.#path = path;
    this.#jobs = jobs;
    this.#spent = spent;
  }

  /** Reads the record; `onDamage` hears why a file cannot be used. @throws AutotorrentError('STORE') */
  static read(path: string, onDamage: (message: string) => void): RepairRecord {
    let text: string;
    try {
      text = readSmallFile(path, LARGEST_RECORD).toString();
    } catch (cause) {
      if (errnoOf(cause) === 'ENOENT') return new RepairRecord(path, new Map(), []);
      throw new AutotorrentError('STORE', `${path} cannot be read: ${messageOf(cause)}`, { cause });
    }
    const found = parse(text);
    if (found === undefined) {
      onDamage(`${path} is damaged: check and start the torrents that a repair has stopped yourself`);
    }
    return new RepairRecord(path, found?.jobs ?? new Map(), found?.spent ?? []);
  }

  /** Info hashes of the torrents that are being repaired. */
  get infoHashes(): string[] {
    return [...this.#jobs.keys()];
  }

  of(infoHash: string): RepairJob | undefined {
    return this.#jobs.get(infoHash);
  }

  /** The bytes that were spent in the 24 hours before `nowMs`. A spending in the future, after the clock was set back, counts. */
  spent(nowMs: number): number {
    return this.#recent(nowMs).reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Records a job durably, and with it `spending` bytes. @throws AutotorrentError('STORE') */
  async set(infoHash: string, job: RepairJob, spending = 0, nowMs: number = Date.now()): Promise<void> {
    this.#jobs.set(infoHash, job);
    if (spending > 0) this.#spend(spending, nowMs);
    await this.#write();
  }

  /** Records that a repair is over, durably. @throws AutotorrentError('STORE') */
  async done(infoHash: string): Promise<void> {
    if (this.#jobs.delete(infoHash)) await this.#write();
  }

  #recent(nowMs: number): readonly Spending[] {
    return this.#spent.filter(({ atMs }) => nowMs - atMs < DAY_MS);
  }

  #spend(bytes: number, nowMs: number): void {
    const recent = this.#recent(nowMs);
    const last = recent.at(-1);
    this.#spent =
      last !== undefined && Math.abs(nowMs - last.atMs) < TOGETHER_MS
        ? [...recent.slice(0, -1), { atMs: last.atMs, bytes: last.bytes + bytes }]
        : [...recent, { atMs: nowMs, bytes }];
  }

  async #write(): Promise<void> {
    const spent = this.#spent.map(({ atMs, bytes }) => ({ at_ms: atMs, bytes }));
    await replaceDurably(
      this.#path,
      `${jsonText({ version: 1, spent, repairs: Object.fromEntries(this.#jobs) }, 1)}\n`,
    );
  }
}

/** Undefined if the text is no record. */
function parse(text: string): { jobs: Map<string, RepairJob>; spent: readonly Spending[] } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { version, spent, repairs } = (value ?? {}) as { version?: unknown; spent?: unknown; repairs?: unknown };
  if (version !== 1 || !Array.isArray(spent) || typeof repairs !== 'object' || repairs === null) return undefined;
  const jobs = new Map<string, RepairJob>();
  for (const [infoHash, job] of Object.entries(repairs)) {
    const { next, running, bytes, returned, server, checks } = (job ?? {}) as Partial<RepairJob>;
    if (next === undefined || !STEPS.includes(next) || !isCount(bytes)) return undefined;
    if (!Array.isArray(running) || !running.every((one) => typeof one === 'string')) return undefined;
    if ((server !== undefined && !isCount(server)) || (checks !== undefined && !isCount(checks))) return undefined;
    if (returned !== undefined && returned !== 'found' && returned !== 'mapped') return undefined;
    const more = {
      ...(returned === undefined ? {} : { returned }),
      ...(server === undefined ? {} : { server }),
      ...(checks === undefined ? {} : { checks }),
    };
    jobs.set(infoHash, { next, running, bytes, ...more });
  }
  const spendings: Spending[] = [];
  for (const one of spent) {
    const { at_ms: atMs, bytes } = (one ?? {}) as { at_ms?: unknown; bytes?: unknown };
    if (!isCount(atMs) || !isCount(bytes)) return undefined;
    spendings.push({ atMs, bytes });
  }
  return { jobs, spent: spendings };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
