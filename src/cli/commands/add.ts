/** `autotorrent add TORRENT…`. Only a real `add` loads the clients, their libraries and the server's. */
import { setFlagsFromString } from 'node:v8';
import { Option } from 'commander';
import type { AddOutcome, AddWord } from '../../app/add-outcome.ts';
import type { DryRunResult } from '../../app/dry-run.ts';
import { bytes, percent } from '../../app/quantities.ts';
import type { CollectionIndex } from '../../collection/index.ts';
import type { Config } from '../../config/config.ts';
import { isUnchecked, UNCHECKED } from '../../config/unchecked.ts';
import { AutotorrentError } from '../../errors.ts';
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { quoted } from '../format.ts';
import { hashingProgress } from '../hashing-progress.ts';
import { JsonSpool, LazyList } from '../json-spool.ts';
import type { Colour } from '../markup.ts';

export interface AddFlags {
  readonly dryRun?: string;
  readonly deleteTorrents?: boolean;
  readonly force?: boolean;
  /** False with --no-client. */
  readonly client: boolean;
  readonly stopped?: boolean;
  readonly verify?: Config['verify'];
}

const COLOURS: Readonly<Record<AddWord, Colour>> = {
  OK: 'green',
  Missing: 'red',
  Seeded: 'blue',
  Exists: 'yellow',
  Failed: 'magenta',
};

export function defineAdd(define: Definer): void {
  define
    .command('add <torrent...>', 'match torrents, show them in the mount, and add them to the client')
    .option('--dry-run [format]', 'only print what would be done, as txt or json')
    .option('-d, --delete-torrents', 'delete each .torrent once the client has it')
    .option('--force', 'add torrents that the store already has to the client again')
    .option('--no-client', 'do not talk to a client')
    .option('--stopped', 'leave the torrents stopped in the client')
    .addOption(
      new Option('--verify <how>', 'how much of a match by name and size to hash').choices([
        'auto',
        'none',
        'probe',
        'full',
      ]),
    )
    .addHelpText(
      'after',
      helpEnding({
        examples: ['autotorrent add *.torrent', 'autotorrent add --dry-run json folder/ | jq .'],
        exits: ['3  at least one torrent ended Missing, Exists or Failed'],
      }),
    )
    .action((torrents: string[], flags: AddFlags) => define.run((context) => add(context, torrents, flags)));
}

export async function add(context: CommandContext, args: readonly string[], flags: AddFlags): Promise<ExitCode> {
  const { terminal, signal } = context;
  const format = flags.dryRun;
  if (format !== undefined && format !== 'txt' && format !== 'json') {
    throw new AutotorrentError('USAGE', `--dry-run takes txt or json, not ${format}`);
  }
  // It usually ends within a second: optimising code that runs for less would keep both cores busy for half of that
  // time. Code that runs longer (torrents of 100,000 files) is still optimised, some milliseconds later.
  setFlagsFromString('--interrupt-budget=600000');
  const config = await context.config();
  if (isUnchecked({ verify: flags.verify ?? config.verify, fastResume: config.fastResume })) {
    throw new AutotorrentError(
      'USAGE',
      `--verify none is refused, since ${config.file} has fast_resume = trust: ${UNCHECKED}`,
      {
        hint: 'Leave out --verify none, or set fast_resume = verified, so that the client checks what nobody hashed.',
      },
    );
  }
  const { beginOpening } = await import('../../app/opening-index.ts');
  const opening = beginOpening(config, { logger: terminal.logger, signal });
  try {
    return await addWith(context, { config, args, flags, format, index: opening.opened });
  } finally {
    await opening.close();
  }
}

interface Adding {
  readonly config: Config;
  readonly args: readonly string[];
  readonly flags: AddFlags;
  readonly format: 'txt' | 'json' | undefined;
  readonly index: Promise<CollectionIndex>;
}

