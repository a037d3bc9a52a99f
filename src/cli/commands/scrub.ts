/** `autotorrent scrub [ENTRY…]` */
import type { ScrubbedEntry } from '../../app/scrub/scrub.ts';
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { quoted } from '../format.ts';
import { hashingProgress } from '../hashing-progress.ts';
import { scrubbedJson } from '../json.ts';

interface ScrubFlags {
  readonly all?: boolean;
}

export function defineScrub(define: Definer): void {
  define
    .command('scrub [entry...]', 'hash what is not proven, or was long ago (scrub_days), and report what rotted')
    .option('--all', 'hash every piece, also those that were proven lately')
    .addHelpText(
      'after',
      helpEnding({
        examples: ['autotorrent scrub', 'autotorrent scrub Some.Release --all'],
        exits: ['3  bytes were found that are not the torrent’s any more, or files that cannot be read'],
      }),
    )
    .action((entries: string[], flags: ScrubFlags) => define.run((context) => scrubEntries(context, entries, flags)));
}

async function scrubEntries(context: CommandContext, ids: readonly string[], flags: ScrubFlags): Promise<ExitCode> {
  const { terminal, signal } = context;
  const config = await context.config();
  const { AT_ONCE } = await import('../../app/scrub/pace.ts');
  const { scrub } = await import('../../app/scrub/scrub.ts');
  const progress = hashingProgress(terminal);
  const results = await scrub(config, {
    entries: ids,
    days: config.scrubDays,
    all: flags.all === true,
    again: true,
    readers: config.hashReaders,
    pace: AT_ONCE,
    logger: terminal.logger,
    signal,
    onProgress: progress,
    onDamage({ name }, { pieces, sources }) {
      // Beside the results: in a long scrub somebody should know at once.
      const count = pieces.length === 0 ? 'files' : `${pieces.length} piece(s)`;
      const named = sources.map(({ path, reason }) => `${path.toString()} ${reason}`);
      terminal.logger.warn(`${quoted(name)}: ${count} do not agree: ${named.join('; ')}`);
    },
  });
  if (terminal.json) terminal.printJson(results.map(scrubbedJson));
  else if (results.length === 0) terminal.print(`Nothing to hash: all was proven within ${config.scrubDays} days`);
  else for (const result of results) for (const line of lines(result)) terminal.print(line);
  return results.some(({ damaged, badPieces }) => damaged.length + badPieces.length > 0) ? EXIT.incomplete : EXIT.done;
}

const SHOWN = 10;

function lines(result: ScrubbedEntry): string[] {
  const { badPieces, missingPieces, leftPieces, damaged } = result;
  const bad = badPieces.slice(0, SHOWN).join(', ') + (badPieces.length > SHOWN ? ', …' : '');
  const parts = [
    `${result.provenPieces} of ${result.pieces} pieces proven now`,
    ...(badPieces.length === 0 ? [] : [`${badPieces.length} bad (${bad})`]),
    ...(leftPieces === 0 ? [] : [`${leftPieces} not readable now`]),
    ...(missingPieces === 0 ? [] : [`${missingPieces} missing`]),
  ];
  return [
    `${quoted(result.name)} ${parts.join(', ')}`,
    ...damaged.slice(0, SHOWN).map(({ path, reason }) => `  ${path.toString()} ${reason}`),
    ...(damaged.length > SHOWN ? [`  and ${damaged.length - SHOWN} more files (--json has all)`] : []),
  ];
}
