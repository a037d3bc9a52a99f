/** `autotorrent rebuild [PATH…]` */
import { resolve } from 'node:path';
import { bytes, duration, fileCount } from '../../app/quantities.ts';
import type { SettledCounts } from '../../app/settling/settle-rebuilt.ts';
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';

export interface RebuildFlags {
  readonly full?: boolean;
}

export function defineRebuild(define: Definer): void {
  define
    .command('rebuild [path...]', 'index the collection: all disks, or just these paths')
    .option('--full', 'read every folder again, changed or not')
    .addHelpText('after', helpEnding({ examples: ['autotorrent rebuild', 'autotorrent rebuild /data/new --full'] }))
    .action((paths: string[], flags: RebuildFlags) => define.run((context) => rebuild(context, paths, flags)));
}

export async function rebuild(
  context: CommandContext,
  paths: readonly string[],
  flags: RebuildFlags,
): Promise<ExitCode> {
  const { terminal } = context;
  const started = performance.now();
  const seconds = (): number => (performance.now() - started) / 1000;
  const { rebuildCollection } = await import('../../app/rebuild.ts');
  const { beginRebuilding, settleRebuilt } = await import('../../app/settling/settle-rebuilt.ts');
  const config = await context.config();
  const { releasedBelow } = await import('../../app/source-rules-now.ts');
  const read = paths.length === 0 ? config.disks : paths.map((path) => resolve(context.cwd, path));
  for (const folder of await releasedBelow(config, read)) {
    terminal.logger.warn(`${folder.toString()} was released, and cannot be unmounted before this rebuild has ended`);
  }
  const rebuilt = paths.length === 0 ? await beginRebuilding(config) : undefined;
  const report = await rebuildCollection(config, {
    paths,
    cwd: context.cwd,
    full: flags.full === true,
    signal: context.signal,
    logger: terminal.logger,
    onProgress({ files, folders }) {
      terminal.progress(`${files} files in ${folders} folders, ${Math.round(files / seconds())} files/s`);
    },
  });
  const indexed = seconds();
  const settled = await settleRebuilt(config, {
    rebuilt,
    logger: terminal.logger,
    signal: context.signal,
    onWait: (sources) => terminal.progress(`settling ${sources} source(s) that changed`),
  });
  if (terminal.json) {
    terminal.printJson({
      files: report.files,
      folders: report.folders,
      reused_folders: report.reusedFolders,
      bytes: report.bytes,
      releases: report.releases,
      away: report.away.map(({ disk, files }) => ({ disk, files })),
      skipped: report.skipped.map(({ reason, count, example }) => ({ reason, count, example })),
      ...(settled === undefined ? {} : { sources: settledJson(settled) }),
    });
    return EXIT.done;
  }
  terminal.print(
    `Indexed ${report.files} file(s) in ${report.folders} folder(s), ${bytes(report.bytes)}, ` +
      `${report.releases} release(s), in ${duration(indexed)}`,
  );
  for (const { disk, files } of report.away) {
    terminal.logger.warn(`disk ${disk} is away: its ${fileCount(files)} ${files === 1 ? 'is' : 'are'} kept`);
  }
  for (const { reason, count, example } of report.skipped) {
    terminal.logger.warn(`skipped ${count} × ${reason}, ${example} for one`);
  }
  if (settled !== undefined) for (const line of settledLines(settled)) terminal.print(line);
  return EXIT.done;
}

function settledJson({ returnedBytes, ...counts }: SettledCounts) {
  return { ...counts, returned_bytes: returnedBytes };
}

function settledLines({ mapped, waiting, lost, open, returnedBytes }: SettledCounts): string[] {
  return [
    ...(returnedBytes === 0 ? [] : [`${bytes(returnedBytes)} that were missing are there now, and mapped`]),
    ...(mapped === 0 ? [] : [`${mapped} source(s) had changed, and are mapped again`]),
    ...(waiting === 0 ? [] : [`${waiting} source(s) wait for a disk`]),
    ...(lost === 0 ? [] : [`${lost} source(s) are lost, wholly or in part: autotorrent verify names them`]),
    ...(open === 0 ? [] : [`${open} source(s) are not settled yet`]),
  ];
}
