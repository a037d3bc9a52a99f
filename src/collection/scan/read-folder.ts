/**
 * Reads one folder in a walk worker. Its calls are synchronous, as the thread has nothing else to do.
 *
 * The folder is opened under its real path, of which no component may be a link, and is then read through its descriptor:
 * whoever puts a link in the place of a folder during the scan shows nothing of another folder to it.
 */
import { closeSync, constants, fstatSync, lstatSync, readdirSync, type Stats } from 'node:fs';
import { errnoOf, messageOf } from '../../errors.ts';
import type { FolderEntry, StrictCalls } from '../../native/strict-paths.ts';
import { isHiddenForOpen } from '../../source/hidden-files.ts';
import type { Difference } from '../../source/identity.ts';
import { FOUND_FOLDER, isLeftOut, OWN_FOLDER } from '../../source/own-folder.ts';
import { openFolderSlowly } from '../../source/slow-opening.ts';
import type { SourceAccess } from '../../source/source-access.ts';
import { runNow } from '../../source/steps.ts';
import { isReleaseFolder } from '../release.ts';
import {
  encodeFolder,
  FolderRecord,
  type FolderState,
  GROWING,
  LEFT_OUT_OF_FOLDER,
  type LeftOutName,
} from './folder-record.ts';
import { type GrowthRules, isUnsettled, isYoung, STILL_GROWING, sizesBefore } from './growth.ts';
import type { IgnoreTest } from './ignore.ts';
import type { MemberBudget } from './member-budget.ts';
import { readMembers } from './read-members.ts';

/** Paths and names are byte strings. */
export interface FolderTask {
  readonly path: string;
  /** A root: a symbolic link there is followed, and its name is its whole path. */
  readonly root: boolean;
  /** The packed record of the folder in the index. If that still holds, of its files too, its content is not listed again. */
  readonly known: Uint8Array<ArrayBuffer> | null;
}

export interface ReadContext {
  readonly ignore: IgnoreTest | undefined;
  /** Paths that the worker does not touch. */
  readonly avoid: ReadonlySet<string>;
  /** A folder that changed less than this before it was read may change again without its times showing it. */
  readonly racyMs: number;
  readonly growth: GrowthRules;
  /** Takes the position of a file that was written to just now, in the folder that is being read. */
  readonly noteYoung: (file: number) => void;
  /** For the archives of the whole rebuild. */
  readonly budget: MemberBudget;
  /** Gives the real path of a path below a root. */
  readonly realOf: (path: string) => string;
  readonly access: SourceAccess;
  /** Asked before each look: nobody needs the folder any more. */
  readonly isStopped: () => boolean;
  readonly skip: (reason: string, path: string) => void;
}

/**
 * Looks again at files of a folder that was just read. Those whose size is another now are marked as growing in the record.
 * @throws the error of a system call
 */
export function lookAgain(path: string, reading: ArrayBuffer, files: readonly number[], context: ReadContext): void {
  const folder = openFolderSync(context.realOf(path), context.access.calls);
  if (typeof folder !== 'number') return;
  try {
    const record = new FolderRecord(reading);
    for (const file of files) {
      const name = record.fileName(file).toString('latin1');
      const stats = lookAt(folder, name, context);
      if (typeof stats !== 'string' && stats.size === record.sizes[file]) continue;
      record.fileFlags[file] = (record.fileFlags[file] ?? 0) | GROWING;
      context.skip(STILL_GROWING, withSlash(path) + name);
    }
  } finally {
    closeSync(folder);
  }
}

/** A record (`folder-record.ts`); `same`: as the index knows it; `skipped`: it cannot be read, and `skip` was called. */
export type FolderReading = ArrayBuffer | 'same' | 'skipped';

const VANISHED = 'vanished';
const STOPPED = 'not needed any more';
const OURS = 'of autotorrent itself';
const FOLDER_FLAGS = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NONBLOCK;
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const OTHER_KINDS: ReadonlyMap<number, string> = new Map([
  [S_IFLNK, 'symbolic link'],
  [0o140000, 'socket'],
  [0o010000, 'named pipe'],
  [0o020000, 'device'],
  [0o060000, 'device'],
]);

