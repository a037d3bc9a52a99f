/** `autotorrent overlay export ENTRY DEST` */
import { resolve } from 'node:path';
import type { ExportedEntry } from '../../app/export/export-entry.ts';
import { bytes } from '../../app/quantities.ts';
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { exportProgress } from '../export-progress.ts';
import { quoted } from '../format.ts';
import { exportedJson } from '../json.ts';

export interface ExportFlags {
  readonly force?: boolean;
}

export function defineOverlayExport(define: Definer): void {
  define
    .command('export <entry> <dest>', 'write a finished, plain copy of an entry to a new folder')
    .option('--force', 'write zeros in place of missing bytes')
    .addHelpText(
      'after',
      `
DEST must not exist. It is made from DEST.partial beside it when the copy is whole; run the same command again to continue
an interrupted copy. Give a client DEST as its download folder, and it finds the torrent there.
The folders above DEST must be yours or root's, and no others may write to them, unless they are sticky as /tmp is.
${helpEnding({ examples: ['autotorrent overlay export Some.Release /data/finished/Some.Release'] })}`,
    )
    .action((entry: string, dest: string, flags: ExportFlags) =>
      define.run((context) => overlayExport(context, entry, dest, flags)),
    );
}

export async function overlayExport(
  context: CommandContext,
  id: string,
  destination: string,
  flags: ExportFlags,
): Promise<ExitCode> {
  const { terminal, signal } = context;
  const { exportEntry } = await import('../../app/export/export-entry.ts');
  const path = resolve(context.cwd, destination);
  try {
    const exported = await exportEntry(await context.config(), id, {
      destination: path,
      force: flags.force === true,
      signal,
      logger: terminal.logger,
      onProgress: exportProgress(terminal),
    });
    if (terminal.json) terminal.printJson(exportedJson(exported));
    else for (const line of lines(exported)) terminal.print(line);
    return EXIT.done;
  } catch (error) {
    if (signal.aborted) terminal.note(`The copy so far is in ${path}.partial: run the same command to continue it`);
    throw error;
  }
}

/** The number of incomplete files named. */
const SHOWN = 20;

function lines(exported: ExportedEntry): string[] {
  const before = exported.bytes - exported.copiedBytes;
  const resumed = before === 0 ? '' : `, ${bytes(before)} of it by an earlier run`;
  const rest = exported.incomplete.length - SHOWN;
  const incomplete = exported.incomplete
    .slice(0, SHOWN)
    .map(({ path, missingBytes: missing }) => `  ${path}: ${bytes(missing)} missing`);
  return [
    `Exported ${quoted(exported.name)} to ${exported.destination}: ${exported.files} file(s), ${bytes(exported.bytes)}${resumed}`,
    ...(exported.zeroBytes === 0 ? [] : [`Not whole: zeros in place of ${bytes(exported.zeroBytes)}`]),
    ...incomplete,
    ...(rest > 0 ? [`  and ${rest} more`] : []),
    ...(exported.shortened.length === 0
      ? []
      : [`No disk takes the names of ${exported.shortened.length} file(s): they have shorter ones (--json has all)`]),
  ];
}
