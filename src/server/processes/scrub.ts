/**
 * Has pieces hashed in the background, by a child that runs while something is due (`server/children/scrub.ts`).
 *
 * The child asks before each batch, and gets an answer when clients read little and it is the time for it; the answer names
 * the disks that something else has used lately, so that the others go on sleeping. It reports what it finds over the control
 * socket. Without this process its pipe ends, and so does the child.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ScrubTime } from '../../config/config.ts';
import type { DueEntry, ScrubStatus } from '../../control/served.ts';
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { Calm } from './calm.ts';
import { reportsUntilEnd } from './reports.ts';
import { isTimeFor, shownTime } from './scrub-time.ts';
import { type Child, type ChildOptions, startChild } from './start-child.ts';

/** A line that the child prints, in JSON. */
export type ScrubLine =
  /** Asks for a batch on these disks. */
  | { readonly turn: readonly string[] }
  | { readonly progress: { readonly name: string; readonly doneBytes: number; readonly totalBytes: number } }
  /** An entry that it is done with. */
  | { readonly entry: ScrubbedLine };

export interface ScrubbedLine {
  readonly infoHash: string;
  readonly provenPieces: number;
  readonly badPieces: number;
  /** Pieces that could not be hashed, and why: these disks sleep, or bytes are missing. */
  readonly leftPieces: number;
  readonly asleep: readonly string[];
}

/** The answer to a turn, a line of JSON: the disks that may be read, or that it is time to end. */
export type ScrubAnswer = { readonly go: readonly string[] } | { readonly end: true };

/** In milliseconds. */
export interface ScrubTimes {
  /** From the start of the server to the first look: clients start then. */
  readonly first: number;
  /** From one look at what is due to the next. */
  readonly look: number;
  /** Between looks at what clients read. */
  readonly calm: number;
}

const TIMES: ScrubTimes = { first: 5 * 60_000, look: 5 * 60_000, calm: 1000 };

/** The times; tests set both pauses by `AUTOTORRENT_SCRUB_LOOK_MS`. */
export function scrubTimes(env: NodeJS.ProcessEnv): ScrubTimes {
  const look = Number(env['AUTOTORRENT_SCRUB_LOOK_MS'] ?? Number.NaN);
  return look > 0 ? { ...TIMES, first: look, look } : TIMES;
}

/** The part of `DiskUse` (`watch/`) that is used here. */
export interface DisksInUse {
  usedLately(disk: string): boolean;
  ownWork<T>(disk: string, work: () => Promise<T>): Promise<T>;
}

export interface ScrubProcessOptions {
  /** Node's arguments. */
  readonly command: readonly string[];
  readonly when: ScrubTime;
  /** Lists the entries with pieces to hash. */
  readonly due: () => AsyncIterable<DueEntry>;
  /** The bytes that clients have read so far. */
  readonly bytesRead: () => number;
  readonly disks: DisksInUse;
  readonly keepDescriptors: ChildOptions['keepDescriptors'];
  readonly logger: Logger;
  readonly times?: ScrubTimes;
  readonly now?: () => Date;
}

interface Left {
  /** What was due and could not be done. */
  readonly due: string;
  readonly asleep: readonly string[];
}

export class ScrubProcess {
  readonly #options: ScrubProcessOptions;
  readonly #times: ScrubTimes;
  readonly #now: () => Date;
  readonly #calm: Calm;
  readonly #closing = new AbortController();
  /** What the last scrub could not do, by info hash: no child is started for that alone. */
  readonly #left = new Map<string, Left>();
  #running: Promise<void> | undefined;
  #state: ScrubStatus['state'];
  #progress: ScrubStatus['progress'];
  #proven = 0;
  #bad = 0;
  /** Ends the work on disks that the child has just done. */
  #endTurn: () => void = () => {};

  constructor(options: ScrubProcessOptions) {
    this.#options = options;
    this.#times = options.times ?? TIMES;
    this.#now = options.now ?? (() => new Date());
    this.#calm = new Calm(options.bytesRead);
    this.#state = options.when === 'off' ? 'off' : 'idle';
  }

