/**
 * Notices that clients wrote to entries, and has each verified once it is quiet: downloaded bytes count when their
 * pieces match.
 *
 * A child process hashes, parses and asks clients (`server/children/verify-downloads.ts`), one child at a time: the
 * server only serves. A change is forgotten when the child has reported the entry as verified and nothing was written
 * since it began. An entry that failed is tried again later, so only the end of the server loses a change.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { longerPause, type Pauses } from '../../longer-pause.ts';
import { reportsUntilEnd } from './reports.ts';
import { type ChildOptions, startChild } from './start-child.ts';

/** A line that the child prints, in JSON, when it is done with an entry. */
export interface VerifierLine {
  readonly info_hash: string;
  /** `checking`: a client hashes the entry now, so the child left it alone. `failed`: `message` has the reason. */
  readonly outcome: 'verified' | 'gone' | 'checking' | 'failed';
  readonly message?: string;
}

/** In milliseconds. */
export interface WatchTimes {
  /** An entry without a write for this long is quiet. A client that downloads writes about every second. */
  readonly quiet: number;
  /** An entry that is never quiet is verified this often. */
  readonly longest: number;
  readonly look: number;
  /** Before an entry that failed, or that a client checks, is tried again. */
  readonly again: Pauses;
  /** The longest wait for a client's check: one that hangs must not keep an entry unverified for ever. */
  readonly patience: number;
}

const TIMES: WatchTimes = {
  quiet: 3000,
  longest: 60_000,
  look: 500,
  again: [5000, 5 * 60_000],
  patience: 6 * 60 * 60_000,
};

/** Entries for one child: starting a child costs as much as hashing a small torrent. */
const BATCH = 200;

interface Change {
  firstAt: number;
  lastAt: number;
  /** The earliest time of the next attempt. */
  notBefore: number;
  pause: number;
  /** The time at which a client was first found to check it. */
  checkedSince: number | undefined;
}

export interface DownloadWatchOptions {
  /** Node's arguments without the flags and info hashes. */
  readonly command: readonly string[];
  /** Undefined for an entry that is gone. */
  readonly infoHashOf: (entry: number) => Promise<string | undefined>;
  readonly keepDescriptors: ChildOptions['keepDescriptors'];
  readonly logger: Logger;
  readonly times?: WatchTimes;
}

export class DownloadWatch {
  readonly #options: DownloadWatchOptions;
  readonly #times: WatchTimes;
  readonly #changed = new Map<number, Change>();
  readonly #closing = new AbortController();
  #working: Promise<void> | undefined;

  constructor(options: DownloadWatchOptions) {
    this.#options = options;
    this.#times = options.times ?? TIMES;
  }

  /** Notes that bytes of an entry changed. Called for each write. */
  note(entry: number): void {
    const now = performance.now();
    const change = this.#changed.get(entry);
    if (change === undefined) this.#changed.set(entry, newChange(now));
    else change.lastAt = now;
    if (!this.#closing.signal.aborted) this.#working ??= this.#work();
  }

  /** Ends the running child; nothing runs any more when it resolves. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#working;
  }

  /** Works until no change is left. Never rejects. */
  async #work(): Promise<void> {
    const { signal } = this.#closing;
    try {
      while (!signal.aborted && this.#changed.size > 0) {
        const due = this.#due();
        if (due.length === 0) await sleep(this.#times.look, undefined, { signal, ref: false }).catch(() => {});
        else await this.#verify(due);
      }
    } catch (error) {
      this.#options.logger.error(`watching what clients download failed for a moment: ${messageOf(error)}`);
    } finally {
      this.#working = undefined;
    }
  }

  #due(): number[] {
    const now = performance.now();
    const due: number[] = [];
    for (const [entry, { firstAt, lastAt, notBefore }] of this.#changed) {
      if (now < notBefore || (now - lastAt < this.#times.quiet && now - firstAt < this.#times.longest)) continue;
      due.push(entry);
      if (due.length === BATCH) break;
    }
    return due;
  }

  async #verify(due: readonly number[]): Promise<void> {
    const began = performance.now();
    const asked = new Map<string, number>();
    const overdue: string[] = [];
    for (const entry of due) {
      try {
        const infoHash = await this.#options.infoHashOf(entry);
        if (infoHash === undefined) {
          this.#changed.delete(entry);
          continue;
        }
        asked.set(infoHash, entry);
        const since = this.#changed.get(entry)?.checkedSince;
        if (since !== undefined && began - since > this.#times.patience) overdue.push(infoHash);
      } catch (error) {
        this.#postpone(entry, `an entry that a client wrote to could not be looked up: ${messageOf(error)}`);
      }
    }
    if (asked.size === 0 || this.#closing.signal.aborted) return;
    const flags = overdue.length === 0 ? [] : ['--unasked', ...overdue];
    const why = await this.#run([...asked.keys(), ...flags], (line) => {
      const entry = asked.get(line.info_hash);
      if (entry === undefined) return;
      asked.delete(line.info_hash);
      this.#take(entry, line, began);
    });
    if (this.#closing.signal.aborted) return;
    // Entries that the child did not report.
    const message = `what was downloaded could not be verified: ${why ?? 'the verifier did not report on it'}`;
    for (const [i, entry] of [...asked.values()].entries()) this.#postpone(entry, i === 0 ? message : undefined);
  }

  #take(entry: number, { outcome, message }: VerifierLine, began: number): void {
    const change = this.#changed.get(entry);
    if (change === undefined) return;
    if (outcome === 'checking') {
      change.checkedSince ??= began;
      this.#postpone(entry);
    } else if (outcome === 'failed') {
      this.#postpone(entry, `what was downloaded could not be verified: ${message ?? ''}`);
    } else if (outcome === 'gone' || change.lastAt < began) this.#changed.delete(entry);
    else this.#changed.set(entry, { ...newChange(began), lastAt: change.lastAt });
  }

  #postpone(entry: number, message?: string): void {
    if (message !== undefined) this.#options.logger.warn(message);
    const change = this.#changed.get(entry);
    if (change === undefined) return;
    change.pause = longerPause(change.pause, this.#times.again);
    change.notBefore = performance.now() + change.pause;
  }

  /** Runs a child to its end. Returns the reason if it failed; `onLine` hears of each entry. */
  async #run(args: readonly string[], onLine: (line: VerifierLine) => void): Promise<string | undefined> {
    const { command, keepDescriptors } = this.#options;
    const { signal } = this.#closing;
    let stop = (): void => {};
    try {
      const { child, said } = startChild({ args: [...command, ...args], keepDescriptors, readsSources: true });
      stop = () => void child.kill('SIGTERM');
      signal.addEventListener('abort', stop, { once: true });
      await reportsUntilEnd(child, (line) => onLine(line as VerifierLine));
      return child.exitCode === 0 ? undefined : said();
    } catch (error) {
      return messageOf(error);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }
}

function newChange(now: number): Change {
  return { firstAt: now, lastAt: now, notBefore: 0, pause: 0, checkedSince: undefined };
}
