/** `autotorrent overlay discard ENTRY [FILE…]` */
import { means, overlayChanges } from '../../app/overlay-changes.ts';
import { bytes } from '../../app/quantities.ts';
import { printable } from '../../logger.ts';
import type { CommandContext } from '../command.ts';
import { confirm } from '../confirm.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { quoted } from '../format.ts';
import { discardJson } from '../json.ts';
import { Totals } from './overlay-diff.ts';

export interface DiscardFlags {
  readonly yes?: boolean;
}

export async function overlayDiscard(
  context: CommandContext,
  id: string,
  paths: readonly string[],
  flags: DiscardFlags,
): Promise<ExitCode> {
  const { terminal } = context;
  const changes = await overlayChanges(await context.config(), id);
  const { entry, differences } = changes;
  if (flags.yes !== true) {
    const totals = new Totals();
    for await (const difference of differences) {
      if (paths.length === 0 || paths.some((path) => means(path, difference, entry))) totals.add(difference);
    }
    if (totals.differences > 0) {
      const question = `This cannot be undone. Discard, of ${printable(quoted(entry.name))}, ${totals.text()}?`;
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
      ? `Nothing of ${quoted(entry.name)} differs from what was planned`
      : `Discarded ${result.discarded} difference(s) of ${quoted(entry.name)}, ${bytes(result.bytes)}`,
  );
  for (const { path, reason } of result.kept) terminal.logger.warn(`${path} did not get its name back: ${reason}`);
  return result.kept.length === 0 ? EXIT.done : EXIT.failed;
}
