/** `autotorrent overlay diff ENTRY` */

import { overlayChanges } from '../../app/overlay-changes.ts';
import { bytes } from '../../app/quantities.ts';
import type { ServedDifference } from '../../control/served.ts';
import { printable } from '../../logger.ts';
import type { CommandContext } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { type DifferenceJson, differenceJson } from '../json.ts';

export async function overlayDiff(context: CommandContext, id: string): Promise<ExitCode> {
  const { terminal } = context;
  const { entry, differences } = await overlayChanges(await context.config(), id);
  const totals = new Totals();
  const all: DifferenceJson[] = [];
  for await (const difference of differences) {
    totals.add(difference);
    if (terminal.json) all.push(differenceJson(difference));
    else for (const line of lines(difference)) terminal.print(printable(line));
  }
  if (terminal.json)
    terminal.printJson({ name: entry.name, info_hash: entry.infoHash, ...totals.document(), differences: all });
  else if (totals.differences === 0) terminal.print('Nothing differs from what was planned');
  else terminal.print(`${printable(entry.name)}: ${totals.text()}`);
  return EXIT.done;
}

/** Of many differences. */
export class Totals {
  differences = 0;
  readonly #counts = { written: 0, resized: 0, touched: 0, moved: 0, deleted: 0, replaced: 0, made: 0 };
  #writtenBytes = 0;
  /** Over files that were planned, and in files that clients made. */
  #madeBytes = 0;

  add({ changes, writtenBytes: written }: ServedDifference): void {
    this.differences++;
    for (const change of changes) this.#counts[change]++;
    if (changes.includes('made') || changes.includes('replaced')) this.#madeBytes += written;
    else this.#writtenBytes += written;
  }

  document(): { readonly counts: object; readonly written_bytes: number; readonly made_bytes: number } {
    return { counts: this.#counts, written_bytes: this.#writtenBytes, made_bytes: this.#madeBytes };
  }

  /** `2 written, 1 deleted: 4.1 kB written over files, 12 bytes in files that clients made`. */
  text(): string {
    const counts = Object.entries(this.#counts).filter(([, count]) => count > 0);
    const told = counts.map(([change, count]) => `${count} ${change}`).join(', ');
    return `${told}: ${bytes(this.#writtenBytes)} written over files, ${bytes(this.#madeBytes)} in files that clients made`;
  }
}

/** So many ranges of a file are shown. */
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
  if (size !== planned) return `${size} bytes in place of ${planned}`;
  return `zeros from byte ${base} on where nothing is written`;
}
