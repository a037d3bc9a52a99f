/** `autotorrent heal`: run by the server (`server/processes/healers.ts`). */
import type { CommandContext, Definer } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';

interface HealFlags {
  readonly urgent?: boolean;
}

export function defineHeal(define: Definer): void {
  define
    .hidden('heal')
    .option('--urgent')
    .action((flags: HealFlags) => define.run((context) => run(context, flags)));
}

async function run(context: CommandContext, { urgent = false }: HealFlags): Promise<ExitCode> {
  const { heal } = await import('../../server/children/heal.ts');
  await heal(await context.configOf(''), { urgent, logger: context.terminal.logger, signal: context.signal });
  return EXIT.done;
}
