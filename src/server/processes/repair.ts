/**
 * Has children repair entries that have lost bytes, one child at a time (docs/sources.md, "What is lost"). An entry stays
 * here until a child has reported it as settled; the record of the children keeps what has begun over a restart.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RepairNews } from '../../control/served.ts';
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { longerPause, type Pauses } from '../../longer-pause.ts';
import { RepairRecord } from './repair-record.ts';
import { reportsUntilEnd } from './reports.ts';
import { type Child, type ChildOptions, startChild } from './start-child.ts';

/** A line that the child prints, in JSON; `bytes` and `message` as in `RepairNews`. */
export interface RepairLine extends RepairNews {
  readonly info_hash: string;
}

/** In milliseconds. */
export interface RepairTimes {
  /** The first look at an entry, after its last loss: the healer settles a folder file by file. */
  readonly quiet: number;
  /** For an entry with something in its way. */
  readonly again: Pauses;
  /** While clients check. */
  readonly checking: Pauses;
  /** The pause of an entry that is beyond the limit of the day. */
  readonly limited: number;
}

const TIMES: RepairTimes = {
  quiet: 3000,
  again: [5000, 5 * 60_000],
  checking: [1000, 30_000],
  limited: 60 * 60_000,
};

/** Entries for one child. */
const BATCH = 100;

interface Waiting {
  notBefore: number;
  pause: number;
  /** Heard of by commands that asked for it. */
  readonly listeners: Set<(line: RepairLine) => void>;
  /** Bytes of its gaps may be there again (`found`: the child looks), or are mapped, and its clients do not know. */
  returned: 'found' | 'mapped' | undefined;
  /** It was noted again since the child that runs now was started. */
  again: boolean;
}

export interface RepairsOptions {
  /** Node's arguments without the flags and info hashes. */
  readonly command: readonly string[];
  /** The path of the `RepairRecord`. */
  readonly record: string;
  readonly keepDescriptors: ChildOptions['keepDescriptors'];
  readonly logger: Logger;
  readonly times?: RepairTimes;
}

export class Repairs {
  readonly #options: RepairsOptions;
  readonly #times: RepairTimes;
  readonly #waiting = new Map<string, Waiting>();
  /** What was last said of an entry. */
  readonly #told = new Map<string, string>();
  readonly #closing = new AbortController();
  #started = false;
  #working: Promise<void> | undefined;
  #running: Child['child'] | undefined;
  #wake = new AbortController();

  constructor(options: RepairsOptions) {
    this.#options = options;
    this.#times = options.times ?? TIMES;
  }

  /** Begins, and takes up what an earlier server left. */
  start(): void {
    const { record, logger } = this.#options;
    try {
      for (const infoHash of RepairRecord.read(record, (message) => logger.warn(message)).infoHashes) {
        this.#wait(infoHash).notBefore = 0;
      }
    } catch (error) {
      logger.error(messageOf(error));
    }
    this.#started = true;
    this.#begin();
  }

  /** The number of entries whose repair has begun, or is being decided. */
  get queued(): number {
    return this.#waiting.size;
  }

