/** `autotorrent mount` */
import { startDaemon, tellStarter } from '../../server/daemon.ts';
import { runMount } from '../../server/mount.ts';
import type { CommandContext } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';

export interface MountFlags {
  readonly driver?: 'auto' | 'fuse-native';
  readonly daemon?: boolean;
  readonly allowOther?: boolean;
  readonly readOnly?: boolean;
}

export async function mount(context: CommandContext, flags: MountFlags): Promise<ExitCode> {
  const { terminal, wiring } = context;
  const config = await context.config();
  if (flags.daemon === true) {
    const rest = [
      ...(flags.driver === undefined ? [] : ['--driver', flags.driver]),
      ...(flags.allowOther === true ? ['--allow-other'] : []),
      ...(flags.readOnly === true ? ['--read-only'] : []),
    ];
    const args = ['-c', config.file, ...context.clientArgs, 'mount', ...rest];
    const { pid, log } = await startDaemon(config, wiring.program, args);
    if (terminal.json) terminal.printJson({ mount_point: config.storePath, pid, log });
    else terminal.print(`Serving ${config.storePath} in process ${pid}, which logs to ${log}`);
    return EXIT.done;
  }
  await runMount(config, {
    version: wiring.version,
    verifyCommand: [wiring.program, '-c', config.file, 'verify-downloads'],
    driver: flags.driver ?? config.driver,
    allowOther: flags.allowOther === true ? true : config.allowOther,
    readOnly: flags.readOnly === true,
    logger: terminal.logger,
    absenceCommand: [wiring.program, '-c', config.file, 'absence'],
    signal: context.signal,
    hurry: context.secondSignal(),
    onServing({ mountPoint, driver, visibleTo }) {
      if (terminal.json) {
        terminal.printJson({ mount_point: mountPoint, pid: process.pid, driver, visible_to: visibleTo });
      }
      const audience = visibleTo === 'everyone' ? 'all users see it' : 'only this user sees it';
      terminal.note(`Serving ${mountPoint} (${driver}; ${audience}). Ctrl-C or \`autotorrent unmount\` ends it.`);
      tellStarter();
    },
  });
  terminal.note(`Unmounted ${config.storePath}`);
  return EXIT.done;
}
