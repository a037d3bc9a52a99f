/** `autotorrent status` */

import { bytes, duration, fileCount, minute } from '../../app/quantities.ts';
import { shownOwner, shutOut } from '../../config/mount-owner.ts';
import type { ServerStatus } from '../../control/served.ts';
import { type CommandContext, type Definer, helpEnding } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { statusJson } from '../json.ts';

export function defineStatus(define: Definer): void {
  define
    .command('status', 'show what the server is doing')
    .addHelpText('after', helpEnding({ examples: ['autotorrent status'] }))
    .action(() => define.run(status));
}

export async function status(context: CommandContext): Promise<ExitCode> {
  const { terminal } = context;
  const { requireServer } = await import('../../app/server-connection.ts');
  const config = await context.config();
  const server = await requireServer(config);
  const found = await server.status();
  if (terminal.json) terminal.printJson(statusJson(found));
  else for (const line of lines(found)) terminal.print(line);
  if (found.owner !== undefined) {
    const { knownClients } = await import('../../app/client-user.ts');
    const clients = await knownClients(config, context.configOf);
    for (const complaint of shutOut(found.owner, clients, config.file)) terminal.logger.warn(complaint);
  }
  return EXIT.done;
}

/** `kernel (FUSE 7.45; fuse-native cannot run here: …)`. */
function shownDriver({ driver, driverDetail, driverReason }: ServerStatus): string {
  const more = [driverDetail, driverReason].filter((text) => text !== undefined);
  return more.length === 0 ? driver : `${driver} (${more.join('; ')})`;
}

function lines(status: ServerStatus): string[] {
  const audience = status.visibleTo === 'everyone' ? 'all users' : 'its owner only';
  return [
    `mount    ${status.mountPoint}, for ${audience}${status.readOnly ? ', read-only' : ''}`,
    ...ownerLines(status),
    `server   autotorrent ${status.version}, process ${status.pid}, driver ${shownDriver(status)}, up ${duration(status.uptimeSeconds)}`,
    `entries  ${status.entries}${status.adding === 0 ? '' : `, ${status.adding} of them not confirmed by a client`}`,
    `reads    ${status.reads} of ${bytes(status.bytesRead)}, ${status.readErrors} failed; ` +
      `${status.opens} opens, ${status.openHandles} open now`,
    `writes   ${status.writes} of ${bytes(status.bytesWritten)}; the overlay takes ` +
      (status.overlayBytes === undefined ? 'space that is still being measured' : bytes(status.overlayBytes)),
    ...deletedLines(status),
    ...sourcesLines(status),
    ...heldLines(status),
    scrubLine(status),
    ...watchLines(status),
    ...leasesLines(status),
    ...passthroughLines(status),
    ...keptLines(status),
    healerLine(status),
    repairLine(status),
    ...status.overlayProblems.map(({ path, problem }) => `overlay  ${path}: ${problem}`),
    ...status.brokenEntries.map((name) => `broken   ${name}`),
    ...status.brokenSources.map(
      ({ path, reason, servedFrom: spare }) =>
        `source   ${path}: ${reason}${spare === undefined ? '' : `; ${spare} is served instead`}`,
    ),
  ];
}

const FROM = {
  configuration: 'as owner says',
  client: 'as whom the client runs',
  server: "the server's user",
} as const;

function ownerLines({ owner }: ServerStatus): string[] {
  return owner === undefined ? [] : [`owner    ${shownOwner(owner)}, ${FROM[owner.from]}`];
}

/** Counts what was deleted or overwritten in the mount; nothing while all is there. */
function deletedLines({ deleted, overwritten }: ServerStatus): string[] {
  const line = (what: string, { entries, files }: ServerStatus['deleted']): string[] => {
    if (files === 0) return [];
    const of = entries === 1 ? '1 entry' : `${entries} entries`;
    return [`${what} ${fileCount(files)} of ${of} in the mount: autotorrent add --force TORRENT brings them back`];
  };
  return [...line('deleted ', deleted), ...line('overwritten', overwritten)];
}

/** Counts the sources that are not trusted; nothing while all are. */
function sourcesLines({ sources: { doubted, healing, lost, waiting } }: ServerStatus): string[] {
  const parts = [
    ...(doubted === 0 ? [] : [`${doubted} doubted (hashed as they are read)`]),
    ...(healing === 0 ? [] : [`${healing} healing`]),
    ...waiting.map(({ disk, sources }) => `${sources} waiting for ${disk}`),
    ...(lost === 0 ? [] : [`${lost} lost`]),
  ];
  return parts.length === 0 ? [] : [`sources  ${parts.join(', ')}`];
}

