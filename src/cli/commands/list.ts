/** `autotorrent list` */
import { healthText } from '../../app/health.ts';
import type { ListedEntry } from '../../app/list.ts';
import { bytes, percent } from '../../app/quantities.ts';
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { table } from '../format.ts';
import { listedJson } from '../json.ts';

export interface ListFlags {
  readonly client: boolean;
}

const HEADING = ['NAME', 'INFO HASH', 'SIZE', 'MAPPED', 'DOWNLOADED', 'MISSING', 'CLIENT', 'HEALTH'] as const;

export function defineList(define: Definer): void {
  define
    .command('list', 'list the entries, with their state in the client')
    .option('--no-client', 'do not ask the client')
    .addHelpText('after', helpEnding({ examples: ['autotorrent list', 'autotorrent --json list'] }))
    .action((flags: ListFlags) => define.run((context) => list(context, flags)));
}

export async function list(context: CommandContext, flags: ListFlags): Promise<ExitCode> {
  const { terminal } = context;
  const { listEntries } = await import('../../app/list.ts');
  const entries = await listEntries(await context.config(), { askClient: flags.client, logger: terminal.logger });
  if (terminal.json) terminal.printJson(entries.map(listedJson));
  else if (entries.length === 0) terminal.note('No entries yet: autotorrent add TORRENT… makes them');
  else for (const line of table(HEADING, entries.map(row), new Set([2, 3, 4, 5]))) terminal.print(line);
  return EXIT.done;
}

function row(entry: ListedEntry): string[] {
  return [
    entry.name,
    entry.infoHash.slice(0, 8),
    bytes(entry.size),
    percent(entry.mappedBytes, entry.size),
    bytes(entry.downloadedBytes),
    bytes(entry.missingBytes),
    clientColumn(entry),
    entry.state === 'adding' && entry.health === 'ok' ? 'adding' : healthText(entry),
  ];
}

function clientColumn(entry: ListedEntry): string {
  const { state, progress, message } = entry.client;
  const share = progress !== undefined && progress < 1 ? ` ${percent(progress, 1)}` : '';
  return `${state}${share}${message === undefined ? '' : `: ${message}`}`;
}
