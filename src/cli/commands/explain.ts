/** `autotorrent explain TORRENT|PATH` */
import { stat } from 'node:fs/promises';
import { basename, extname, resolve } from 'node:path';
import type { Candidate } from '../../app/explain/candidates.ts';
import type { ExplainedPath } from '../../app/explain/explain-path.ts';
import type { ExplainedFile, ExplainedTorrent } from '../../app/explain/explain-torrent.ts';
import type { KnownEntries } from '../../app/explain/known-entries.ts';
import { bytes, fileCount, percent } from '../../app/quantities.ts';
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { quoted } from '../format.ts';
import { hashingProgress } from '../hashing-progress.ts';
import { explainedPathJson, explainedTorrentJson } from '../json.ts';

interface ExplainFlags {
  readonly all?: boolean;
}

/** Files and entries that are shown without --all. */
const SHOWN = 20;

export function defineExplain(define: Definer): void {
  define
    .command(
      'explain <path>',
      'why a torrent does not match; or for a file or folder if it is indexed, and what uses it',
    )
    .option('--all', `show every file and entry, not only the first ${SHOWN}`)
    .addHelpText(
      'after',
      `
What is named *.torrent is read as a torrent. It changes nothing, and needs neither a client nor a server.
${helpEnding({
  examples: [
    'autotorrent explain Some.Release.torrent',
    'autotorrent explain /data/films/film.mkv',
    'autotorrent explain --json /data/films | jq .uses',
  ],
  exits: ['3  the torrent would end Missing, or the path is not indexed or cannot be used'],
})}`,
    )
    .action((path: string, flags: ExplainFlags) => define.run((context) => explain(context, path, flags)));
}

async function explain(context: CommandContext, given: string, flags: ExplainFlags): Promise<ExitCode> {
  const { terminal, signal, cwd } = context;
  const { logger } = terminal;
  const config = await context.config();
  const path = resolve(cwd, given);
  const { beginOpening } = await import('../../app/opening-index.ts');
  const opening = beginOpening(config, { logger, signal });
  const request = { index: opening.opened, logger, signal, onHashing: hashingProgress(terminal) };
  const most = flags.all === true ? Number.POSITIVE_INFINITY : SHOWN;
  try {
    // Without an index nothing can be explained.
    await opening.opened;
    if (await isTorrent(path)) {
      const { explainTorrent } = await import('../../app/explain/explain-torrent.ts');
      const torrent = { path, name: basename(path, extname(path)) };
      const found = await explainTorrent(config, torrent, request);
      terminal.clearProgress();
      if (terminal.json) terminal.printJson(explainedTorrentJson(found));
      else for (const line of torrentLines(found, most)) terminal.print(line);
      return found.status === 'OK' ? EXIT.done : EXIT.incomplete;
    }
    const { explainPath } = await import('../../app/explain/explain-path.ts');
    const openStore = async (): Promise<KnownEntries | undefined> => {
      const { openStoppedStore } = await import('../../server/stopped-store.ts');
      return await openStoppedStore(config, logger);
    };
    const found = await explainPath(config, Buffer.from(path), { ...request, openStore });
    terminal.clearProgress();
    if (terminal.json) terminal.printJson(explainedPathJson(found));
    else for (const line of pathLines(found, most)) terminal.print(line);
    return found.indexed && found.code === undefined ? EXIT.done : EXIT.incomplete;
  } finally {
    await opening.close();
  }
}

async function isTorrent(path: string): Promise<boolean> {
  if (extname(path).toLowerCase() !== '.torrent') return false;
  return await stat(path).then(
    (stats) => !stats.isDirectory(),
    () => true,
  );
}

function torrentLines(found: ExplainedTorrent, most: number): string[] {
  const { name, status, foundBytes, missingBytes, totalFiles, incompleteFiles, files, reason } = found;
  const share = percent(foundBytes, foundBytes + missingBytes);
  const verdict = status === 'OK' ? 'add would take it' : 'add would say Missing';
  const heading = `${quoted(name)}: ${verdict}, ${share} found (${bytes(missingBytes)} missing)`;
  if (incompleteFiles === 0) return [heading, `  ${reason}`];
  const left = incompleteFiles - Math.min(files.length, most);
  return [
    heading,
    `  ${incompleteFiles} of ${totalFiles} files are not complete`,
    ...files.slice(0, most).flatMap(fileLines),
    ...(left === 0 ? [] : ['', `  and ${left} more files${files.length > most ? ' (--all shows more)' : ''}`]),
  ];
}

function fileLines({ path, length, status, code, reason, candidates }: ExplainedFile): string[] {
  return [
    '',
    `  ${path}  (${bytes(length)}, ${status}: ${code})`,
    `    ${reason}`,
    ...(candidates.length === 0
      ? ['    Nothing in the index comes near it by name or by size.']
      : ['    The nearest:', ...candidates.map(candidateLine)]),
  ];
}

function candidateLine({ path, member, code, says }: Candidate): string {
  const what = member === undefined ? path.toString() : `${path.toString()} (in it ${member.toString()})`;
  return `      ${what} ${says} (${code})`;
}

function pathLines({ path, says, code, kind, size, uses, fits, unknown }: ExplainedPath, most: number): string[] {
  const now = kind === 'file' && size !== undefined ? `  It has ${size} bytes now.` : undefined;
  return [
    `${path.toString()} ${says}${code === undefined ? '' : ` (${code})`}`,
    ...(now === undefined ? [] : [now]),
    ...listed(uses, most, {
      unknown: `  What uses it is not known: ${unknown}.`,
      none: '  No entry uses it.',
      line: ({ entry, sources }) =>
        `  ${quoted(entry)} uses ${kind === 'folder' ? `${fileCount(sources)} of it` : 'it'}`,
    }),
    ...listed(fits, most, {
      unknown: undefined,
      none: '  It fills no gap of an entry.',
      line: ({ entry, file, bytes: count }) =>
        count === 0
          ? `  ${quoted(entry)} lacks ${file}, which has its size or name; no piece can prove its bytes`
          : `  ${quoted(entry)} lacks ${bytes(count)} of ${file}, which it has: autotorrent verify maps them`,
    }),
  ];
}

interface Listing<T> {
  readonly unknown: string | undefined;
  readonly none: string;
  readonly line: (item: T) => string;
}

function listed<T>(items: readonly T[] | undefined, most: number, { unknown, none, line }: Listing<T>): string[] {
  if (items === undefined) return unknown === undefined ? [] : [unknown];
  if (items.length === 0) return [none];
  const left = items.length - Math.min(items.length, most);
  return [...items.slice(0, most).map(line), ...(left === 0 ? [] : [`  and ${left} more (--all shows them)`])];
}
