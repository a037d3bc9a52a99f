/** `autotorrent verify ENTRY…` */
import type { VerifiedEntry } from '../../app/verify.ts';
import type { Config } from '../../config/config.ts';
import type { RepairNews } from '../../control/served.ts';
import { AutotorrentError } from '../../errors.ts';
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { quoted } from '../format.ts';
import { hashingProgress } from '../hashing-progress.ts';
import { verifiedJson } from '../json.ts';

export interface VerifyFlags {
  readonly unverified?: boolean;
  readonly repair?: boolean;
}

export function defineVerify(define: Definer): void {
  define
    .command('verify [entry...]', 'hash entries (all, or just these) and report bad pieces')
    .option('--unverified', 'hash only the pieces that are not verified yet')
    .option('--repair', 'have the client download what these entries have lost for good, whatever the limits say')
    .addHelpText(
      'after',
      helpEnding({
        examples: [
          'autotorrent verify',
          'autotorrent verify Some.Release --unverified',
          'autotorrent verify --repair Some.Release',
        ],
        exits: ['3  at least one entry is broken'],
      }),
    )
    .action((entries: string[], flags: VerifyFlags) => define.run((context) => verify(context, entries, flags)));
}

export async function verify(context: CommandContext, ids: readonly string[], flags: VerifyFlags): Promise<ExitCode> {
  const { terminal, signal } = context;
  if (flags.repair === true && ids.length === 0) {
    throw new AutotorrentError('USAGE', '--repair needs the entries that it is to repair', {
      hint: 'autotorrent verify --repair ENTRY… (autotorrent status shows what is lost)',
    });
  }
  const results: (VerifiedEntry & { readonly repair?: RepairNews })[] = [];
  const request = {
    entries: ids,
    unverified: flags.unverified === true,
    logger: terminal.logger,
    signal,
    onHashing: hashingProgress(terminal),
  };
  const { verifyEntries } = await import('../../app/verify.ts');
  const config = await context.config();
  for await (const result of verifyEntries(config, request)) {
    if (!terminal.json) for (const line of lines(result)) terminal.print(line);
    const repair = flags.repair === true ? await repaired(context, config, result) : undefined;
    if (!terminal.json && repair !== undefined) terminal.print(`  ${repair.message ?? NOTHING_LOST}`);
    results.push(repair === undefined ? result : { ...result, repair });
  }
  if (terminal.json) terminal.printJson(results.map((result) => verifiedJson(result, result.repair)));
  return results.some((result) => isBroken(result, result.repair)) ? EXIT.incomplete : EXIT.done;
}

const NOTHING_LOST = 'nothing of it is lost for good';

async function repaired(
  { terminal, signal }: CommandContext,
  config: Config,
  { infoHash, skipped }: VerifiedEntry,
): Promise<RepairNews | undefined> {
  if (skipped !== undefined) return undefined;
  const { askForRepair } = await import('../../app/repair.ts');
  return await askForRepair(config, infoHash, { signal, onChecking: (message) => terminal.note(message) });
}

/** A repair mends what was found before it. */
function isBroken({ broken }: VerifiedEntry, repair: RepairNews | undefined): boolean {
  if (repair === undefined || repair.outcome === 'nothing') return broken;
  return repair.outcome !== 'repaired';
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
