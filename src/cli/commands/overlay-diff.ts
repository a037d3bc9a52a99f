/** `autotorrent overlay diff ENTRY` */

import { bytes } from '../../app/quantities.ts';
import type { ServedDifference } from '../../control/served.ts';
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { DifferenceTotals } from '../difference-totals.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { type DifferenceJson, differenceJson } from '../json.ts';

export function defineOverlayDiff(define: Definer): void {
  define
    .command('diff <entry>', 'show which files differ from the plan, and where')
    .addHelpText(
      'after',
      helpEnding({ examples: ['autotorrent overlay diff Some.Release', 'autotorrent --json overlay diff 0123abcd'] }),
    )
    .action((entry: string) => define.run((context) => overlayDiff(context, entry)));
}

export async function overlayDiff(context: CommandContext, id: string): Promise<ExitCode> {
  const { terminal } = context;
  const { overlayChanges } = await import('../../app/overlay-changes.ts');
  const { entry, differences } = await overlayChanges(await context.config(), id);
  const totals = new DifferenceTotals();
  const all: DifferenceJson[] = [];
  for await (const difference of differences) {
    totals.add(difference);
    if (terminal.json) all.push(differenceJson(difference));
    else for (const line of lines(difference)) terminal.print(line);
  }
  if (terminal.json)
    terminal.printJson({ name: entry.name, info_hash: entry.infoHash, ...totals.document(), differences: all });
  else if (totals.differences === 0) terminal.print('Nothing differs from the plan');
  else terminal.print(`${entry.name}: ${totals.text()}`);
  return EXIT.done;
}

/** The number of ranges shown per file. */
const SHOWN_RANGES = 20;

function lines(difference: ServedDifference): string[] {
  const { path, changes, type, ranges, size, plannedSize: planned, baseSize: base, named } = difference;
  const kind = type === 'file' ? '' : ` ${type}`;
  const amounts = [
    ...(changes.includes('written') ? [`${bytes(difference.writtenBytes)} in ${ranges.length} range(s)`] : []),
    ...(changes.includes('made') && type === 'file' ? [bytes(size)] : []),
    ...(changes.includes('replaced') ? [`by ${bytes(size)}`] : []),
    ...(changes.includes('resized') ? [resized(size, planned ?? 0, base)] : []),
    ...named.map((name) => `now ${name}`),
  ];
  const rest = ranges.length - SHOWN_RANGES;
  return [
    `${changes.join(', ').padEnd(8)}${kind}  ${path}${amounts.length === 0 ? '' : `  (${amounts.join('; ')})`}`,
    ...ranges.slice(0, SHOWN_RANGES).map(([offset, end]) => `    ${offset}–${end}`),
    ...(rest > 0 ? [`    and ${rest} more ranges (--json has all)`] : []),
  ];
}

function resized(size: number, planned: number, base: number): string {
  if (size !== planned) return `${size} bytes instead of ${planned}`;
  return `bytes from ${base} on read as zeros unless written`;
}
