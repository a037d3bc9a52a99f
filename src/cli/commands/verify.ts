/** `autotorrent verify ENTRY…` */
import { bytes } from '../../app/quantities.ts';
import type { SettledSource } from '../../app/settling/settle-sources.ts';
import type { VerifiedEntry } from '../../app/verify.ts';
import type { Config } from '../../config/config.ts';
import type { RepairNews } from '../../control/served.ts';
import { AutotorrentError } from '../../errors.ts';
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { quoted } from '../format.ts';
import { hashingProgress } from '../hashing-progress.ts';
import { settledJson, verifiedJson } from '../json.ts';

export interface VerifyFlags {
  readonly unverified?: boolean;
  readonly repair?: boolean;
  readonly giveUp?: string;
}

export function defineVerify(define: Definer): void {
  define
    .command(
      'verify [entry...]',
      'hash entries (all, or just these), map sources that changed again, and report bad pieces',
    )
    .option('--unverified', 'hash only the pieces that are not verified yet')
    .option('--repair', 'have the client download what these entries have lost for good, whatever the limits say')
    .option(
      '--give-up <disk>',
      'let sources wait no longer for this disk: its name in [disks] or in `show`, or a folder',
    )
    .addHelpText(
      'after',
      helpEnding({
        examples: [
          'autotorrent verify',
          'autotorrent verify Some.Release --unverified',
          'autotorrent verify --repair Some.Release',
          'autotorrent verify --give-up /mnt/disk2',
        ],
        exits: ['3  at least one entry is broken, or a source waits, is lost or is not settled yet'],
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
  const onSettling = (sources: number): void => terminal.progress(`settling ${sources} source(s) that changed`);
  const given = flags.giveUp === undefined ? undefined : await giveUp(context, flags.giveUp, onSettling);
  // Without entries the disk is all that was meant.
  if (given !== undefined && ids.length === 0) {
    if (terminal.json) terminal.printJson(given.map(settledJson));
    return given.some(({ state }) => state === 'lost') ? EXIT.incomplete : EXIT.done;
  }
  const results: (VerifiedEntry & { readonly repair?: RepairNews })[] = [];
  const request = {
    entries: ids,
    unverified: flags.unverified === true,
    logger: terminal.logger,
    signal,
    onHashing: hashingProgress(terminal),
    onSettling,
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
  for (const note of notes(results)) terminal.note(note);
  return results.some((result) => isBroken(result, result.repair)) ? EXIT.incomplete : EXIT.done;
}

/** Says what the user can do about sources that cannot be read. */
function notes(results: readonly (VerifiedEntry & { readonly repair?: RepairNews })[]): string[] {
  const open = results.flatMap(({ sources, repair }) => (repair?.outcome === 'repaired' ? [] : sources));
  const count = (state: SettledSource['state']): number => open.filter((source) => source.state === state).length;
  const [waiting, healing, lost] = [count('waiting'), count('healing'), count('lost')];
  return [
    ...(waiting === 0
      ? []
      : [
          `${waiting} source(s) wait until they are there again. If they lie elsewhere by now: autotorrent rebuild. If ` +
            'they are gone for good: autotorrent verify --give-up DISK (autotorrent status names the disk)',
        ]),
    ...(healing === 0
      ? []
      : [`${healing} source(s) are not settled yet: the server goes on, autotorrent show ENTRY says how`]),
    ...(lost === 0
      ? []
      : [`${lost} source(s) are lost: autotorrent verify --repair ENTRY has the client download them`]),
  ];
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

async function giveUp(
  context: CommandContext,
  disk: string,
  onWait: (sources: number) => void,
): Promise<readonly SettledSource[]> {
  const { terminal, signal, cwd } = context;
  const { logger } = terminal;
  const { giveUpDisk } = await import('../../app/settling/give-up.ts');
  const given = await giveUpDisk(await context.config(), { disk, cwd, logger, signal, onWait });
  terminal.clearProgress();
  if (terminal.json) return given;
  if (given.length === 0) terminal.print(`No source waits for ${disk}`);
  for (const source of given) terminal.print(settledLine(source));
  return given;
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
    ...result.sources.map((source) => `  ${settledLine(source)}`),
    ...(result.returnedBytes === 0
      ? []
      : [
          `  ${bytes(result.returnedBytes)} that were missing are there again, and mapped. The server has the clients check`,
        ]),
    ...result.unreadable.filter((why) => !isTold(why, result.sources)).map((why) => `  ${why}`),
    ...(result.unproven.length === 0
      ? []
      : [
          `  ${result.unproven.length} file(s) are shown by name and size alone, since their pieces lack bytes of others: ` +
            `${named(result.unproven)}. To leave them out, remove the entry and add it again without verify = none`,
        ]),
    ...result.pooled.map((path) => `  complete now: ${path}`),
  ];
}

/** Tells if what is said of a file is said by the line of its source already. */
function isTold(why: string, sources: readonly SettledSource[]): boolean {
  return sources.some(({ path }) => why.startsWith(`${path.toString()} `));
}

/** What was found of a source, and what was done. */
function settledLine({ path, found, state, now, done }: SettledSource): string {
  const to = now === undefined ? '' : `, now ${now.toString()}`;
  return `${path.toString()} ${found}: ${STATES[state]}${to}${done === found ? '' : ` (it ${done})`}`;
}

const STATES: Readonly<Record<SettledSource['state'], string>> = {
  trusted: 'mapped again',
  doubted: 'mapped again, hashed as it is read',
  remapped: 'mapped anew',
  healing: 'not settled yet',
  waiting: 'waiting',
  lost: 'lost',
};

const SHOWN = 10;

function named(paths: readonly string[]): string {
  const rest = paths.length - SHOWN;
  return `${paths.slice(0, SHOWN).map(quoted).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

function shown(pieces: readonly number[]): string {
  const rest = pieces.length - SHOWN;
  return `${pieces.slice(0, SHOWN).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}
