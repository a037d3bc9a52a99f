/** `autotorrent protect [ENTRY…]` */
import { bytes as shownBytes } from '../../app/quantities.ts';
import type { ProtectedEntry } from '../../control/served.ts';
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { quoted } from '../format.ts';
import { protectedJson } from '../json.ts';

export function defineProtect(define: Definer): void {
  define
    .command(
      'protect [entry...]',
      'make pins of the sources of entries, or of all, as protect in the configuration says',
    )
    .addHelpText(
      'after',
      helpEnding({
        examples: ['autotorrent protect', 'autotorrent protect Some.Release'],
        exits: ['3  some sources could not be pinned'],
      }),
    )
    .action((entries: string[]) => define.run((context) => protect(context, entries)));
}

const SHOWN = 10;

async function protect(context: CommandContext, ids: readonly string[]): Promise<ExitCode> {
  const { terminal, signal } = context;
  const { protectEntries } = await import('../../app/protect.ts');
  const results: ProtectedEntry[] = [];
  for await (const entry of protectEntries(await context.config(), ids, signal)) {
    results.push(entry);
    if (terminal.json) continue;
    for (const line of lines(entry)) terminal.print(line);
  }
  if (terminal.json) terminal.printJson(results.map(protectedJson));
  return results.some(({ unpinned }) => unpinned.length > 0) ? EXIT.incomplete : EXIT.done;
}

function lines({ name, sources, bytes, made, off, unpinned }: ProtectedEntry): string[] {
  const parts = [
    `${sources} source(s) pinned, ${shownBytes(bytes)}, ${made} of them now`,
    ...(off === 0 ? [] : [`${off} on disks with protect = off`]),
    ...(unpinned.length === 0 ? [] : [`${unpinned.length} not pinned`]),
  ];
  return [
    `${quoted(name)} ${parts.join(', ')}`,
    ...unpinned.slice(0, SHOWN).map(({ path, reason }) => `  ${path} ${reason}`),
    ...(unpinned.length > SHOWN ? [`  and ${unpinned.length - SHOWN} more (--json has all)`] : []),
  ];
}
