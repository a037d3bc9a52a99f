/** `autotorrent mount` */
import { access, constants } from 'node:fs/promises';
import { Option } from 'commander';
import { namesOf } from '../../config/owner.ts';
import { AutotorrentError, messageOf } from '../../errors.ts';
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { whoReads } from '../who-reads.ts';

export interface MountFlags {
  readonly driver?: 'auto' | 'kernel' | 'fuse-native';
  readonly daemon?: boolean;
  readonly allowOther?: boolean;
  readonly readOnly?: boolean;
}

export function defineMount(define: Definer): void {
  define
    .command('mount', 'serve store_path until stopped')
    .addOption(new Option('--driver <name>', 'how to speak to the kernel').choices(['auto', 'kernel', 'fuse-native']))
    .option('--daemon', 'detach when the mount is there; the log goes to the state folder')
    .option('--allow-other', 'let all users see the mount')
    .option('--read-only', 'mount read-only')
    .addHelpText('after', helpEnding({ examples: ['autotorrent mount', 'autotorrent mount --daemon'] }))
    .action((flags: MountFlags) => define.run((context) => mount(context, flags)));
}

export async function mount(context: CommandContext, flags: MountFlags): Promise<ExitCode> {
  const { terminal, wiring } = context;
  const config = await context.config();
  await mustReadAgain(config.file);
  const { startDaemon, tellStarter, tellStarterOfFailure } = await import('../../server/daemon.ts');
  const { knownClients } = await import('../../app/client-user.ts');
  const { mountOwner, shutOut } = await import('../../config/mount-owner.ts');
  const clients = await knownClients(config, context.configOf);
  for (const complaint of shutOut(mountOwner(config, clients), clients, config.file)) terminal.logger.warn(complaint);
  if (flags.daemon === true) {
    const rest = [
      ...(flags.driver === undefined ? [] : ['--driver', flags.driver]),
      ...(flags.allowOther === true ? ['--allow-other'] : []),
      ...(flags.readOnly === true ? ['--read-only'] : []),
    ];
    const args = ['-c', config.file, ...context.clientArgs, 'mount', ...rest];
    const { pid, log } = await startDaemon(config, wiring.program, args, terminal.logger);
    if (terminal.json) terminal.printJson({ mount_point: config.storePath, pid, log });
    else terminal.print(`Serving ${config.storePath} in process ${pid}, which logs to ${log}`);
    return EXIT.done;
  }
  const { listGivenFolders } = await import('../../app/given-folders.ts');
  await listGivenFolders(config, { logger: terminal.logger, signal: context.signal });
  const { runMount } = await import('../../server/mount.ts');
  const { localAccounts } = await import('../../config/load.ts');
  const serving = runMount(config, {
    version: wiring.version,
    verifyCommand: [wiring.program, '-c', config.file, 'verify-downloads'],
    healCommand: [wiring.program, '-c', config.file, 'heal'],
    driver: flags.driver ?? config.driver,
    allowOther: flags.allowOther === true ? true : config.allowOther,
    readOnly: flags.readOnly === true,
    logger: terminal.logger,
    scrubCommand: [wiring.program, '-c', config.file, 'scrub-background'],
    absenceCommand: [wiring.program, '-c', config.file, 'absence'],
    repairCommand: [wiring.program, '-c', config.file, 'repair'],
    signal: context.signal,
    hurry: context.secondSignal(),
    findOwner: async () => mountOwner(config, await knownClients(config, context.configOf)),
    onServing({ mountPoint, driver, driverReason, driverDetail, passedOver, visibleTo, owner }) {
      if (terminal.json) {
        terminal.printJson({
          mount_point: mountPoint,
          pid: process.pid,
          driver,
          ...(driverDetail === undefined ? {} : { driver_detail: driverDetail }),
          driver_reason: driverReason,
          visible_to: visibleTo,
        });
      }
      const audience = visibleTo === 'everyone' ? 'all users see it' : 'only this user sees it';
      terminal.note(`Serving ${mountPoint} (${driver}; ${audience}). Ctrl-C or \`autotorrent unmount\` ends it.`);
      for (const why of passedOver) terminal.note(`Driver ${driver} serves, since ${why}`);
      if (visibleTo === 'everyone') {
        const isClients = owner.from === 'client';
        terminal.note(whoReads({ ...namesOf(owner, localAccounts()), isClients }, config.umask));
      }
      tellStarter();
    },
  });
  try {
    await serving;
  } catch (error) {
    await tellStarterOfFailure(error);
    throw error;
  }
  terminal.note(`Unmounted ${config.storePath}`);
  return EXIT.done;
}

/** The processes that the server starts read the configuration again, as the server's user. */
async function mustReadAgain(file: string): Promise<void> {
  try {
    await access(file, constants.R_OK);
  } catch (cause) {
    throw new AutotorrentError('CONFIG', `the server's user may not read ${file}: ${messageOf(cause)}`, {
      cause,
      hint: 'the server acts as the user whom the state belongs to: give the file to that user (chown)',
    });
  }
}
