/** `autotorrent show ENTRY` */

import { healthText } from '../../app/health.ts';
import { bytes, fileCount, minute } from '../../app/quantities.ts';
import type { ServedEntry, ServedExtent, ServedFile, ServedSource } from '../../control/served.ts';
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { entryJson, fileJson, sourceJson } from '../json.ts';
import { JsonSpool } from '../json-spool.ts';

interface ShowFlags {
  readonly all?: boolean;
}

export function defineShow(define: Definer): void {
  define
    .command('show <entry>', "an entry's files, where their bytes come from, and its piece map")
    .option('--all', `list every file and changed source, not only the first ${SHOWN_FILES} and ${SHOWN_SOURCES}`)
    .addHelpText('after', helpEnding({ examples: ['autotorrent show Some.Release', 'autotorrent show 0123abcd'] }))
    .action((entry: string, flags: ShowFlags) => define.run((context) => show(context, entry, flags)));
}

async function show(context: CommandContext, id: string, flags: ShowFlags): Promise<ExitCode> {
  const { terminal } = context;
  const { showEntry } = await import('../../app/show.ts');
  const { entry, verifiedRanges, sources, files } = await showEntry(await context.config(), id);
  if (terminal.json) {
    const all = new JsonSpool(1);
    for await (const file of files) all.add(fileJson(file));
    const changed = new JsonSpool(1);
    for await (const source of sources) changed.add(sourceJson(source));
    terminal.printJson({
      ...entryJson(entry),
      verified_ranges: verifiedRanges,
      file_list: all,
      changed_sources: changed,
    });
    return EXIT.done;
  }
  for (const line of heading(entry, verifiedRanges)) terminal.print(line);
  const few = flags.all !== true;
  const [mostSources, mostFiles] = few
    ? [SHOWN_SOURCES, SHOWN_FILES]
    : [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  await printFew(terminal, sources, { most: mostSources, linesOf: sourceLines, what: 'sources that changed' });
  await printFew(terminal, files, { most: mostFiles, linesOf: fileLines, what: 'files' });
  return EXIT.done;
}

interface Few<T> {
  readonly most: number;
  readonly linesOf: (item: T) => readonly string[];
  readonly what: string;
}

/** Prints a heading, the first `most` items, and the number of the others; nothing if there is none. */
async function printFew<T>(
  terminal: CommandContext['terminal'],
  items: AsyncIterable<T>,
  { most, linesOf, what }: Few<T>,
): Promise<void> {
  let count = 0;
  for await (const item of items) {
    if (count === 0) for (const line of ['', `${what}:`]) terminal.print(line);
    if (count++ < most) for (const line of linesOf(item)) terminal.print(line);
  }
  if (count > most) terminal.print(`  and ${count - most} more ${what} (--all lists them)`);
}

/** An entry may have 200,000 files, each with a story. */
const SHOWN_FILES = 200;
const SHOWN_SOURCES = 20;
/** The number of ranges shown of the piece map. */
const SHOWN_RANGES = 20;

function heading(entry: ServedEntry, ranges: readonly (readonly [number, number])[]): string[] {
  const unverified = entry.pieces - entry.verifiedPieces;
  const how = {
    none: 'names and sizes were trusted when it was added',
    probe: 'a few of each file were hashed when it was added',
    full: 'all were hashed when it was added',
  }[entry.verify];
  return [
    entry.name,
    `  info hash  ${entry.infoHash}`,
    `  directory  ${entry.directory}${entry.kind === 'external' ? ' (the original folder, unprotected)' : ''}`,
    `  size       ${bytes(entry.size)} in ${entry.files} file(s): ${bytes(entry.mappedBytes)} mapped, ` +
      `${bytes(entry.downloadedBytes)} downloaded, ${bytes(entry.missingBytes)} missing`,
    ...(entry.deletedFiles === 0
      ? []
      : [
          `  deleted    ${fileCount(entry.deletedFiles)} in the mount (autotorrent add --force TORRENT brings them back)`,
        ]),
    ...(entry.overwrittenFiles === 0
      ? []
      : [
          `  overwritten  ${fileCount(entry.overwrittenFiles)} in the mount (autotorrent add --force TORRENT brings them back)`,
        ]),
    `  pieces     ${entry.verifiedPieces} verified, ${unverified} not (${how})`,
    ...(ranges.length === 0 ? [] : [`  verified   ${shownRanges(ranges)}`]),
    `  state      ${entry.state} ${minute(entry.created)}, ${healthText(entry)}`,
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

/** Its path and state, then for each change when and how, and from where. */
function sourceLines({ path, state, since, reason, story }: ServedSource): string[] {
  const why = reason === undefined || reason === story.at(-1)?.how ? '' : `: it ${reason}`;
  const now = since === undefined ? state : `${state} since ${minute(since)}${why}`;
  return [
    `  ${path.toString()}  (${now})`,
    ...story.flatMap(({ at, from, to, how }, i) => {
      // Where it went is where the next change found it, or where it is now.
      const next = story[i + 1]?.from ?? path;
      return [
        `    ${minute(at)}  ${how}`,
        ...(from.equals(to) ? [] : [`      from ${from.toString()}`]),
        ...(to.equals(next) ? [] : [`      to ${to.toString()}`]),
      ];
    }),
  ];
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
  const words = [
    ...(extent.kept === true ? ['kept'] : []),
    ...(extent.pinned === true ? ['pinned'] : []),
    ...(extent.sourceState === undefined ? [] : [extent.sourceState]),
  ];
  return `    ${range} ← ${source}${extent.sourceOffset === 0 ? '' : ` at ${extent.sourceOffset}`}${words.length === 0 ? '' : ` (${words.join(', ')})`}`;
}
