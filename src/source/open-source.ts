/**
 * Opens a user's file to supply bytes. Nothing else opens users' files.
 *
 * The policy for all callers: read-only; O_NONBLOCK, so that a FIFO in the file's place blocks no thread; O_NOCTTY;
 * O_NOATIME if the user owns the file, since its access time is not ours to change; O_CLOEXEC, which Node adds to every open
 * (`uv__fs_open`). Only a regular file as it was recorded, and never one on a mount of autotorrent.
 */
import {
  close,
  closeSync,
  constants,
  fstat,
  fstatSync,
  lstatSync,
  open,
  openSync,
  type Stats,
  statSync,
} from 'node:fs';
import { promisify } from 'node:util';
import { errnoOf, messageOf } from '../errors.ts';
import { isOutOfDescriptors } from '../native/descriptor-budget.ts';
import { type Difference, differenceOf, type Recorded } from './identity.ts';
import type { OwnMounts } from './own-mounts.ts';

const openAsync = promisify(open);
const fstatAsync = promisify(fstat);
const closeAsync = promisify(close);

const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/** The path leads to a regular file that is not as recorded: its bytes may be right, if they are hashed first. */
export interface Suspect {
  readonly state: 'suspect';
  readonly why: Difference;
}

/** The path leads to no readable file. */
export interface Absent {
  readonly state: 'absent';
  readonly why: Difference;
}

export interface AsRecorded {
  readonly state: 'as recorded';
  readonly stats: Stats;
}

/** The caller closes `fd`. */
export interface OpenedSource extends AsRecorded {
  readonly fd: number;
}

/** Names the file, and the conditions that it must meet. */
export interface SourceQuestion {
  readonly path: Buffer;
  /** Absent: any regular file will do. */
  readonly recorded?: Recorded;
  /** True: a symlink at the end of the path is refused. */
  readonly noFollow?: boolean;
}

/** Opens a file if it is as recorded. @throws EMFILE and ENFILE, which say nothing about the file */
export async function openSource(
  question: SourceQuestion,
  ownMounts: OwnMounts,
): Promise<OpenedSource | Suspect | Absent> {
  await ownMounts.refresh();
  if (ownMounts.holdsPath(question.path)) return ON_OWN_MOUNT;
  let fd: number;
  try {
    fd = await withoutAtime(async (more) => await openAsync(question.path, flagsFor(question) | more));
  } catch (error) {
    return absence(error);
  }
  try {
    const answer = judge(question, await fstatAsync(fd), ownMounts);
    if (answer.state === 'as recorded') return { ...answer, fd };
    await closeAsync(fd);
    return answer;
  } catch (error) {
    await closeAsync(fd).catch(() => {});
    return absence(error);
  }
}

/** `openSource` for threads that have nothing else to do. @throws EMFILE and ENFILE, which say nothing about the file */
export function openSourceSync(question: SourceQuestion, ownMounts: OwnMounts): OpenedSource | Suspect | Absent {
  ownMounts.refreshSync();
  if (ownMounts.holdsPath(question.path)) return ON_OWN_MOUNT;
  let fd: number;
  try {
    fd = withoutAtimeSync((more) => openSync(question.path, flagsFor(question) | more));
  } catch (error) {
    return absence(error);
  }
  try {
    const answer = judge(question, fstatSync(fd), ownMounts);
    if (answer.state === 'as recorded') return { ...answer, fd };
    closeSync(fd);
    return answer;
  } catch (error) {
    closeSync(fd);
    return absence(error);
  }
}

/** Looks at a file without opening it. */
export function lookAtSource(question: SourceQuestion, ownMounts: OwnMounts): AsRecorded | Suspect | Absent {
  ownMounts.refreshSync();
  if (ownMounts.holdsPath(question.path)) return ON_OWN_MOUNT;
  const look = question.noFollow === true ? lstatSync : statSync;
  try {
    const stats = look(question.path, { throwIfNoEntry: false });
    return stats === undefined ? { state: 'absent', why: GONE } : judge(question, stats, ownMounts);
  } catch (error) {
    return absence(error);
  }
}

const GONE: Difference = { code: 'gone', says: 'is not there any more' };
const ON_OWN_MOUNT: Absent = {
  state: 'absent',
  why: { code: 'own-mount', says: 'lies on a mount of autotorrent itself' },
};

function flagsFor({ noFollow }: SourceQuestion): number {
  return FLAGS | (noFollow === true ? constants.O_NOFOLLOW : 0);
}

/** Only the owner and root may set O_NOATIME: others get EPERM. */
async function withoutAtime(opening: (more: number) => Promise<number>): Promise<number> {
  try {
    return await opening(constants.O_NOATIME);
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') throw error;
    return await opening(0);
  }
}

function withoutAtimeSync(opening: (more: number) => number): number {
  try {
    return opening(constants.O_NOATIME);
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') throw error;
    return opening(0);
  }
}

function judge(question: SourceQuestion, stats: Stats, ownMounts: OwnMounts): AsRecorded | Suspect | Absent {
  // A symlink may hide from `holdsPath` where the file lies.
  if (ownMounts.holdsDevice(stats.dev)) return ON_OWN_MOUNT;
  const why = differenceOf(question.recorded ?? {}, stats);
  if (why === undefined) return { state: 'as recorded', stats };
  return { state: why.code === 'not-regular' ? 'absent' : 'suspect', why };
}

function absence(error: unknown): Absent {
  if (isOutOfDescriptors(error) || errnoOf(error) === undefined) throw error;
  if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return { state: 'absent', why: GONE };
  return { state: 'absent', why: { code: 'unreadable', says: `cannot be opened: ${messageOf(error)}` } };
}
