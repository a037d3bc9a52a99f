/** The system calls of a look at who may read a source: in threads of libuv, or at once. */
import fs, { type Stats } from 'node:fs';
import { promisify } from 'node:util';
import type { ReadAccessList } from '../native/access-list.ts';

type Answer<T> = T | Promise<T>;

export interface LookCalls {
  readonly stat: (path: Buffer) => Answer<Stats>;
  readonly lstat: (path: Buffer) => Answer<Stats>;
  readonly realpath: (path: Buffer) => Answer<Buffer>;
  /** Undefined: only modes count. */
  readonly accessList?: ReadAccessList | undefined;
}

/** For the process that serves, which must never wait for a disk. */
export function callsInThreads(accessList: ReadAccessList | undefined): LookCalls {
  return { stat: promisify(fs.stat), lstat: promisify(fs.lstat), realpath: promisify(realpath), accessList };
}

/** For threads that have nothing else to do. */
export function callsAtOnce(accessList: ReadAccessList | undefined): LookCalls {
  return {
    stat: (path) => fs.statSync(path),
    lstat: (path) => fs.lstatSync(path),
    realpath: (path) => fs.realpathSync.native(path, { encoding: 'buffer' }),
    accessList,
  };
}

function realpath(path: Buffer, done: (error: NodeJS.ErrnoException | null, found: Buffer) => void): void {
  fs.realpath.native(path, { encoding: 'buffer' }, done);
}
