/** `autotorrent repair`: run by the server, which reads its output (`server/processes/repair.ts`). */
import type { RepairLine } from '../../server/processes/repair.ts';
import type { CommandContext, Definer } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';

interface RepairFlags {
  readonly asked?: readonly string[];
  readonly returned?: readonly string[];
  readonly mapped?: readonly string[];
}

export function defineRepair(define: Definer): void {
  define
    .hidden('repair [infoHash...]')
    .option('--asked <infoHash...>')
    .option('--returned <infoHash...>')
    .option('--mapped <infoHash...>')
    .action((infoHashes: string[], flags: RepairFlags) => define.run((context) => repair(context, infoHashes, flags)));
}

async function repair(
  context: CommandContext,
  infoHashes: readonly string[],
  { asked = [], returned = [], mapped = [] }: RepairFlags,
): Promise<ExitCode> {
  const { repairEntries } = await import('../../server/children/repair/repair.ts');
  await repairEntries(await context.configOf(''), {
    infoHashes,
    asked: new Set(asked),
    returned: new Map([
      ...returned.map((infoHash) => [infoHash, 'found'] as const),
      ...mapped.map((infoHash) => [infoHash, 'mapped'] as const),
    ]),
    configOf: (section) => context.configOf(section),
    logger: context.terminal.logger,
    report: (line) => context.terminal.printJsonLine(line satisfies RepairLine),
  });
  return EXIT.done;
}