  get status(): ScrubStatus {
    const asleep = new Set([...this.#left.values()].flatMap((left) => left.asleep));
    return {
      when: shownTime(this.#options.when),
      state: this.#state,
      ...(this.#progress === undefined ? {} : { progress: this.#progress }),
      provenPieces: this.#proven,
      badPieces: this.#bad,
      asleep: [...asleep].toSorted(),
    };
  }

  start(): void {
    if (this.#options.when !== 'off') this.#running ??= this.#run();
  }

  /** Ends the child; nothing runs any more when it resolves. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { signal } = this.#closing;
    let pause = this.#times.first;
    while (!signal.aborted) {
      await sleep(pause, undefined, { signal, ref: false }).catch(() => {});
      pause = this.#times.look;
      if (signal.aborted) return;
      try {
        const due = this.#isTime ? await this.#dueNow() : new Map<string, string>();
        if (due.size > 0 && !signal.aborted) await this.#scrub(due);
      } catch (error) {
        this.#options.logger.warn(`nothing could be scrubbed for a moment: ${messageOf(error)}`);
      }
      this.#state = 'idle';
      this.#progress = undefined;
    }
  }

  get #isTime(): boolean {
    return isTimeFor(this.#options.when, this.#now());
  }

  /** What is due that was not left before, or that lies on disks which are awake by now: by info hash. */
  async #dueNow(): Promise<Map<string, string>> {
    const all = new Map<string, string>();
    let any = false;
    for await (const { infoHash, doubted, unproven, old } of this.#options.due()) {
      const due = `${doubted} ${unproven} ${old}`;
      all.set(infoHash, due);
      const left = this.#left.get(infoHash);
      any ||= left?.due !== due || left.asleep.some((disk) => this.#options.disks.usedLately(disk));
    }
    for (const infoHash of this.#left.keys()) if (!all.has(infoHash)) this.#left.delete(infoHash);
    return any ? all : new Map();
  }

  async #scrub(due: ReadonlyMap<string, string>): Promise<void> {
    const { command, keepDescriptors, logger } = this.#options;
    const { signal } = this.#closing;
    const [proven, bad] = [this.#proven, this.#bad];
    // Not in the terminal's group: Ctrl-C is for the server, which ends the child.
    const options = { args: command, keepDescriptors, detached: true, stdin: 'pipe', readsSources: true } as const;
    const { child, said } = startChild(options);
    const stop = (): void => void child.kill('SIGTERM');
    signal.addEventListener('abort', stop, { once: true });
    // It may end while an answer is on its way.
    child.stdin?.on('error', () => {});
    this.#state = 'running';
    const timer = setInterval(() => this.#calm.look(), this.#times.calm);
    try {
      await reportsUntilEnd(child, (line) => this.#take(line as ScrubLine, child, due));
    } finally {
      signal.removeEventListener('abort', stop);
      clearInterval(timer);
      this.#endTurn();
    }
    if (signal.aborted) return;
    if (child.exitCode !== 0) throw new Error(said() || 'the child was ended');
    const [hashed, found] = [this.#proven - proven, this.#bad - bad];
    if (hashed + found > 0) logger.info(`scrub: ${hashed} piece(s) proven, ${found} bad`);
  }

  #take(line: ScrubLine, child: Child['child'], due: ReadonlyMap<string, string>): void {
    if ('turn' in line) {
      void this.#turn(line.turn).then((answer) => child.stdin?.write(`${JSON.stringify(answer)}\n`));
    } else if ('progress' in line) this.#progress = line.progress;
    else {
      const { infoHash, provenPieces, badPieces, leftPieces, asleep } = line.entry;
      this.#proven += provenPieces;
      this.#bad += badPieces;
      if (leftPieces === 0) this.#left.delete(infoHash);
      // Where some of it was done, what is left is due with other numbers: the next look begins anew.
      else this.#left.set(infoHash, { due: due.get(infoHash) ?? '', asleep });
    }
  }

  /** Waits until a batch may be read. Never rejects. */
  async #turn(disks: readonly string[]): Promise<ScrubAnswer> {
    this.#endTurn();
    const { signal } = this.#closing;
    while (!this.#calm.isCalm && this.#isTime && !signal.aborted) {
      this.#state = 'paused';
      await sleep(this.#times.calm, undefined, { signal, ref: false }).catch(() => {});
    }
    this.#state = 'running';
    if (signal.aborted || !this.#isTime) return { end: true };
    const go = disks.filter((disk) => this.#options.disks.usedLately(disk));
    const ended = new Promise<void>((resolve) => {
      this.#endTurn = resolve;
    });
    // Its reads must not keep the disk from sleeping.
    const begun = go.map(
      async (disk) =>
        await new Promise<void>((resolve) => {
          const work = async (): Promise<void> => {
            resolve();
            await ended;
          };
          this.#options.disks.ownWork(disk, work).catch(() => resolve());
        }),
    );
    await Promise.all(begun);
    return { go };
  }
}
