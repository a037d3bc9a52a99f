/**
 * Starts a healer, a child that settles cases of sources (`server/children/heal.ts`): one at a time, and only while there are
 * cases. It asks for them over the control socket, and ends by itself when none has come for a while. One that fails is started
 * again later, with growing pauses.
 */
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { longerPause, type Pauses } from '../../longer-pause.ts';
import { type Child, type ChildOptions, startChild } from './start-child.ts';

/** Before a healer that failed is started again. */
const AGAIN: Pauses = [1000, 5 * 60_000];

export interface HealerOptions {
  /** Node's arguments. */
  readonly command: readonly string[];
  readonly keepDescriptors: ChildOptions['keepDescriptors'];
  readonly env?: ChildOptions['env'];
  /** Tells if a case is due. */
  readonly hasDue: () => boolean;
  /** Called when the healer has ended: what it had is nobody's. */
  readonly onEnded: () => void;
  readonly logger: Logger;
  readonly again?: Pauses;
}

export class Healer {
  readonly #options: HealerOptions;
  #running: { readonly child: Child['child']; readonly ended: Promise<void> } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pause = 0;
  #closed = false;

  constructor(options: HealerOptions) {
    this.#options = options;
  }

  get runs(): boolean {
    return this.#running !== undefined;
  }

  /** Starts the healer unless it runs, or has just failed. */
  wake(): void {
    if (this.#closed || this.#running !== undefined || this.#timer !== undefined) return;
    const { command, keepDescriptors, env, logger } = this.#options;
    let started: Child;
    try {
      // Not in the terminal's group: Ctrl-C is for the server, which ends the healer.
      started = startChild({ args: command, keepDescriptors, detached: true, readsSources: true, ...(env && { env }) });
    } catch (error) {
      this.#failed(messageOf(error));
      return;
    }
    const { child, said, wasEnded } = started;
    child.stdout.resume();
    let broken: string | undefined;
    child.on('error', (error) => {
      broken = error.message;
    });
    const ended = new Promise<void>((resolve) => {
      child.once('close', (code) => {
        this.#running = undefined;
        if (!this.#closed) {
          this.#options.onEnded();
          if (code === 0 || wasEnded()) this.#ended();
          else this.#failed(broken ?? (said() || `it ended with ${code ?? 'a signal'}`));
        }
        resolve();
      });
    });
    this.#running = { child, ended };
    logger.debug('the healer was started');
  }

  /** Ends the healer. Nothing runs any more when it resolves. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    // It writes nothing itself: the server applies what it reports.
    this.#running?.child.kill('SIGKILL');
    await this.#running?.ended;
  }

  #ended(): void {
    this.#pause = 0;
    // A case may have become due while it was ending.
    if (this.#options.hasDue()) this.wake();
  }

  #failed(why: string): void {
    const { logger, again = AGAIN } = this.#options;
    const isFirst = this.#pause === 0;
    this.#pause = longerPause(this.#pause, again);
    logger[isFirst ? 'debug' : 'warn'](`the healer of changed sources failed, and is started again: ${why}`);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#options.hasDue()) this.wake();
    }, this.#pause);
    this.#timer.unref();
  }
}