export function readFolder(task: FolderTask, context: ReadContext): FolderReading {
  const { path } = task;
  try {
    if (context.avoid.has(path) || (!isOwnFolder(path) && isLeftOut(Buffer.from(path, 'latin1')))) return skipped(OURS);
    if (context.isStopped()) return skipped(STOPPED);
    const startedMs = Date.now();
    const real = context.realOf(path);
    const folder = openFolderSync(real, context.access.calls);
    if (typeof folder === 'string') return skipped(folder);
    if (typeof folder !== 'number') {
      return skipped(folder.code === 'redirected' ? 'below a symbolic link' : folder.says);
    }
    try {
      const state = stateOf(fstatSync(folder), startedMs - context.racyMs);
      const open = { folder, real, state, startedMs };
      const known = task.known === null ? undefined : recordOf(task.known);
      if (known?.listsLeftOut === true && known.sameState(state) && !isUnion(real, state.dev, context)) {
        if (filesAreAs(known, open, context)) return 'same';
      }
      return listFolder(task, open, known, context);
    } finally {
      closeSync(folder);
    }
  } catch (error) {
    return skipped(reasonOf(error));
  }

  function skipped(reason: string): 'skipped' {
    context.skip(reason, path);
    return 'skipped';
  }
}

/**
 * mtime alone can be set back (rsync and tar do, after they have filled a folder); ctime cannot. Node's milliseconds
 * are doubles: a quarter of a microsecond apart, finer than the clock that kernels stamp with.
 */
function stateOf(stats: Stats, racyAfterMs: number): FolderState {
  const racy = Math.max(stats.mtimeMs, stats.ctimeMs) > racyAfterMs;
  return {
    dev: stats.dev,
    ino: stats.ino,
    mtime: racy ? Number.NaN : stats.mtimeMs,
    ctime: racy ? Number.NaN : stats.ctimeMs,
  };
}

