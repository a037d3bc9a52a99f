/** `autotorrent remove ENTRY…` */
import type { RemovedEntry } from '../../app/remove.ts';
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { quoted } from '../format.ts';
import { removedJson } from '../json.ts';

export interface RemoveFlags {
  readonly fromClient?: boolean;
}

export function defineRemove(define: Definer): void {
  define
    .command('remove <entry...>', 'take entries out of the store; their sources stay')
    .option('--from-client', 'remove the torrents from the client, too (their data stays)')
    .addHelpText('after', helpEnding({ examples: ['autotorrent remove Some.Release --from-client'] }))
    .action((entries: string[], flags: RemoveFlags) => define.run((context) => remove(context, entries, flags)));
}

export async function remove(context: CommandContext, ids: readonly string[], flags: RemoveFlags): Promise<ExitCode> {
  const { terminal } = context;
  const { removeEntries } = await import('../../app/remove.ts');
  const removed: RemovedEntry[] = [];
  for await (const entry of removeEntries(await context.config(), ids, flags.fromClient === true)) {
    removed.push(entry);
    if (terminal.json) continue;
    const client =
      flags.fromClient !== true ? '' : entry.fromClient ? ' and the client' : '; the client did not have it';
    terminal.print(`Removed ${quoted(entry.name)} from the store${client}`);
  }
  if (terminal.json) terminal.printJson(removed.map(removedJson));
  return EXIT.done;
}
