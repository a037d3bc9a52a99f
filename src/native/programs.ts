/** Which programs a user runs, as /proc shows them (proc(5)). With `hidepid` it shows other users' programs to root alone. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

/** Characters of a program's name that the kernel keeps (TASK_COMM_LEN). */
const COMM = 15;

/**
 * Looks for a program of `names` that acts as `uid` on files. Gives the group that it acts as, or undefined if there is none.
 * A script counts by its own name, also where the command line begins with its interpreter.
 */
export function findProgram(uid: number, names: readonly string[]): { readonly gid: number } | undefined {
  const isNamed = (name: string): boolean =>
    names.some((one) => name === one || name.slice(0, COMM) === one.slice(0, COMM));
  for (const pid of list('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const status = text(`/proc/${pid}/status`);
    if (idOf(status, 'Uid') !== uid) continue;
    const gid = idOf(status, 'Gid');
    if (gid === undefined) continue;
    // rTorrent names its main thread "rtorrent main".
    const [, name = ''] = /^Name:\t(\S*)/m.exec(status) ?? [];
    if (isNamed(name) || (name.startsWith('python') && isNamed(scriptOf(pid)))) return { gid };
  }
  return undefined;
}

/** The last of the four ids of a line: the one that counts for files. */
function idOf(status: string, line: 'Uid' | 'Gid'): number | undefined {
  const [, id] = new RegExp(String.raw`^${line}:(?:\t\d+){3}\t(\d+)$`, 'm').exec(status) ?? [];
  return id === undefined ? undefined : Number(id);
}

function scriptOf(pid: string): string {
  const [, ...args] = text(`/proc/${pid}/cmdline`).split('\0');
  return basename(args.find((arg) => !arg.startsWith('-')) ?? '');
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // a sandbox without /proc
  }
}

function text(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return ''; // it has ended
  }
}
