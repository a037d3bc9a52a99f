/** `autotorrent overlay discard ENTRY [FILE…]` */
import { bytes } from '../../app/quantities.ts';
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { confirm } from '../confirm.ts';
import { DifferenceTotals } from '../difference-totals.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { quoted } from '../format.ts';
import { discardJson } from '../json.ts';

export interface DiscardFlags {
  readonly yes?: boolean;
}

export function defineOverlayDiscard(define: Definer): void {
  define
    .command('discard <entry> [file...]', 'discard what clients wrote: to an entry, or just to these files and folders')
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
      define.run((context) => overlayDiscard(context, entry, files, flags)),
    );
}

export async function overlayDiscard(
  context: CommandContext,
  id: string,
  paths: readonly string[],
  flags: DiscardFlags,
): Promise<ExitCode> {
  const { terminal } = context;
  const { means, overlayChanges } = await import('../../app/overlay-changes.ts');
  const changes = await overlayChanges(await context.config(), id);
  const { entry, differences } = changes;
  if (flags.yes !== true) {
    const totals = new DifferenceTotals();
    for await (const difference of differences) {
      if (paths.length === 0 || paths.some((path) => means(path, difference, entry))) totals.add(difference);
    }
    if (totals.differences > 0) {
      const question = `This cannot be undone. Discard ${totals.text()} from ${quoted(entry.name)}?`;
      if (!(await confirm(context, question))) {
        terminal.note('Nothing was discarded');
        return EXIT.failed;
      }
    }
  }
  const result = await changes.discard(paths);
  if (terminal.json) {
    terminal.printJson(discardJson(entry, result));
    return result.kept.length === 0 ? EXIT.done : EXIT.failed;
  }
  terminal.print(
    result.discarded === 0 && result.kept.length === 0
      ? `Nothing of ${quoted(entry.name)} differs from the plan`
      : `Discarded ${result.discarded} difference(s) of ${quoted(entry.name)}, ${bytes(result.bytes)}`,
  );
  for (const { path, reason } of result.kept) terminal.logger.warn(`${path} did not get its name back: ${reason}`);
  return result.kept.length === 0 ? EXIT.done : EXIT.failed;
}
