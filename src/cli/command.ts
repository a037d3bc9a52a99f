/** The interface between a command and the program: the command defines itself, and gets a context when it runs. */
import type { Command } from 'commander';
import type { Config } from '../config/config.ts';
import type { ExitCode } from './exit-codes.ts';
import type { Terminal } from './terminal.ts';

/** Facts that only `main.ts` knows. */
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
  /** `-l` and its value, for a child process that reads the same configuration. */
  readonly clientArgs: readonly string[];
  /** `-c` and its value. */
  readonly configFile: string | undefined;
  /** Reads the configuration that `-c` and `-l` name, and logs its notices. */
  config(): Promise<Config>;
  /** Reads the same file with the client of another section: '' is `[client]`. Its notices are not logged. */
  readonly configOf: (section: string) => Promise<Config>;
  /** Aborted at the first SIGINT or SIGTERM; a second one ends the process at once. */
  readonly signal: AbortSignal;
  /**
   * For a command that can skip something: the signal is aborted at the second interrupt, and only a third ends the
   * process.
   */
  secondSignal(): AbortSignal;
}

/** The flags that every command takes. */
export interface GlobalFlags {
  readonly config?: string;
  readonly client?: string;
  readonly verbose?: boolean;
  readonly json?: boolean;
  readonly color?: boolean;
}

export type Run = (context: CommandContext) => Promise<ExitCode>;

/**
 * Adds a command to the program.
 *
 * The command's file holds flags, help, exit codes and code. It is loaded for every command line, so it imports use
 * cases only when it runs: `add --dry-run` must not wait for a FUSE driver to load.
 */
export interface Definer {
  command(usage: string, description: string): Command;
  /** Adds a command that only the server runs. */
  hidden(usage: string): Command;
  /** Adds a command that has subcommands. */
  group(name: string, description: string): Definer;
  /** Called by the action of the chosen command. */
  run(work: Run): void;
}

export interface HelpEnding {
  readonly examples: readonly string[];
  /** Exit codes besides 0, 1 and 2. */
  readonly exits?: readonly string[];
}

/** Formats the end of a command's help. */
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
