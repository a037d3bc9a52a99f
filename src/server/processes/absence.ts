/**
 * Runs the children that stop clients' torrents before the mount goes away, and start them when it is back, one child
 * after the other (docs/absence.md).
 */
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { AbsenceRecord } from './absence-record.ts';
import { onReports } from './reports.ts';
import { type Child, type ChildOptions, startChild } from './start-child.ts';

/** A line that a child prints, in JSON. */
export interface AbsenceLine {
  readonly level: 'info' | 'warn';
  readonly message: string;
}

const PURPOSES = {
  look: 'asked whether they run',
  resume: 'told that the mount is there',
  stop: 'told that the mount goes away',
} as const;
/** systemd kills a service 90 seconds after it asked it to stop; the unmount needs some of them. */
const STOP_LIMIT_MS = 60_000;

export interface AbsenceProcessesOptions {
  /** Node's arguments without `look`, `stop` or `resume`; undefined if there is no client. */
  readonly command: readonly string[] | undefined;
  /** The path of the `AbsenceRecord`. */
  readonly record: string;
  readonly keepDescriptors: ChildOptions['keepDescriptors'];
  readonly logger: Logger;
}

export class AbsenceProcesses {
  readonly #options: AbsenceProcessesOptions;
  #running: { readonly child: Child['child']; readonly ended: Promise<void> } | undefined;

  constructor(options: AbsenceProcessesOptions) {
    this.#options = options;
  }

  /** Looks at the clients before there is a mount. @throws AutotorrentError('STORE') if the record cannot be read */
  async look(): Promise<void> {
    const { command, record } = this.#options;
    if (command === undefined || !(await AbsenceRecord.read(record, () => {})).hasLook) return;
    await this.#run('look', () => {});
  }

  /** Starts the torrents; resolves when the clients have them started, or do not come. */
  async resume(): Promise<void> {
    await this.#run('resume', () => {});
  }

  /** Resolves when all torrents are stopped, the time is over, or `hurry` is aborted. `onWarning` hears of failures. */
  async stop(hurry: AbortSignal, onWarning: (message: string) => void): Promise<void> {
    await this.close();
    if (hurry.aborted) return;
    const { logger } = this.#options;
    const skip = (): void => {
      logger.warn('not waiting for clients');
      this.#kill();
    };
    const limit = setTimeout(() => {
      const message = `clients took more than ${STOP_LIMIT_MS / 1000} s to stop their torrents: not waiting any longer`;
      logger.warn(message);
      onWarning(message);
      this.#kill();
    }, STOP_LIMIT_MS);
    hurry.addEventListener('abort', skip, { once: true });
    await this.#run('stop', onWarning);
    hurry.removeEventListener('abort', skip);
    clearTimeout(limit);
  }

  /** Ends the running child at once: it has recorded what it is about to do. */
  async close(): Promise<void> {
    this.#kill();
    await this.#running?.ended;
  }

  #kill(): void {
    this.#running?.child.kill('SIGKILL');
  }

  /** Never rejects: if a child cannot be started, that is reported, and the server goes on. */
  async #run(what: keyof typeof PURPOSES, onWarning: (message: string) => void): Promise<void> {
    const { command, keepDescriptors, logger } = this.#options;
    if (command === undefined) return;
    const failed = (why: string): void => {
      const message = `clients could not be ${PURPOSES[what]}: ${why}`;
      logger.warn(message);
      onWarning(message);
    };
    let started: Child;
    try {
      started = startChild({ args: [...command, what], keepDescriptors, detached: true });
    } catch (error) {
      failed(messageOf(error));
      return;
    }
    const { child, said } = started;
    const ended = new Promise<void>((resolve) => {
      child.once('close', (code) => {
        this.#running = undefined;
        // No exit code: we ended the child.
        if (code !== null && code !== 0 && child.pid !== undefined) failed(said());
        resolve();
      });
    });
    this.#running = { child, ended };
    child.on('error', (error) => failed(error.message));
    onReports(child, (line) => {
      const { level, message } = line as AbsenceLine;
      logger[level](message);
      if (level === 'warn') onWarning(message);
    });
    await ended;
  }
}
