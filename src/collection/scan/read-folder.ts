/** Reads one folder in a walk worker. Its calls are synchronous, as the thread has nothing else to do. */
import { lstatSync, readdirSync, type Stats, statSync } from 'node:fs';
import { errnoOf, messageOf } from '../../errors.ts';
import { isReleaseFolder } from '../release.ts';
import { encodeFolder, type FolderState } from './folder-record.ts';
import type { IgnoreTest } from './ignore.ts';
import type { MemberBudget } from './member-budget.ts';
import { readMembers } from './read-members.ts';

/** Paths and names are byte strings. */
export interface FolderTask {
  readonly path: string;
  /** A root: a symbolic link there is followed, and its name is its whole path. */
  readonly root: boolean;
  /** The folder as the index knows it. If that still holds, its content is not read again. */
  readonly known: FolderState | null;
}

export interface ReadContext {
  readonly ignore: IgnoreTest | undefined;
  /** Paths that the worker does not touch. */
  readonly avoid: ReadonlySet<string>;
  /** A folder that changed less than this before it was read may change again without its times showing it. */
  readonly racyMs: number;
  /** For the archives of the whole rebuild. */
  readonly budget: MemberBudget;
  readonly skip: (reason: string, path: string) => void;
}

/** A record (`folder-record.ts`); `same`: as the index knows it; `skipped`: it cannot be read, and `skip` was called. */
export type FolderReading = ArrayBuffer | 'same' | 'skipped';

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const OTHER_KINDS: ReadonlyMap<number, string> = new Map([
  [0o120000, 'symbolic link'],
  [0o140000, 'socket'],
  [0o010000, 'named pipe'],
  [0o020000, 'device'],
  [0o060000, 'device'],
]);

export function readFolder(task: FolderTask, context: ReadContext): FolderReading {
  const { path } = task;
  try {
    if (context.avoid.has(path)) return skipped('of autotorrent itself');
    const startedMs = Date.now();
    const stats = task.root ? statSync(pathOf(path)) : lstatSync(pathOf(path));
    if ((stats.mode & S_IFMT) !== S_IFDIR) return skipped('not a folder');
    const state = stateOf(stats, startedMs - context.racyMs);
    if (task.known !== null && sameState(task.known, state)) return 'same';
    return listFolder(task, state, context);
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

function sameState(a: FolderState, b: FolderState): boolean {
  return a.dev === b.dev && a.ino === b.ino && a.mtime === b.mtime && a.ctime === b.ctime;
}

function listFolder(task: FolderTask, state: FolderState, context: ReadContext): ArrayBuffer {
  const { path } = task;
  const base = path === '/' ? '/' : `${path}/`;
  const ascii = isAsciiText(base);
  const fileNames: string[] = [];
  const sizes: number[] = [];
  const inodes: number[] = [];
  const ignored: boolean[] = [];
  const subfolders: string[] = [];
  let fileDev = -1;
  let oneDev = true;
  for (const name of readdirSync(pathOf(path), { encoding: 'latin1' })) {
    const child = base + name;
    if (context.avoid.size > 0 && context.avoid.has(child)) {
      context.skip('of autotorrent itself', child);
      continue;
    }
    const stats = lookAt(ascii && isAsciiText(name) ? child : Buffer.from(child, 'latin1'), child, context);
    if (stats === undefined) continue;
    const kind = stats.mode & S_IFMT;
    if (kind === S_IFDIR) {
      subfolders.push(name);
    } else if (kind === S_IFREG) {
      if (fileDev === -1) fileDev = stats.dev;
      // A record has one device for its files. A file that a mount lies over alone has no inode here, and no reuse.
      if (stats.dev !== fileDev) oneDev = false;
      fileNames.push(name);
      sizes.push(stats.size);
      inodes.push(stats.dev === fileDev ? stats.ino : 0);
      ignored.push(context.ignore?.(name, path) ?? false);
    } else {
      context.skip(OTHER_KINDS.get(kind) ?? 'of unknown kind', child);
    }
  }
  const members = readMembers({ base, fileNames, sizes }, context.budget, (reason, name) =>
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
    subfolders,
    members,
    marked: isReleaseFolder(fileNames),
  });
}

function lookAt(path: string | Buffer, child: string, context: ReadContext): Stats | undefined {
  try {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats === undefined) context.skip('vanished', child);
    return stats;
  } catch (error) {
    context.skip(reasonOf(error), child);
    return undefined;
  }
}

function reasonOf(error: unknown): string {
  const code = errnoOf(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'vanished';
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
