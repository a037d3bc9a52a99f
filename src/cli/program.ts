/**
 * The command line: one commander program with the commands, and one with the original's flags. Each command's file
 * defines it; this file joins them and runs the chosen one.
 */
import { Command, CommanderError } from 'commander';
import { clientNotices } from '../app/client-notices.ts';
import type { Config } from '../config/config.ts';
import { type ConfigFile, findConfig, readAs } from '../config/load.ts';
import { nearest } from '../config/nearest.ts';
import { besideIndex } from '../config/state-paths.ts';
import { AutotorrentError } from '../errors.ts';
import { actAsOwner } from '../state/act-as-owner.ts';
import { expandPrefixes, hasCommand, settleDryRun, strangeCommand } from './arguments.ts';
import type { Definer, GlobalFlags, Run, Wiring } from './command.ts';
import { defineAbsence } from './commands/absence.ts';
import { defineAdd } from './commands/add.ts';
import { defineExplain } from './commands/explain.ts';
import { defineHeal } from './commands/heal.ts';
import { defineInit } from './commands/init.ts';
import { defineList } from './commands/list.ts';
import { defineMount } from './commands/mount.ts';
import { defineOverlayDiff } from './commands/overlay-diff.ts';
import { defineOverlayDiscard } from './commands/overlay-discard.ts';
import { defineOverlayExport } from './commands/overlay-export.ts';
import { defineProtect } from './commands/protect.ts';
import { defineRebuild } from './commands/rebuild.ts';
import { defineRelease } from './commands/release.ts';
import { defineRelocate } from './commands/relocate.ts';
import { defineRemove } from './commands/remove.ts';
import { defineRepair } from './commands/repair.ts';
import { defineScrub } from './commands/scrub.ts';
import { defineScrubBackground } from './commands/scrub-background.ts';
import { defineShow } from './commands/show.ts';
import { defineStatus } from './commands/status.ts';
import { defineTestConnection } from './commands/test-connection.ts';
import { defineUnmount } from './commands/unmount.ts';
import { defineVerify } from './commands/verify.ts';
import { defineVerifyDownloads } from './commands/verify-downloads.ts';
import { EXIT, type ExitCode, exitCodeOf } from './exit-codes.ts';
import { defineOriginal } from './original.ts';
import { stopOnSignals } from './signals.ts';
import { Terminal } from './terminal.ts';

/** In the order of the help. */
const COMMANDS: readonly ((define: Definer) => void)[] = [
  defineInit,
  defineRebuild,
  defineMount,
  defineUnmount,
  defineAbsence,
  defineVerifyDownloads,
  defineRepair,
  defineScrubBackground,
  defineHeal,
  defineAdd,
  defineList,
  defineShow,
  defineExplain,
  defineVerify,
  defineRelocate,
  defineScrub,
  defineProtect,
  defineRemove,
  defineRelease,
  defineOverlay,
  defineStatus,
  defineTestConnection,
];

function defineOverlay(define: Definer): void {
  const overlay = define.group('overlay', 'show or discard what clients wrote, or write a finished copy');
  defineOverlayDiff(overlay);
  defineOverlayDiscard(overlay);
  defineOverlayExport(overlay);
}

