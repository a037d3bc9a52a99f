/**
 * The command line: one commander program with a command a file, and one with the original's flags.
 * A command's code, and what it needs, is loaded when it runs: `add --dry-run` must not wait for a FUSE driver to load.
 */
import { Command, CommanderError, Option } from 'commander';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { nearest } from '../config/nearest.ts';
import { AutotorrentError } from '../errors.ts';
import { expandPrefixes, hasCommand, settleDryRun, strangeCommand } from './arguments.ts';
import { type CommandContext, helpEnding, type Wiring } from './command.ts';
import type { AddFlags } from './commands/add.ts';
import type { DiscardFlags } from './commands/overlay-discard.ts';
import type { ExportFlags } from './commands/overlay-export.ts';
import type { VerifyFlags } from './commands/verify.ts';
import type { VerifyDownloadsFlags } from './commands/verify-downloads.ts';
import { EXIT, type ExitCode, exitCodeOf } from './exit-codes.ts';
import type { OriginalFlags } from './original.ts';
import { stopOnSignals } from './signals.ts';
import { Terminal } from './terminal.ts';

interface GlobalOptions {
  readonly config?: string;
  readonly client?: string;
  readonly verbose?: boolean;
  readonly json?: boolean;
  readonly color?: boolean;
}

type Run = (context: CommandContext) => Promise<ExitCode>;