async function addWith(context: CommandContext, { config, args, flags, format, index }: Adding): Promise<ExitCode> {
  const { terminal, signal, cwd } = context;
  const { findTorrents } = await import('../../app/torrent-files.ts');
  const torrents = await findTorrents(args, cwd);
  const asJson = terminal.json || format === 'json';
  const found = `Found ${torrents.length} torrent(s)`;
  if (asJson) terminal.note(found);
  else terminal.print(found);
  const request = {
    torrents,
    index,
    verify: flags.verify ?? config.verify,
    logger: terminal.logger,
    signal,
    onHashing: hashingProgress(terminal),
  };
  let done = true;
  const print = (outcome: AddOutcome): void => {
    const word = `[${outcome.status}]`;
    const space = ' '.repeat(20 - word.length);
    const cell = terminal.paint(COLOURS[outcome.status], word);
    terminal.print([' ', cell, `${space} ${quoted(outcome.name)} ${messageOf(outcome)}`]);
  };
  const documents = new JsonSpool(0);
  // Torrents that were done before the failure stay done.
  terminal.keepForFailure('torrents', documents);
  const left = new Set(torrents.map(({ path }) => path));
  if (format !== undefined) {
    const { dryRun } = await import('../../app/dry-run.ts');
    for await (const result of dryRun(config, request)) {
      done &&= result.status === 'OK';
      if (asJson) documents.add(dryRunDocument(result));
      else print(result);
    }
  } else {
    const { addTorrents } = await import('../../app/add.ts');
    const outcomes = addTorrents(config, {
      ...request,
      configOf: context.configOf,
      useClient: flags.client,
      stopped: flags.stopped === true,
      force: flags.force === true,
      deleteTorrents: flags.deleteTorrents === true,
    });
    try {
      for await (const outcome of outcomes) {
        left.delete(outcome.torrent);
        done &&= outcome.status === 'OK' || outcome.status === 'Seeded';
        if (asJson) documents.add(document(outcome));
        else print(outcome);
      }
    } catch (error) {
      terminal.keepForFailure('not_done', [...left]);
      const first = torrents.find(({ path }) => left.has(path));
      if (first !== undefined) {
        terminal.note(
          `${left.size} of ${torrents.length} torrents were not added; the first is ${quoted(first.name)}. ` +
            'Run the same command to add them; torrents that were added before stay as they are.',
        );
      }
      throw error;
    }
  }
  if (asJson) terminal.printJson(documents);
  return done ? EXIT.done : EXIT.incomplete;
}

/** Returns the sentence after the name; for `Missing` in the original's words. */
function messageOf(outcome: AddOutcome): string {
  const { status, foundBytes, missingBytes, unproven, incomplete, advice } = outcome;
  if (status !== 'Missing' || foundBytes === undefined || missingBytes === undefined) return outcome.reason;
  const share = percent(foundBytes, foundBytes + missingBytes);
  const more = [unproven, incomplete?.unusable, advice].flatMap((clause) =>
    clause === undefined ? [] : [`; ${clause}`],
  );
  return `Missing files, only ${share} found (${bytes(missingBytes)} missing)${more.join('')}`;
}

function document(outcome: AddOutcome): object {
  return {
    torrent: outcome.torrent,
    name: outcome.name,
    status: outcome.status,
    reason: messageOf(outcome),
    ...(outcome.infoHash === undefined ? {} : { info_hash: outcome.infoHash }),
    ...(outcome.incomplete === undefined
      ? {}
      : { incomplete_files: outcome.incomplete.count, incomplete: outcome.incomplete.files }),
  };
}

/** Lists the original's fields first, then ours. */
function dryRunDocument(result: DryRunResult): object {
  return {
    torrent: result.torrent,
    found_bytes: result.foundBytes ?? 0,
    missing_bytes: result.missingBytes ?? 0,
    would_add: result.status === 'OK',
    local_files: new LazyList(result.localFiles ?? []),
    info_hash: result.infoHash ?? null,
    status: result.status,
    reason: messageOf(result),
    verified_pieces: result.verifiedPieces ?? 0,
    total_pieces: result.totalPieces ?? 0,
    files: new LazyList(result.files ?? []),
  };
}