/** Runs one command line (without node and the script) and returns its exit code; never throws. */
export async function runProgram(args: readonly string[], wiring: Wiring): Promise<ExitCode> {
  let chosen: { run: Run; globals: GlobalFlags } | undefined;
  const choose = (globals: GlobalFlags, run: Run): void => {
    chosen = { run, globals };
  };
  const modern = modernProgram(wiring.version, choose);
  const commands = new Set(['help', ...modern.commands.map((command) => command.name())]);
  const isModern = hasCommand(args, commands);
  const program = isModern ? modern : originalProgram(wiring.version, choose);
  const asJson = args.includes('--json');
  const strange = strangeCommand(args, commands);
  if (strange !== undefined) {
    const terminal = new Terminal({ json: asJson, colour: false, verbose: false });
    terminal.fail(strangeCommandError(strange, commands));
    return EXIT.usage;
  }
  const parts = [program, ...program.commands, ...program.commands.flatMap((command) => command.commands)];
  const flags = parts.flatMap((c) => c.options.flatMap((option) => option.long ?? []));
  const words = expandPrefixes(settleDryRun(args), [...new Set([...flags, '--help'])]);
  const jsonFailures = asJson || words.includes('--dry-run=json');
  try {
    await program.parseAsync(words, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return EXIT.done;
    const terminal = new Terminal({ json: jsonFailures, colour: false, verbose: false });
    const message = error.message.replace(/^error: /, '');
    if (jsonFailures) {
      const what = error.code === 'commander.help' ? 'no command was given' : message;
      terminal.fail(new AutotorrentError('USAGE', what, { hint: 'autotorrent --help' }));
    } else if (error.code !== 'commander.help') {
      // Commander appends what may have been meant as a line of its own.
      const [, what = message, meant] = /^([\s\S]*?)\n(\(Did you mean [\s\S]*)$/.exec(message) ?? [];
      terminal.logger.error(what);
      if (meant !== undefined) terminal.note(meant);
    }
    return EXIT.usage;
  }
  if (chosen === undefined) return EXIT.done;
  const { run, globals } = chosen;
  const terminal = new Terminal({
    json: globals.json === true,
    jsonFailures,
    colour: globals.color !== false,
    verbose: globals.verbose === true,
  });
  const signals = stopOnSignals();
  // Read once: after `actAsOwner` this process may not be allowed to read it.
  let file: ConfigFile | undefined;
  /** The old flags run several commands, each of which asks for the configuration. */
  const noticed = new Set<string>();
  const configWith = async (client: string | undefined): Promise<Config> => {
    const options = { cwd: process.cwd(), env: process.env, file: globals.config, client, signal: signals.signal };
    file ??= await findConfig(options);
    const config = readAs(file, options);
    const others = [...besideIndex(config.db), config.storePath];
    actAsOwner({ ...config, others, program: wiring.program }, terminal.logger);
    return config;
  };
  try {
    return await run({
      terminal,
      cwd: process.cwd(),
      env: process.env,
      wiring,
      signal: signals.signal,
      configFile: globals.config,
      clientArgs: globals.client === undefined ? [] : ['-l', globals.client],
      secondSignal: () => signals.second(),
      configOf: (section) => configWith(section === '' ? undefined : section),
      async config() {
        const config = await configWith(globals.client);
        for (const notice of [...(file?.notices ?? []), ...config.notices, ...clientNotices(config.client)]) {
          if (!noticed.has(notice)) terminal.logger.warn(notice);
          noticed.add(notice);
        }
        return config;
      },
    });
  } catch (error) {
    if (signals.signal.aborted) {
      terminal.stopped();
      return EXIT.failed;
    }
    terminal.fail(error);
    return exitCodeOf(error);
  } finally {
    signals.release();
    terminal.clearProgress();
  }
}

/** Commands of a later version: refused by name. */
const LATER: ReadonlySet<string> = new Set(['prune', 'unseeded', 'watch', 'doctor']);

function strangeCommandError(word: string, commands: ReadonlySet<string>): AutotorrentError {
  if (LATER.has(word)) {
    return new AutotorrentError('USAGE', `this version does not have the command ${word} yet`, {
      hint: 'autotorrent --help',
    });
  }
  const meant = /\.torrent$/i.test(word) ? `add ${word}` : nearest(word, commands);
  return new AutotorrentError('USAGE', `there is no command ${word}`, {
    hint: meant === undefined ? 'autotorrent --help' : `did you mean autotorrent ${meant}?`,
  });
}

function base(version: string): Command {
  return (
    new Command('autotorrent')
      .description('Seeds torrents from the files you already have, through a FUSE mount instead of links and copies.')
      .exitOverride()
      // Errors quote the command line, so the terminal prints them.
      .configureOutput({ outputError: () => {} })
      .version(version, '-V, --version', 'print the version')
      .option('-c, --config <file>', 'the configuration (default: ./autotorrent.conf)')
      .option('-l, --client <name>', 'use the section [client-NAME] instead of [client]')
      .option('--verbose', 'print more on standard error')
      .option('--json', 'print one JSON document on standard output')
      .option('--no-color', 'print no colours')
  );
}

type Choose = (globals: GlobalFlags, run: Run) => void;

function modernProgram(version: string, choose: Choose): Command {
  const program = base(version).usage('[-c FILE] [-l CLIENT] [--verbose] [--json] [--no-color] <command>');
  program.helpCommand(true);
  const definer = definerOn(program, (run) => choose(program.opts<GlobalFlags>(), run));
  for (const define of COMMANDS) define(definer);
  program.addHelpText(
    'after',
    `
The flags of the original work without a command, and combine: -t, -r [PATH…], -a TORRENT…, -d, --dry-run,
--create_config [FILE]. To begin: autotorrent init, edit the file, then rebuild, mount, add.`,
  );
  // Only global flags: print the help, with the exit code of wrong use.
  program.action(() => program.help({ error: true }));
  return program;
}

function definerOn(parent: Command, run: (work: Run) => void): Definer {
  const command = (usage: string, description: string): Command =>
    parent.command(usage).description(description).exitOverride();
  return {
    command,
    hidden: (usage) => parent.command(usage, { hidden: true }).exitOverride(),
    group: (name, description) => definerOn(command(name, description).helpCommand(false), run),
    run,
  };
}

/** The flags of the original, which combine in one call: test, then rebuild, then add. */
function originalProgram(version: string, choose: Choose): Command {
  const program = base(version);
  defineOriginal(program, (run) => choose(program.opts<GlobalFlags>(), run));
  return program;
}
