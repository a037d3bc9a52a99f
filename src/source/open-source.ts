/**
 * Opens a user's file to supply bytes. Nothing else opens users' files.
 *
 * The policy for all callers: only a file in a folder that may hold sources (`source-folders.ts`), with no symbolic link
 * below that folder nor at the end; read-only; O_NONBLOCK, so that a FIFO in the file's place blocks no thread; O_NOCTTY;
 * O_NOATIME if the user owns the file, since its access time is not ours to change; O_CLOEXEC. Only a regular file as it was
 * recorded, and never one on a mount of autotorrent.
 */
import { type BigIntStats, closeSync, constants, lstatSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoOf, messageOf } from '../errors.ts';
import { isOutOfDescriptors } from '../native/descriptor-budget.ts';
import type { Turn } from './disk-turns.ts';
import { type Difference, differenceOf, type FileIdentity, identityOf, notRegular, type Recorded } from './identity.ts';
import { isRefusedByLease, LeasePauses } from './leased-elsewhere.ts';
import type { Looks } from './looks.ts';
import type { OwnMounts } from './own-mounts.ts';
import { folderOf } from './paths.ts';
import { linkOnTheWay, openSlowly } from './slow-opening.ts';
import type { SourceAccess } from './source-access.ts';
import type { Place } from './source-folders.ts';
import { close, fstatExactly, runLater, runNow, type Steps, step } from './steps.ts';

/** Nobody wakes a thread that waits here: it only passes time. */
const PAUSE = new Int32Array(new SharedArrayBuffer(4));
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/** The path leads to a regular file that is not as recorded: its bytes may be right, if they are hashed first. */
export interface Suspect {
  readonly state: 'suspect';
  readonly why: Difference;
  /** What stands there. */
  readonly found: FileIdentity;
}

/** The path leads to no file that may be read. */
export interface Absent {
  readonly state: 'absent';
  readonly why: Difference;
}

export interface AsRecorded {
  readonly state: 'as recorded';
  readonly identity: FileIdentity;
}

/** The caller closes `fd`. */
export interface OpenedSource extends AsRecorded {
  readonly fd: number;
  readonly stats: BigIntStats;
}

/** The caller closes `fd`. */
export interface OpenedAgain {
  readonly fd: number;
  /** Of 512 bytes, on its disk. */
  readonly blocks: number;
}

/** Names the file, and the conditions that it must meet. */
export interface SourceQuestion {
  readonly path: Buffer;
  /** Absent: any regular file will do. */
  readonly recorded?: Recorded;
}

/**
 * Opens a file if it is as recorded. One on which another program holds a lease is tried again, for as long as the kernel lets it
 * (`leased-elsewhere.ts`); each try is made in a `turn`.
 * @throws EMFILE and ENFILE, and LeasedElsewhere, which say nothing about the file
 */
export async function openSource(
  question: SourceQuestion,
  access: SourceAccess,
  turn: Turn = async (call) => await call(),
): Promise<OpenedSource | Suspect | Absent> {
  await access.ownMounts.refresh();
  const { path } = question;
  const once = async (): Promise<OpenedSource | Suspect | Absent> => await runLater(opening(question, access));
  for (const pauses = new LeasePauses(path); ; ) {
    try {
      return await turn(async () => await access.released.during(path, once));
    } catch (error) {
      await sleep(pauses.after(error));
    }
  }
}

/**
 * Opens a file whatever is recorded of it, as `openSource` does: its bytes are right only if they are hashed.
 * @throws EMFILE and ENFILE, and LeasedElsewhere, which say nothing about the file
 */
export async function openSourceAsIs(path: Buffer, access: SourceAccess, turn?: Turn): Promise<OpenedSource | Absent> {
  const answer = await openSource({ path }, access, turn);
  if (answer.state === 'suspect') throw new Error('a file differs from no record');
  return answer;
}

