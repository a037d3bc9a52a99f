/** What every command is handed, and how its help ends. */
import type { Config } from '../config/config.ts';
import type { Terminal } from './terminal.ts';

/** What `main.ts` alone knows. */
export interface Wiring {
  /** This program's own file, for a server that detaches. */
  readonly program: string;
  readonly version: string;
}

export interface CommandContext {
  readonly terminal: Terminal;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly wiring: Wiring;
  /** `-l` and its value, for a process of ours that reads the same configuration. */
  readonly clientArgs: readonly string[];
  /** Reads the configuration that `-c` and `-l` name, and tells its notices. */
  config(): Promise<Config>;
  /** The same file with the client of another section: '' is `[client]`. Its notices are not told. */
  configOf(section: string): Promise<Config>;
  /** Aborted at the first SIGINT or SIGTERM; a second one ends the process at once. */
  readonly signal: AbortSignal;
  /** Called by a command that has something to skip: aborted at the second signal, and only a third ends the process. */
  secondSignal(): AbortSignal;
}

export interface HelpEnding {
  readonly examples: readonly string[];
  /** Exit codes beside 0, 1 and 2. */
  readonly exits?: readonly string[];
}

export function helpEnding({ examples, exits = [] }: HelpEnding): string {
  const lines = (title: string, items: readonly string[]): string[] => ['', title, ...items.map((item) => `  ${item}`)];
  return [
    ...lines('Examples:', examples),
    ...lines('Exit codes:', [
      '0  done',
      '1  it failed; the message says what, why, and what to do',
      '2  wrong use: an unknown flag, a missing or invalid configuration',
      ...exits,
    ]),
  ].join('\n');
}