/** Runs one command line (without node and the script); answers its exit code, and never throws. */
export async function runProgram(args: readonly string[], wiring: Wiring): Promise<ExitCode> {
  let chosen: { run: Run; globals: GlobalOptions } | undefined;
  const choose = (globals: GlobalOptions, run: Run): void => {
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
  if (jsonFailures) for (const part of parts) part.configureOutput({ outputError: () => {} });
  try {
    await program.parseAsync(words, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return EXIT.done;
    if (jsonFailures) {
      const terminal = new Terminal({ json: true, colour: false, verbose: false });
      const message = error.code === 'commander.help' ? 'no command was given' : error.message.replace(/^error: /, '');
      terminal.fail(new AutotorrentError('USAGE', message, { hint: 'autotorrent --help' }));
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
  const configWith = (client: string | undefined): Promise<Config> =>
    loadConfig({ cwd: process.cwd(), env: process.env, file: globals.config, client });
  const signals = stopOnSignals();
  try {
    return await run({
      terminal,
      cwd: process.cwd(),
      env: process.env,
      wiring,
      signal: signals.signal,
      clientArgs: globals.client === undefined ? [] : ['-l', globals.client],
      secondSignal: () => signals.second(),
      configOf: (section) => configWith(section === '' ? undefined : section),
      async config() {
        const config = await configWith(globals.client);
        for (const notice of config.notices) terminal.logger.warn(notice);
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

/** Commands that a later version has: refused by name. */
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
  return new Command('autotorrent')
    .description('Seeds torrents from the files you already have, through a FUSE mount instead of links and copies.')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text) })
    .version(version, '-V, --version', 'print the version')
    .option('-c, --config <file>', 'the configuration (default: ./autotorrent.conf)')
    .option('-l, --client <name>', 'use the section [client-NAME] instead of [client]')
    .option('--verbose', 'say more on standard error')
    .option('--json', 'print one JSON document on standard output')
    .option('--no-color', 'print no colours');
}

function modernProgram(version: string, choose: (globals: GlobalOptions, run: Run) => void): Command {
  const program = base(version).usage('[-c FILE] [-l CLIENT] [--verbose] [--json] [--no-color] <command>');
  program.helpCommand(true);
  const command = (usage: string, description: string): Command =>
    program.command(usage).description(description).exitOverride();
  const action = (run: Run): void => choose(program.opts<GlobalOptions>(), run);
  const verifyOption = (): Option =>
    new Option('--verify <how>', 'how much of a name and size match is hashed').choices([
      'auto',
      'none',
      'probe',
      'full',
    ]);

  command('init [file]', 'write a commented configuration with the torrent clients of this machine; never overwrites')
    .addHelpText('after', helpEnding({ examples: ['autotorrent init', 'autotorrent init ~/autotorrent.conf'] }))
    .action((file: string | undefined) => {
      const named = file ?? program.opts<GlobalOptions>().config ?? 'autotorrent.conf';
      action(async (context) => (await import('./commands/init.ts')).init(context, named));
    });

  command('rebuild [path...]', 'index the collection: all disks, or just these paths')
    .option('--full', 'read every folder again, changed or not')
    .addHelpText('after', helpEnding({ examples: ['autotorrent rebuild', 'autotorrent rebuild /data/new --full'] }))
    .action((paths: string[], flags: { full?: boolean }) =>
      action(async (context) => (await import('./commands/rebuild.ts')).rebuild(context, paths, flags)),
    );

  command('mount', 'serve store_path until stopped')
    .addOption(new Option('--driver <name>', 'how to speak to the kernel').choices(['auto', 'fuse-native']))
    .option('--daemon', 'detach when the mount is there; the log goes to the state folder')
    .option('--allow-other', 'let all users see the mount')
    .option('--read-only', 'mount read-only')
    .addHelpText('after', helpEnding({ examples: ['autotorrent mount', 'autotorrent mount --daemon'] }))
    .action((flags: { driver?: 'auto' | 'fuse-native'; daemon?: boolean; allowOther?: boolean; readOnly?: boolean }) =>
      action(async (context) => (await import('./commands/mount.ts')).mount(context, flags)),
    );

  command('unmount', 'stop the server of this configuration; works on a stale mount, too')
    .addHelpText('after', helpEnding({ examples: ['autotorrent unmount'] }))
    .action(() => action(async (context) => (await import('./commands/unmount.ts')).unmount(context)));

  // For the server alone, which neither talks to clients nor hashes.
  program
    .command('absence <what>', { hidden: true })
    .exitOverride()
    .action((what: string) =>
      action(async (context) => (await import('./commands/absence.ts')).absence(context, what)),
    );

  program
    .command('verify-downloads [infoHash...]', { hidden: true })
    .option('--unasked <infoHash...>')
    .exitOverride()
    .action((infoHashes: string[], flags: VerifyDownloadsFlags) =>
      action(async (context) =>
        (await import('./commands/verify-downloads.ts')).verifyDownloadsCommand(context, infoHashes, flags),
      ),
    );

  command('add <torrent...>', 'match torrents, show them in the mount, and add them to the client')
    .option('--dry-run [format]', 'only say what would be done, as txt or json')
    .option('-d, --delete-torrents', 'delete each .torrent when the client has it')
    .option('--force', 'add to the client again what the store has already')
    .option('--no-client', 'do not talk to a client')
    .option('--stopped', 'leave the torrents stopped in the client')
    .addOption(verifyOption())
    .addHelpText(
      'after',
      helpEnding({
        examples: ['autotorrent add *.torrent', 'autotorrent add --dry-run json folder/ | jq .'],
        exits: ['3  at least one torrent ended Missing, Exists or Failed'],
      }),
    )
    .action((torrents: string[], flags: AddFlags) =>
      action(async (context) => (await import('./commands/add.ts')).add(context, torrents, flags)),
    );

  command('list', 'the entries, with what their client says')
    .option('--no-client', 'do not ask the client')
    .addHelpText('after', helpEnding({ examples: ['autotorrent list', 'autotorrent --json list'] }))
    .action((flags: { client: boolean }) =>
      action(async (context) => (await import('./commands/list.ts')).list(context, flags)),
    );

  command('show <entry>', "an entry's files, where their bytes come from, and its piece map")
    .addHelpText('after', helpEnding({ examples: ['autotorrent show Some.Release', 'autotorrent show 0123abcd'] }))
    .action((entry: string) => action(async (context) => (await import('./commands/show.ts')).show(context, entry)));

  command('verify [entry...]', 'hash entries (all of them, or just these) and say what does not agree')
    .option('--unverified', 'hash only the pieces that are not verified yet')
    .addHelpText(
      'after',
      helpEnding({
        examples: ['autotorrent verify', 'autotorrent verify Some.Release --unverified'],
        exits: ['3  at least one entry is broken'],
      }),
    )
    .action((entries: string[], flags: VerifyFlags) =>
      action(async (context) => (await import('./commands/verify.ts')).verify(context, entries, flags)),
    );

  command('remove <entry...>', 'take entries out of the store; their sources stay')
    .option('--from-client', 'remove the torrents from the client, too (their data stays)')
    .addHelpText('after', helpEnding({ examples: ['autotorrent remove Some.Release --from-client'] }))
    .action((entries: string[], flags: { fromClient?: boolean }) =>
      action(async (context) => (await import('./commands/remove.ts')).remove(context, entries, flags)),
    );

  const overlay = command('overlay', 'what clients wrote: show it, drop it, or write a finished copy').helpCommand(
    false,
  );
  const overlayCommand = (usage: string, description: string): Command =>
    overlay.command(usage).description(description).exitOverride();

  overlayCommand('diff <entry>', 'which files are not as they were planned, and where')
    .addHelpText(
      'after',
      helpEnding({ examples: ['autotorrent overlay diff Some.Release', 'autotorrent --json overlay diff 0123abcd'] }),
    )
    .action((entry: string) =>
      action(async (context) => (await import('./commands/overlay-diff.ts')).overlayDiff(context, entry)),
    );

  overlayCommand(
    'discard <entry> [file...]',
    'drop what clients wrote: all of an entry, or just these files and folders',
  )
    .option('--yes', 'do not ask')
    .addHelpText(
      'after',
      helpEnding({
        examples: [
          'autotorrent overlay discard Some.Release',
          'autotorrent overlay discard 0123abcd Album/Song.mp3 --yes',
        ],
      }),
    )
    .action((entry: string, files: string[], flags: DiscardFlags) =>
      action(async (context) =>
        (await import('./commands/overlay-discard.ts')).overlayDiscard(context, entry, files, flags),
      ),
    );

  overlayCommand('export <entry> <dest>', 'write a finished, plain copy of an entry to a new folder')
    .option('--force', 'write zeros in the place of what is missing')
    .addHelpText(
      'after',
      `
DEST must not exist. It is made when the copy is whole, from DEST.partial beside it; the same command goes on with
what an interrupted one has left there. A client that is given DEST as its download folder finds the torrent in it.
${helpEnding({ examples: ['autotorrent overlay export Some.Release /data/finished/Some.Release'] })}`,
    )
    .action((entry: string, dest: string, flags: ExportFlags) =>
      action(async (context) =>
        (await import('./commands/overlay-export.ts')).overlayExport(context, entry, dest, flags),
      ),
    );

  command('status', 'what the server does')
    .addHelpText('after', helpEnding({ examples: ['autotorrent status'] }))
    .action(() => action(async (context) => (await import('./commands/status.ts')).status(context)));

  command('test-connection', 'connect to the client and print what it says')
    .addHelpText('after', helpEnding({ examples: ['autotorrent -l deluge test-connection'] }))
    .action(() => action(async (context) => (await import('./commands/test-connection.ts')).testConnection(context)));

  program.addHelpText(
    'after',
    `
The flags of the original work without a command, and combine: -t, -r [PATH…], -a TORRENT…, -d, --dry-run,
--create_config [FILE]. To begin: autotorrent init, edit the file, then rebuild, mount, add.`,
  );
  // Nothing but global flags: the help is what is wanted, and a wrong use all the same.
  program.action(() => program.help({ error: true }));
  return program;
}

/** The flags of the original, which combine in one call: test, then rebuild, then add. */
function originalProgram(version: string, choose: (globals: GlobalOptions, run: Run) => void): Command {
  const program = base(version);
  program
    .usage('[options]')
    .option('--create_config [file]', 'write a commented configuration; never overwrites')
    .option('-t, --test-connection', 'connect to the client and print what it says')
    .addOption(new Option('--test_connection').hideHelp())
    .option('-r, --rebuild [path...]', 'index the collection: all disks, or just these paths')
    .option('-a, --addfile <torrent...>', 'add torrents')
    .option('-d, --delete_torrents', 'delete each .torrent when the client has it')
    .addOption(new Option('--delete-torrents').hideHelp())
    .option('--dry-run [format]', 'only say what would be done, as txt or json')
    .allowExcessArguments(false)
    .action((flags: OriginalFlags) =>
      choose(program.opts<GlobalOptions>(), async (context) => {
        const { runOriginal } = await import('./original.ts');
        return runOriginal(context, flags, program.opts<GlobalOptions>().config);
      }),
    )
    .addHelpText(
      'after',
      helpEnding({ examples: ['autotorrent -r', 'autotorrent -a *.torrent -d', 'autotorrent -t -r -a x.torrent'] }),
    );
  return program;
}