const recordOf = ({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>): FolderRecord =>
  new FolderRecord(buffer, byteOffset, byteLength);

/** Tells if the files of a folder are as its record says: what is written to a file in place does not change its folder. */
function filesAreAs(known: FolderRecord, { folder, startedMs }: OpenFolder, context: ReadContext): boolean {
  const { files, sizes, fileDev } = known;
  for (let i = 0; i < files; i++) {
    if (context.isStopped()) throw new Error(STOPPED);
    const stats = lookAt(folder, known.fileName(i).toString('latin1'), context);
    if (typeof stats === 'string' || stats.size !== sizes[i]) return false;
    if (known.isGrowing(i) || isUnsettled(stats, startedMs, context.growth)) return false;
    if ((stats.mode & S_IFMT) !== S_IFREG || stats.dev !== fileDev || !known.hasInode(i, stats.ino)) return false;
  }
  return true;
}

/** A pool shows a folder with the times of its first branch: those of the branch in which a file appeared are not seen. */
function isUnion(real: string, dev: number, { access }: ReadContext): boolean {
  return access.fileSystems.kindOfSync(Buffer.from(real, 'latin1'), dev).union;
}

/** An open folder. */
interface OpenFolder {
  readonly folder: number;
  readonly real: string;
  readonly state: FolderState;
  readonly startedMs: number;
}

function listFolder(
  task: FolderTask,
  { folder, real, state, startedMs }: OpenFolder,
  known: FolderRecord | undefined,
  context: ReadContext,
): ArrayBuffer {
  const { path } = task;
  const base = withSlash(path);
  const own = isOwnFolder(path);
  const fileNames: string[] = [];
  const sizes: number[] = [];
  const inodes: bigint[] = [];
  const ignored: boolean[] = [];
  const growing: boolean[] = [];
  const sizeBefore = sizesBefore(known, context.growth);
  const subfolders: string[] = [];
  const leftOut: LeftOutName[] = [];
  const leaveOut = (name: string, why: LeftOutName['why']): void => {
    if (leftOut.length < LEFT_OUT_OF_FOLDER) leftOut.push({ name, why });
  };
  let fileDev = -1;
  let oneDev = true;
  for (const name of readdirSync(`/proc/self/fd/${folder}`, { encoding: 'latin1' })) {
    if (context.isStopped()) throw new Error(STOPPED);
    const child = base + name;
    if (context.avoid.size > 0 && context.avoid.has(child)) {
      context.skip(OURS, child);
      continue;
    }
    // What is kept there is no part of the collection, but what was kept for a state that was lost.
    if (own && name !== FOUND_FOLDER) continue;
    // It goes as soon as it is closed.
    if (name.startsWith('.') && isHiddenForOpen(Buffer.from(name, 'latin1'))) continue;
    const stats = lookAt(folder, name, context);
    if (typeof stats === 'string') {
      context.skip(stats, child);
      if (stats !== VANISHED) leaveOut(name, 'unreadable');
      continue;
    }
    const kind = stats.mode & S_IFMT;
    if (kind === S_IFDIR) {
      subfolders.push(name);
    } else if (kind === S_IFREG) {
      if (fileDev === -1) fileDev = stats.dev;
      // A record has one device for its files. A file that a mount lies over alone has no inode here, and no reuse.
      if (stats.dev !== fileDev) oneDev = false;
      fileNames.push(name);
      sizes.push(stats.size);
      inodes.push(stats.dev === fileDev ? stats.ino : 0n);
      ignored.push(context.ignore?.(name, path) ?? false);
      const young = isYoung(stats, startedMs, context.growth);
      const before = young ? sizeBefore?.get(name) : undefined;
      const grows = isUnsettled(stats, startedMs, context.growth) || (before !== undefined && before !== stats.size);
      growing.push(grows);
      if (grows) context.skip(STILL_GROWING, child);
      else if (young) context.noteYoung(growing.length - 1);
    } else {
      if (kind === S_IFLNK) leaveOut(name, 'link');
      context.skip(OTHER_KINDS.get(kind) ?? 'of unknown kind', child);
    }
  }
  const members = readMembers({ base: withSlash(real), fileNames, sizes }, context, (reason, name) =>
    context.skip(reason, base + name),
  );
  return encodeFolder({
    dev: state.dev,
    ino: state.ino,
    mtime: oneDev ? state.mtime : Number.NaN,
    ctime: state.ctime,
    fileDev,
    name: task.root ? path : path.slice(path.lastIndexOf('/') + 1),
    fileNames,
    sizes,
    inodes,
    ignored,
    growing,
    subfolders,
    members,
    leftOut,
    marked: isReleaseFolder(fileNames),
  });
}

const isOwnFolder = (path: string): boolean => path.endsWith(`/${OWN_FOLDER}`);

const withSlash = (path: string): string => (path === '/' ? '/' : `${path}/`);

/** Opens a folder of which no component of the path is a link. @throws the error of a system call */
function openFolderSync(real: string, calls: StrictCalls): number | Difference | string {
  const path = Buffer.from(real, 'latin1');
  const fd = calls.openSync?.(path, FOLDER_FLAGS) ?? -1;
  if (fd >= 0) return fd;
  if ((lstatSync(path).mode & S_IFMT) !== S_IFDIR) return 'not a folder';
  return runNow(openFolderSlowly(path, FOLDER_FLAGS));
}

/** Looks at an entry of an open folder. Gives the reason if that fails. */
function lookAt(folder: number, name: string, { access }: ReadContext): FolderEntry | string {
  const entry = access.calls.entry?.(folder, name);
  if (entry !== undefined) return entry;
  try {
    const path = pathOf(`/proc/self/fd/${folder}/${name}`);
    const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    if (stats === undefined) return VANISHED;
    const { mode, ino, size, dev, mtimeMs, ctimeMs } = stats;
    const times = { mtimeMs: Number(mtimeMs), ctimeMs: Number(ctimeMs) };
    return { mode: Number(mode), ino, size: Number(size), dev: Number(dev), ...times };
  } catch (error) {
    return reasonOf(error);
  }
}

function reasonOf(error: unknown): string {
  const code = errnoOf(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return VANISHED;
  if (code === 'EACCES' || code === 'EPERM') return 'not readable';
  return code ?? messageOf(error);
}

function isAsciiText(bytes: string): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes.charCodeAt(i) >= 0x80) return false;
  return true;
}

/** Converts a byte string to bytes. Node would encode its upper half as UTF-8. */
function pathOf(bytes: string): string | Buffer {
  return isAsciiText(bytes) ? bytes : Buffer.from(bytes, 'latin1');
}
