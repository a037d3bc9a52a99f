/** `autotorrent show ENTRY` */

import { bytes } from '../../app/quantities.ts';
import type { ServedEntry, ServedExtent, ServedFile } from '../../control/served.ts';
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { entryJson, fileJson } from '../json.ts';
import { JsonSpool } from '../json-spool.ts';

export function defineShow(define: Definer): void {
  define
    .command('show <entry>', "an entry's files, where their bytes come from, and its piece map")
    .addHelpText('after', helpEnding({ examples: ['autotorrent show Some.Release', 'autotorrent show 0123abcd'] }))
    .action((entry: string) => define.run((context) => show(context, entry)));
}

export async function show(context: CommandContext, id: string): Promise<ExitCode> {
  const { terminal } = context;
  const { showEntry } = await import('../../app/show.ts');
  const { entry, verifiedRanges, files } = await showEntry(await context.config(), id);
  if (terminal.json) {
    const all = new JsonSpool(1);
    for await (const file of files) all.add(fileJson(file));
    terminal.printJson({ ...entryJson(entry), verified_ranges: verifiedRanges, file_list: all });
    return EXIT.done;
  }
  for (const line of heading(entry, verifiedRanges)) terminal.print(line);
  for await (const file of files) for (const line of fileLines(file)) terminal.print(line);
  return EXIT.done;
}

/** The number of ranges shown of the piece map. */
const SHOWN_RANGES = 20;

function heading(entry: ServedEntry, ranges: readonly (readonly [number, number])[]): string[] {
  const unverified = entry.pieces - entry.verifiedPieces;
  const how = {
    none: 'nothing was hashed: names and sizes were trusted',
    probe: 'a few pieces of each file were hashed',
    full: 'every piece was hashed',
  }[entry.verify];
  return [
    entry.name,
    `  info hash  ${entry.infoHash}`,
    `  directory  ${entry.directory}${entry.kind === 'external' ? ' (the original folder, unprotected)' : ''}`,
    `  size       ${bytes(entry.size)} in ${entry.files} file(s): ${bytes(entry.mappedBytes)} mapped, ` +
      `${bytes(entry.downloadedBytes)} downloaded, ${bytes(entry.missingBytes)} missing`,
    `  pieces     ${entry.verifiedPieces} verified, ${unverified} not (${how})`,
    ...(ranges.length === 0 ? [] : [`  verified   ${shownRanges(ranges)}`]),
    `  state      ${entry.state}, ${entry.health}, since ${entry.created.toISOString()}`,
    '',
  ];
}

/** Formats ranges like `pieces 0, 7–12`; both ends are included. */
function shownRanges(ranges: readonly (readonly [number, number])[]): string {
  const shown = ranges
    .slice(0, SHOWN_RANGES)
    .map(([first, end]) => (end - first === 1 ? `${first}` : `${first}–${end - 1}`));
  const rest = ranges.length - shown.length;
  return `pieces ${shown.join(', ')}${rest > 0 ? ` and ${rest} more ranges (--json has all)` : ''}`;
}

function fileLines(file: ServedFile): string[] {
  const how = file.mode === 'none' ? file.status : `${file.status} by ${file.mode}`;
  const open = file.code === 'unproven' && file.extents.some(({ kind }) => kind === 'gap');
  const why = open
    ? ['    unproven: its name and size are those of a file of yours, but no piece proves the missing bytes']
    : [];
  return [`  ${file.path}  (${bytes(file.length)}, ${how}${differing(file)})`, ...why, ...file.extents.map(extentLine)];
}

/** Describes what clients did to a file. */
function differing({ state, writtenBytes: written, writtenRanges: ranges }: ServedFile): string {
  const name = {
    present: '',
    moved: ', moved to another name (see overlay diff)',
    deleted: ', deleted',
    replaced: ', replaced by a file that a client made',
  }[state];
  return `${name}${written === 0 ? '' : `, written: ${written} bytes in ${ranges} range(s)`}`;
}

function extentLine(extent: ServedExtent): string {
  const source = extent.source?.toString() ?? '';
  const range = `${extent.offset}–${extent.offset + extent.length}`;
  if (extent.kind === 'zeros') return `    ${range} ← zeros`;
  if (extent.kind === 'overlay') return `    ${range} ← written, in ${source}`;
  if (extent.kind === 'gap') return `    ${range} ← nothing: missing, reads as zeros`;
  return `    ${range} ← ${source}${extent.sourceOffset === 0 ? '' : ` at ${extent.sourceOffset}`}`;
}
