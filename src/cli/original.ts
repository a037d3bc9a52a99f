/**
 * The original's flags. As in the original, they combine in one call, in the order test, rebuild, add, and the exit
 * code only says that they were run, whatever happened to each torrent.
 */
import { dirname, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { AutotorrentError } from '../errors.ts';
import { type CommandContext, helpEnding, type Run } from './command.ts';
import { add } from './commands/add.ts';
import { init } from './commands/init.ts';
import { rebuild } from './commands/rebuild.ts';
import { testConnection } from './commands/test-connection.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

interface OriginalFlags {
  readonly create_config?: string | true;
  readonly testConnection?: boolean;
  readonly test_connection?: boolean;
  readonly rebuild?: string[] | true;
  readonly addfile?: string[];
  readonly deleteTorrents?: boolean;
  readonly delete_torrents?: boolean;
  readonly dryRun?: 'txt' | 'json';
}

/** Adds the flags to `program`, whose action calls `run`. */
export function defineOriginal(program: Command, run: (work: Run) => void): void {
  program
    .usage('[options]')
    .option('--create_config [file]', 'write a commented configuration; never overwrites')
    .option('-t, --test-connection', 'connect to the client and print its version')
    .addOption(new Option('--test_connection').hideHelp())
    .option('-r, --rebuild [path...]', 'index the collection: all disks, or just these paths')
    .option('-a, --addfile <torrent...>', 'add torrents')
    .option('-d, --delete_torrents', 'delete each .torrent once the client has it')
    .addOption(new Option('--delete-torrents').hideHelp())
    .option('--dry-run [format]', 'only print what would be done, as txt or json')
    .allowExcessArguments(false)
    .action((flags: OriginalFlags) => run((context) => runOriginal(context, flags)))
    .addHelpText(
      'after',
      helpEnding({ examples: ['autotorrent -r', 'autotorrent -a *.torrent -d', 'autotorrent -t -r -a x.torrent'] }),
    );
}

async function runOriginal(context: CommandContext, flags: OriginalFlags): Promise<ExitCode> {
  if (flags.create_config !== undefined) {
    return await init(context, flags.create_config === true ? undefined : flags.create_config);
  }
  const test = flags.testConnection === true || flags.test_connection === true;
  if (!test && flags.rebuild === undefined && flags.addfile === undefined) {
    throw new AutotorrentError('USAGE', 'nothing to do: give a command, or one of -t, -r, -a, --create_config', {
      hint: 'autotorrent --help',
    });
  }
  // One document in any case; with several flags each is a member of it.
  const several = [test, flags.rebuild !== undefined, flags.addfile !== undefined].filter(Boolean).length > 1;
  if (several) context.terminal.gatherJson();
  if (test) {
    context.terminal.nameJson('test_connection');
    await testConnection(context);
  }
  if (flags.rebuild !== undefined) {
    // In the original, bare -r emptied its index first; an incremental scan of all disks ends in the same state. Its
    // paths were relative to the configuration's folder, unlike those of `rebuild`.
    const folder = dirname((await context.config()).file);
    const paths = flags.rebuild === true ? [] : flags.rebuild.map((path) => resolve(folder, path));
    context.terminal.nameJson('rebuild');
    await rebuild(context, paths, {});
  }
  if (flags.addfile !== undefined) {
    context.terminal.nameJson('add');
    await add(context, flags.addfile, {
      client: true,
      deleteTorrents: flags.deleteTorrents === true || flags.delete_torrents === true,
      ...(flags.dryRun === undefined ? {} : { dryRun: flags.dryRun }),
    });
  }
  context.terminal.printGathered();
  return EXIT.done;
}
