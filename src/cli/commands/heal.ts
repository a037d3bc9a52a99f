/** `autotorrent heal`: run by the server (`server/processes/healer.ts`). */
import type { CommandContext, Definer } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';

export function defineHeal(define: Definer): void {
  define.hidden('heal').action(() => define.run((context) => run(context)));
}

async function run(context: CommandContext): Promise<ExitCode> {
  const { heal } = await import('../../server/children/heal.ts');
  await heal(await context.configOf(''), { logger: context.terminal.logger, signal: context.signal });
  return EXIT.done;
}
