/**
 * Writes output: results to standard output, everything else to standard error. A program that reads us may go away at
 * any time (`| head`): that ends us quietly, as it ends every Unix tool.
 *
 * Names come from strangers, so nothing is printed as it comes: text is escaped unless it is `Markup`, and JSON as JSON
 * allows. Commands print through this class alone; a test holds them to it.
 */
import { AutotorrentError, framesOf, messageOf } from '../errors.ts';
import { createLogger, type Logger } from '../logger.ts';
import { jsonText, printable } from '../printable.ts';
import { inBlocks, jsonPieces } from './json-spool.ts';
import { type Colour, type Line, Markup, rendered } from './markup.ts';

export interface TerminalOptions {
  readonly json: boolean;
  /** Prints failures as JSON, although results may be text. Default: `json`. */
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
  /** While documents are gathered: the name of the member for the next one. */
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
    // The lines of a detached server are read later, so they carry the time.
    this.logger = createLogger(options.verbose ? 'debug' : 'info', write, process.send !== undefined);
  }

  /** Prints a line of a result. */
  print(line: Line): void {
    this.#write(rendered(line));
  }

  /** Prints a document on one line, for a program that reads line by line. */
  printJsonLine(value: unknown): void {
    this.#write(jsonText(value));
  }

  /** Prints the one JSON document of a command with `--json`. */
  printJson(value: unknown): void {
    if (this.#gathering && this.#member !== undefined) {
      this.#partial[this.#member] = value;
      return;
    }
    this.clearProgress();
    for (const block of inBlocks(jsonPieces(value))) process.stdout.write(block);
    process.stdout.write('\n');
  }

  /** Gathers documents from now on as members of one, under the names from `nameJson`, until `printGathered`. */
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

  /** Adds results to the document of a failure, beside the error. */
  keepForFailure(name: string, value: unknown): void {
    this.#partial[name] = value;
  }

  /** Prints a line for people, beside the results. */
  note(text: string): void {
    this.logger.info(text);
  }

  paint(colour: Colour, text: string): Markup {
    return this.#colour ? Markup.painted(colour, text) : Markup.plain(text);
  }

  /** Replaces the progress line; shows nothing if standard error is no terminal. */
  progress(text: string): void {
    if (!process.stderr.isTTY) return;
    const width = (process.stderr.columns || 80) - 1;
    process.stderr.write(`\r\x1b[K${printable(text).slice(0, width)}`);
    this.#progressShown = true;
  }

  /** Writes a question, and leaves the cursor behind it. */
  ask(question: string): void {
    this.clearProgress();
    process.stderr.write(printable(question));
  }

  /** Ends the line of a question whose answer was not echoed. */
  endLine(): void {
    process.stderr.write('\n');
  }

  clearProgress(): void {
    if (!this.#progressShown) return;
    process.stderr.write('\r\x1b[K');
    this.#progressShown = false;
  }

  /** Prints the failure and its remedy: as text, or as the one JSON document. */
  fail(error: unknown): void {
    const known = error instanceof AutotorrentError;
    if (this.#jsonFailures) {
      const { code, hint } = known ? error : { code: 'INTERNAL', hint: undefined };
      this.#printFailure(code, messageOf(error), hint);
      return;
    }
    this.logger.error(messageOf(error));
    if (known && error.hint !== undefined) this.note(`  ${error.hint}`);
    if (known && error.cause !== undefined) this.logger.debug(messageOf(error.cause));
    // The stack trace helps only with unforeseen errors.
    if (error instanceof Error) this.#trace(error, known ? 'debug' : 'info');
  }

  /** Reports that the user ended the command. */
  stopped(): void {
    if (this.#jsonFailures) this.#printFailure('STOPPED', 'stopped by a signal');
    else this.note('stopped');
  }

  #printFailure(code: string, message: string, hint?: string): void {
    this.#gathering = false;
    this.printJson({ error: { code, message, ...(hint === undefined ? {} : { hint }) }, ...this.#partial });
  }

  #trace(error: Error, level: 'debug' | 'info'): void {
    for (const line of framesOf(error)) this.logger[level](line);
  }

  #write(line: string): void {
    this.clearProgress();
    process.stdout.write(`${line}\n`);
  }
}