/**
 * `openSource` for threads that have nothing else to do.
 * @throws EMFILE and ENFILE, and LeasedElsewhere, which say nothing about the file
 */
export function openSourceSync(question: SourceQuestion, access: SourceAccess): OpenedSource | Suspect | Absent {
  access.ownMounts.refreshSync();
  for (const pauses = new LeasePauses(question.path); ; ) {
    try {
      return runNow(opening(question, access));
    } catch (error) {
      Atomics.wait(PAUSE, 0, 0, pauses.after(error));
    }
  }
}

/**
 * Opens a file that is expected to be as it was, by the policy for all, in two system calls and with little memory. Undefined if it
 * is not the very file (device and inode included), or anything else must be seen to: `openSourceSync` then says what.
 */
export function openUnchangedSync(
  path: Buffer,
  was: FileIdentity,
  access: SourceAccess,
  looks: Looks,
): OpenedAgain | undefined {
  const { ownMounts, calls, folders } = access;
  ownMounts.refreshSync();
  if (calls.openSync === undefined || ownMounts.holdsDevice(was.dev) || ownMounts.holdsPath(path)) return undefined;
  const place = folders.known(path) ?? runNow(folders.placeOf(path));
  if ('says' in place || ownMounts.holdsPath(place.real)) return undefined;
  const fd = calls.openSync(place.real, FLAGS | constants.O_NOFOLLOW | constants.O_NOATIME);
  if (fd < 0) return undefined;
  const blocks = looks.blocksOf(fd, was);
  if (blocks !== undefined) return { fd, blocks };
  closeSync(fd);
  return undefined;
}

/**
 * Looks at a file without opening it: an advice, since somebody may put a link on its way at any time. For threads that have
 * nothing else to do.
 */
export function lookAtSource({ path, recorded }: SourceQuestion, access: SourceAccess): AsRecorded | Suspect | Absent {
  const { ownMounts, folders } = access;
  ownMounts.refreshSync();
  if (ownMounts.holdsPath(path)) return ON_OWN_MOUNT;
  try {
    const place = folders.known(path) ?? runNow(folders.placeOf(path));
    if ('says' in place) return { state: 'absent', why: place };
    const { real } = place;
    if (ownMounts.holdsPath(real)) return ON_OWN_MOUNT;
    if (!access.isRealFolder(folderOf(real))) {
      return { state: 'absent', why: runNow(linkOnTheWay(real)) ?? GONE };
    }
    const answer = judgePath(recorded, real, access);
    const isSame = isOnlyNumbered(answer, recorded) && access.fileSystems.kindOfSync(real, answer.found.dev).trueCtime;
    return isSame ? { state: 'as recorded', identity: answer.found } : answer;
  } catch (error) {
    return absence(error);
  }
}

