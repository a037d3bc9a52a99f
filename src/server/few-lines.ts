/** Logs what may happen to thousands of sources at once: the first lines of a minute, then their number. */
import type { Logger } from '../logger.ts';

const LINES = 20;
const PERIOD_MS = 60_000;

export class FewLines {
  readonly #logger: Logger;
  #said = 0;
  #left = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  say(line: string): void {
    if (this.#timer === undefined) this.#timer = setTimeout(() => this.#end(), PERIOD_MS).unref();
    if (this.#said < LINES) {
      this.#said++;
      this.#logger.warn(line);
    } else this.#left++;
  }

  #end(): void {
    if (this.#left > 0)
      this.#logger.warn(`${this.#left} more sources changed within a minute: autotorrent status counts them`);
    this.#timer = undefined;
    this.#said = 0;
    this.#left = 0;
  }
}