  /** The bytes that repairs had clients download in the 24 hours before `nowMs`. */
  spent(nowMs: number): number {
    try {
      return RepairRecord.read(this.#options.record, () => {}).spent(nowMs);
    } catch {
      return 0; // the child says why it cannot be read
    }
  }

  /** Notes that an entry has lost bytes. */
  note(infoHash: string): void {
    const one = this.#wait(infoHash);
    one.again = true;
    one.pause = 0;
    one.notBefore = performance.now() + this.#times.quiet;
    this.#begin();
  }

  /** Notes that bytes of an entry's gaps may be there again; `mapped`: they are, and its clients are to be told. */
  noteReturned(infoHash: string, mapped = false): void {
    const one = this.#wait(infoHash);
    [one.again, one.pause] = [true, 0];
    if (mapped || one.returned === undefined) one.returned = mapped ? 'mapped' : 'found';
    one.notBefore = performance.now() + this.#times.quiet;
    this.#begin();
  }

  /** Repairs an entry whatever the limits say. Yields what becomes of it; the last line has the outcome. */
  async *ask(infoHash: string, signal: AbortSignal): AsyncGenerator<RepairLine> {
    const one = this.#wait(infoHash);
    one.again = true;
    const lines: RepairLine[] = [];
    let heard = (): void => {};
    const listener = (line: RepairLine): void => {
      lines.push(line);
      heard();
    };
    one.listeners.add(listener);
    one.notBefore = 0;
    this.#begin();
    const ended = AbortSignal.any([signal, this.#closing.signal]);
    try {
      for (;;) {
        const line = lines.shift();
        if (line !== undefined) {
          yield line;
          if (line.outcome !== 'checking') return;
        } else if (ended.aborted) return;
        else {
          await new Promise<void>((resolve) => {
            heard = resolve;
            ended.addEventListener('abort', () => resolve(), { once: true });
          });
        }
      }
    } finally {
      one.listeners.delete(listener);
    }
  }

  /** Ends the running child at once: it has recorded what it is about to do. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#running?.kill('SIGKILL');
    this.#wake.abort();
    await this.#working;
  }

  #wait(infoHash: string): Waiting {
    let one = this.#waiting.get(infoHash);
    if (one === undefined) {
      one = { notBefore: performance.now(), pause: 0, listeners: new Set(), returned: undefined, again: false };
      this.#waiting.set(infoHash, one);
    }
    return one;
  }

  #begin(): void {
    if (!this.#started || this.#closing.signal.aborted || this.#waiting.size === 0) return;
    this.#wake.abort();
    this.#working ??= this.#work();
  }

  /** Works until no entry is left. Never rejects. */
  async #work(): Promise<void> {
    try {
      while (!this.#closing.signal.aborted && this.#waiting.size > 0) {
        const now = performance.now();
        const due = [...this.#waiting].filter(([, { notBefore }]) => notBefore <= now).slice(0, BATCH);
        if (due.length > 0) await this.#repair(due);
        else {
          let next = Number.POSITIVE_INFINITY;
          for (const { notBefore } of this.#waiting.values()) next = Math.min(next, notBefore);
          this.#wake = new AbortController();
          const { signal } = this.#wake;
          await sleep(Math.max(1, next - now), undefined, { signal, ref: false }).catch(() => {});
        }
      }
    } catch (error) {
      this.#options.logger.error(`repairing what is lost failed for a moment: ${messageOf(error)}`);
    } finally {
      this.#working = undefined;
    }
  }

  async #repair(due: readonly (readonly [string, Waiting])[]): Promise<void> {
    const open = new Map(due);
    for (const one of open.values()) one.again = false;
    const flag = (name: string, isMeant: (one: Waiting) => boolean): string[] => {
      const meant = due.filter(([, one]) => isMeant(one)).map(([infoHash]) => infoHash);
      return meant.length === 0 ? [] : [name, ...meant];
    };
    const flags = [
      ...flag('--asked', ({ listeners }) => listeners.size > 0),
      ...flag('--returned', ({ returned }) => returned === 'found'),
      ...flag('--mapped', ({ returned }) => returned === 'mapped'),
    ];
    const why = await this.#run([...open.keys(), ...flags], (line) => {
      const one = open.get(line.info_hash);
      // The child also takes up what its record has.
      open.delete(line.info_hash);
      this.#take(line, one ?? this.#waiting.get(line.info_hash));
    });
    if (this.#closing.signal.aborted) return;
    const message = `what is lost could not be repaired: ${why ?? 'nothing was reported'}`;
    for (const [infoHash, one] of open) this.#take({ info_hash: infoHash, outcome: 'later', message }, one);
  }

  #take(line: RepairLine, one: Waiting | undefined): void {
    const { info_hash: infoHash, outcome, message } = line;
    this.#say(line);
    if (one === undefined) return;
    for (const listener of one.listeners) listener(line);
    const now = performance.now();
    if (outcome === 'later' || outcome === 'checking') {
      one.pause = longerPause(one.pause, outcome === 'later' ? this.#times.again : this.#times.checking);
      if (!one.again) one.notBefore = now + one.pause;
    } else if (outcome === 'limited') {
      if (!one.again) one.notBefore = now + this.#times.limited;
    } else if (!one.again) {
      this.#waiting.delete(infoHash);
      if (message === undefined) this.#told.delete(infoHash);
    }
  }

  /** Says a thing once, until another is said of the entry. */
  #say({ info_hash: infoHash, outcome, message }: RepairLine): void {
    if (message === undefined || outcome === 'checking' || this.#told.get(infoHash) === message) return;
    this.#told.set(infoHash, message);
    if (outcome === 'repaired') this.#options.logger.info(message);
    else this.#options.logger.warn(message);
  }

  /** Runs a child to its end. Returns the reason if it failed; `onLine` hears of each entry. */
  async #run(args: readonly string[], onLine: (line: RepairLine) => void): Promise<string | undefined> {
    const { command, keepDescriptors } = this.#options;
    try {
      // It looks for bytes that have come back.
      const options = { args: [...command, ...args], keepDescriptors, detached: true, readsSources: true };
      const { child, said } = startChild(options);
      this.#running = child;
      if (this.#closing.signal.aborted) child.kill('SIGKILL');
      await reportsUntilEnd(child, (line) => onLine(line as RepairLine));
      return child.exitCode === 0 ? undefined : said();
    } catch (error) {
      return messageOf(error);
    } finally {
      this.#running = undefined;
    }
  }
}
