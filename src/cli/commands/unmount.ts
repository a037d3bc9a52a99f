/** `autotorrent unmount` */
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';

export function defineUnmount(define: Definer): void {
  define
    .command('unmount', 'stop the server of this configuration; works on a stale mount, too')
    .addHelpText('after', helpEnding({ examples: ['autotorrent unmount'] }))
    .action(() => define.run(unmount));
}

export async function unmount(context: CommandContext): Promise<ExitCode> {
  const config = await context.config();
  const { unmountStore } = await import('../../app/unmount.ts');
  const warnings: string[] = [];
  const outcome = await unmountStore(config, context.terminal.logger, (warning) => {
    warnings.push(warning);
    context.terminal.logger.warn(warning);
  });
  const said = {
    stopped: `Unmounted ${config.storePath}: its server has ended`,
    stale: `Removed the mount at ${config.storePath} that a killed server had left`,
    nothing: `Nothing is mounted at ${config.storePath}`,
  }[outcome];
  if (context.terminal.json) context.terminal.printJson({ mount_point: config.storePath, outcome, warnings });
  else context.terminal.print(said);
  return EXIT.done;
}