function heldLines({ descriptors: { held, hangingBytes } }: ServerStatus): string[] {
  const parts = [
    ...(held === 0 ? [] : [`${held} source(s) without a reader`]),
    ...(hangingBytes === 0 ? [] : [`${bytes(hangingBytes)} that only open descriptors lead to`]),
  ];
  return parts.length === 0 ? [] : [`held     ${parts.join(', ')}`];
}

function scrubLine({ scrub: { when, state, progress, provenPieces, badPieces, asleep } }: ServerStatus): string {
  const done = `${provenPieces} piece(s) proven, ${badPieces} bad since the start`;
  if (state === 'off') return 'scrub    off';
  const now = {
    idle: when === 'idle' ? 'idle' : `at ${when}`,
    running: 'running',
    paused: 'paused, since clients read a lot',
  }[state];
  const at =
    progress === undefined ? '' : ` (${progress.name}, ${bytes(progress.doneBytes)} of ${bytes(progress.totalBytes)})`;
  const sleeping = asleep.length === 0 ? '' : `; lets ${asleep.length} disk(s) sleep`;
  return `scrub    ${now}${at}: ${done}${sleeping}`;
}

const WATCHED = {
  'fanotify-filesystem': () => 'all of it',
  'fanotify-folders': (marks: number) => `${marks} folder(s)`,
  inotify: (marks: number) => `${marks} folder(s), by inotify`,
  none: () => 'nothing',
} as const;

function watchLines({ watch: { fileSystems, asleep } }: ServerStatus): string[] {
  const lines = fileSystems.map(({ mountPoint, kind, marks, unwatched, why, overflows }) => {
    const missed =
      why === undefined ? '' : unwatched === 0 ? `; its folders ${why}` : `; ${unwatched} folder(s) ${why}`;
    const lost = overflows === 0 ? '' : `; the kernel has lost events ${overflows} time(s)`;
    return `watch    ${mountPoint}: ${WATCHED[kind](marks)}${missed}${lost}`;
  });
  const sleeping = asleep.map(
    ({ disk, folders }) => `watch    ${disk}: ${folders} folder(s) are not watched while it sleeps`,
  );
  const all = [...lines, ...sleeping];
  return all.length === 0 ? ['watch    nothing yet: sources are watched from their first read'] : all;
}

/** Counts what writers may have to wait for; nothing while there is none. */
function leasesLines({ leases: { held, awaited } }: ServerStatus): string[] {
  if (held + awaited === 0) return [];
  const waiting = awaited === 0 ? '' : `; writers wait for ${awaited} more`;
  return [`leases   ${held} source(s) would be kept before they are written to${waiting}`];
}

/** Counts what the kernel reads itself; nothing while it reads nothing so. */
function passthroughLines({ passthrough: { files, changed } }: ServerStatus): string[] {
  if (files === 0) return [];
  const are = changed === 1 ? 'file is' : 'files are';
  const until = 'from changed sources by passthrough until their clients close them';
  const exception = changed === 0 ? '' : `; ${changed} ${are} read ${until}`;
  return [`direct   the kernel reads ${fileCount(files)} itself${exception}`];
}

/** What is kept of sources that changed or are gone, and pins; nothing while nothing is. */
function keptLines({ kept, pins }: ServerStatus): string[] {
  const line = (what: string, { folder, files, bytes: taken }: ServerStatus['kept'][number]): string =>
    `${what} ${folder}: ${files} file(s), ${bytes(taken)}`;
  return [...kept.map((one) => line('kept    ', one)), ...pins.map((one) => line('pins    ', one))];
}

function healerLine({ healer: { open, urgent, settled, oldest } }: ServerStatus): string {
  const since = oldest === undefined ? '' : ` since ${minute(oldest)}`;
  const waiting = urgent === 0 ? '' : `, readers wait for ${urgent}`;
  const now = open === 0 ? 'no open case' : `${open} open case(s)${since}${waiting}`;
  return `healer   ${now}; ${settled} settled since the start`;
}

function repairLine({ repair: { onLoss, queued, spentBytes, limitBytes } }: ServerStatus): string {
  if (onLoss === 'tell' && queued === 0) return 'repair   only what you ask for';
  const entries = queued === 0 ? 'nothing to repair' : `${queued} entries`;
  return `repair   ${entries}; ${bytes(spentBytes)} of ${bytes(limitBytes)} downloaded in 24 hours`;
}
