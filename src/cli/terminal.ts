/**
 * Writes output: results to standard output, everything else to standard error.
 * A program that reads us may go away at any time (`| head`): that ends us quietly, as it does every Unix tool.
 */
import { AutotorrentError, messageOf } from '../errors.ts';
import { createLogger, type Logger, printable } from '../logger.ts';

export type Colour = 'green' | 'red' | 'blue' | 'yellow' | 'magenta' | 'dim';

const SGR: Readonly<Record<Colour, number>> = { green: 92, red: 91, blue: 94, yellow: 93, magenta: 95, dim: 2 };

export interface TerminalOptions {
  readonly json: boolean;
  /** Failures as JSON, though results may be text. Default: `json`. */
  readonly jsonFailures?: boolean;
  readonly colour: boolean;
  readonly verbose: boolean;
}

export class Terminal {
  readonly json: boolean;
  readonly logger: Logger;
  readonly #jsonFailures: boolean;
  readonly #colour: boolean;
  readonly #partial: Record<string, unknown> = {};
  /** While documents are gathered: the member that the next one becomes. */
  #member: string | undefined;
  #gathering = false;
  #progressShown = false;

  constructor(options: TerminalOptions, env: NodeJS.ProcessEnv = process.env) {
    this.json = options.json;
    this.#jsonFailures = options.jsonFailures ?? options.json;
    this.#colour = options.colour && (env['NO_COLOR'] ?? '') === '' && process.stdout.isTTY;
    const write = (line: string): void => {
      this.clearProgress();
      process.stderr.write(line);
    };
    // A detached server's lines are read later: they carry the time.
    this.logger = createLogger(options.verbose ? 'debug' : 'info', write, process.send !== undefined);
  }

  /** A line of a result. */
  print(text: string): void {
    this.clearProgress();
    process.stdout.write(`${text}\n`);
  }

  /** The one JSON document of a command with `--json`. */
  printJson(value: unknown): void {
    if (this.#gathering && this.#member !== undefined) {
      this.#partial[this.#member] = value;
      return;
    }
    this.print(JSON.stringify(value, null, 2));
  }

  /** From now on documents become members of one, under the names that `nameJson` gives, until `printGathered`. */
  gatherJson(): void {
    this.#gathering = true;
  }

  nameJson(member: string): void {
    this.#member = member;
  }

  printGathered(): void {
    if (!this.#gathering) return;
    this.#gathering = false;
    if (this.json) this.printJson(this.#partial);
  }

  /** Results that the document of a failure is to hold, too, beside the error. */
  keepForFailure(name: string, value: unknown): void {
    this.#partial[name] = value;
  }

  /** A line for people, beside the results. */
  note(text: string): void {
    this.logger.info(text);
  }

  paint(colour: Colour, text: string): string {
    return this.#colour ? `\x1b[${SGR[colour]}m${text}\x1b[0m` : text;
  }

  /** Replaces the progress line; shows nothing where standard error is no terminal. */
  progress(text: string): void {
    if (!process.stderr.isTTY) return;
    const width = (process.stderr.columns || 80) - 1;
    process.stderr.write(`\r\x1b[K${printable(text).slice(0, width)}`);
    this.#progressShown = true;
  }

  clearProgress(): void {
    if (!this.#progressShown) return;
    process.stderr.write('\r\x1b[K');
    this.#progressShown = false;
  }

  /** Says what went wrong, and what to do: as text, or as the one JSON document. */
  fail(error: unknown): void {
    const known = error instanceof AutotorrentError;
    if (this.#jsonFailures) {
      const { code, hint } = known ? error : { code: 'INTERNAL', hint: undefined };
      this.#printFailure(code, messageOf(error), hint);
      return;
    }
    this.logger.error(messageOf(error));
    if (known && error.hint !== undefined) for (const line of error.hint.split('\n')) this.note(`  ${line}`);
    if (known && error.cause !== undefined) this.logger.debug(messageOf(error.cause));
    // Where it happened is of use only for what was not foreseen.
    if (error instanceof Error) this.#trace(error, known ? 'debug' : 'info');
  }

  /** Says that the user ended the command. */
  stopped(): void {
    if (this.#jsonFailures) this.#printFailure('STOPPED', 'stopped by a signal');
    else this.note('stopped');
  }

  #printFailure(code: string, message: string, hint?: string): void {
    this.#gathering = false;
    this.printJson({ error: { code, message, ...(hint === undefined ? {} : { hint }) }, ...this.#partial });
  }

  #trace(error: Error, level: 'debug' | 'info'): void {
    for (const line of (error.stack ?? '').split('\n').slice(1)) this.logger[level](line);
  }
}
