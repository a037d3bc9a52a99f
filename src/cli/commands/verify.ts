/** `autotorrent verify ENTRY…` */
import type { VerifiedEntry } from '../../app/verify.ts';
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { quoted } from '../format.ts';
import { hashingProgress } from '../hashing-progress.ts';
import { verifiedJson } from '../json.ts';

export interface VerifyFlags {
  readonly unverified?: boolean;
}

export function defineVerify(define: Definer): void {
  define
    .command('verify [entry...]', 'hash entries (all, or just these) and report bad pieces')
    .option('--unverified', 'hash only the pieces that are not verified yet')
    .addHelpText(
      'after',
      helpEnding({
        examples: ['autotorrent verify', 'autotorrent verify Some.Release --unverified'],
        exits: ['3  at least one entry is broken'],
      }),
    )
    .action((entries: string[], flags: VerifyFlags) => define.run((context) => verify(context, entries, flags)));
}

export async function verify(context: CommandContext, ids: readonly string[], flags: VerifyFlags): Promise<ExitCode> {
  const { terminal, signal } = context;
  const results: VerifiedEntry[] = [];
  const request = {
    entries: ids,
    unverified: flags.unverified === true,
    logger: terminal.logger,
    signal,
    onHashing: hashingProgress(terminal),
  };
  const { verifyEntries } = await import('../../app/verify.ts');
  for await (const result of verifyEntries(await context.config(), request)) {
    results.push(result);
    if (!terminal.json) for (const line of lines(result)) terminal.print(line);
  }
  if (terminal.json) terminal.printJson(results.map(verifiedJson));
  return results.some((result) => result.broken) ? EXIT.incomplete : EXIT.done;
}

function lines(result: VerifiedEntry): string[] {
  if (result.skipped !== undefined) return [`${quoted(result.name)} was not hashed: ${result.skipped}`];
  const missing = result.missingPieces === 0 ? '' : `, ${result.missingPieces} missing`;
  const { contradictoryPieces: contradictory } = result;
  const bad = result.badPieces.length === 0 ? '' : `, ${result.badPieces.length} wrong (${shown(result.badPieces)})`;
  return [
    `${quoted(result.name)} ${result.verifiedPieces} of ${result.pieces} pieces verified${missing}${bad}`,
    ...(contradictory.length === 0
      ? []
      : [
          `  ${contradictory.length} of these match one of their two hashes (v1, v2) but not the other: ` +
            `the torrent contradicts itself (${shown(contradictory)})`,
        ]),
    ...result.unreadable.map((why) => `  ${why}`),
    ...(result.unproven.length === 0
      ? []
      : [
          `  ${result.unproven.length} file(s) are shown by name and size alone, since their pieces lack bytes of others: ` +
            `${named(result.unproven)}. To leave them out, remove the entry and add it again without verify = none`,
        ]),
    ...result.pooled.map((path) => `  complete now: ${path}`),
  ];
}

const SHOWN = 10;

function named(paths: readonly string[]): string {
  const rest = paths.length - SHOWN;
  return `${paths.slice(0, SHOWN).map(quoted).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

function shown(pieces: readonly number[]): string {
  const rest = pieces.length - SHOWN;
  return `${pieces.slice(0, SHOWN).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}