function judgePath(recorded: Recorded | undefined, real: Buffer, access: SourceAccess): AsRecorded | Suspect | Absent {
  // Some times cheaper than `lstatSync`, which tells about all that is no regular file.
  const regular = access.calls.regularFile?.(real);
  if (regular !== undefined) return judge(recorded, regular, access.ownMounts);
  const stats = lstatSync(real, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? { state: 'absent', why: GONE } : judgeStats(recorded, stats, access.ownMounts);
}

const GONE: Difference = { code: 'gone', says: 'is not there any more' };
const ON_OWN_MOUNT: Absent = {
  state: 'absent',
  why: { code: 'own-mount', says: 'lies on a mount of autotorrent itself' },
};

function* opening({ path, recorded }: SourceQuestion, access: SourceAccess): Steps<OpenedSource | Suspect | Absent> {
  const { ownMounts } = access;
  if (ownMounts.holdsPath(path)) return ON_OWN_MOUNT;
  let fd: number | undefined;
  try {
    const opened = yield* openAt(path, access);
    if (typeof opened !== 'number') return { state: 'absent', why: opened };
    fd = opened;
    const stats = yield* fstatExactly(fd);
    let answer = judgeStats(recorded, stats, ownMounts);
    if (isOnlyNumbered(answer, recorded)) {
      const { trueCtime } = yield* access.fileSystems.kind(path, answer.found.dev);
      if (trueCtime) answer = { state: 'as recorded', identity: answer.found };
    }
    if (answer.state === 'as recorded') return { ...answer, fd, stats };
    const unwanted = fd;
    fd = undefined;
    yield* close(unwanted);
    return answer;
  } catch (error) {
    if (fd !== undefined) yield* close(fd);
    return absence(error);
  }
}

/** Opens what is at a path. @throws the error of a system call */
function* openAt(path: Buffer, access: SourceAccess): Steps<number | Difference> {
  const place = yield* access.folders.placeOf(path);
  if ('says' in place) return place;
  const opened = yield* openPlace(place, access);
  if (typeof opened === 'number') return opened;
  // The name of its disk may lead elsewhere since.
  const now = yield* access.folders.again(path, place);
  if (now === undefined) return opened;
  return 'says' in now ? now : yield* openPlace(now, access);
}

function* openPlace({ real }: Place, access: SourceAccess): Steps<number | Difference> {
  if (access.ownMounts.holdsPath(real)) return ON_OWN_MOUNT.why;
  try {
    return (yield* openStrictly(real, access)) ?? (yield* openSlowly(real, FLAGS));
  } catch (error) {
    // A folder that became a link may have hidden a file, or anything else.
    if (isOutOfDescriptors(error) || isRefusedByLease(error)) throw error;
    return (yield* linkOnTheWay(real)) ?? absence(error).why;
  }
}

/** Opens a path with openat2. Undefined if that fails; why is not known, since errno belongs to the thread that called. */
function* openStrictly(real: Buffer, { calls }: SourceAccess): Steps<number | undefined> {
  const { open, openSync } = calls;
  if (open === undefined || openSync === undefined) return undefined;
  // Only the owner and root may set O_NOATIME.
  for (const flags of [FLAGS | constants.O_NOFOLLOW | constants.O_NOATIME, FLAGS | constants.O_NOFOLLOW]) {
    const fd = yield* step(
      () => openSync(real, flags),
      async () => await open(real, flags),
    );
    if (fd >= 0) return fd;
  }
  return undefined;
}

function judgeStats(
  recorded: Recorded | undefined,
  stats: BigIntStats,
  ownMounts: OwnMounts,
): AsRecorded | Suspect | Absent {
  if (ownMounts.holdsDevice(Number(stats.dev))) return ON_OWN_MOUNT;
  const other = notRegular(stats);
  return other === undefined ? judge(recorded, identityOf(stats), ownMounts) : { state: 'absent', why: other };
}

/** Judges a regular file. */
function judge(
  recorded: Recorded | undefined,
  identity: FileIdentity,
  ownMounts: OwnMounts,
): AsRecorded | Suspect | Absent {
  // A mount that was made since the mount table was read.
  if (ownMounts.holdsDevice(identity.dev)) return ON_OWN_MOUNT;
  const why = differenceOf(recorded ?? {}, identity);
  return why === undefined ? { state: 'as recorded', identity } : { state: 'suspect', why, found: identity };
}

/** Tells if a file differs in its inode number alone, and has the recorded ctime. */
function isOnlyNumbered(answer: AsRecorded | Suspect | Absent, recorded: Recorded | undefined): answer is Suspect {
  return answer.state === 'suspect' && answer.why.code === 'replaced' && recorded?.ctimeNs !== undefined;
}

function absence(error: unknown): Absent {
  if (isOutOfDescriptors(error) || isRefusedByLease(error) || errnoOf(error) === undefined) throw error;
  if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return { state: 'absent', why: GONE };
  return { state: 'absent', why: { code: 'unreadable', says: `cannot be opened: ${messageOf(error)}` } };
}
