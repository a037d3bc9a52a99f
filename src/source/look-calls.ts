/** The system calls of a look at who may read a source: in threads of libuv, or at once. */
import fs, { type Stats } from 'node:fs';
import { promisify } from 'node:util';
import type { ReadAccessList } from '../native/access-list.ts';
import type { DiskTurns } from './disk-turns.ts';

type Answer<T> = T | Promise<T>;

export interface LookCalls {
  readonly stat: (path: Buffer) => Answer<Stats>;
  readonly lstat: (path: Buffer) => Answer<Stats>;
  readonly realpath: (path: Buffer) => Answer<Buffer>;
  /** `on`: a path on the disk of the file, where `path` tells nothing of it. Undefined: only modes count. */
  readonly accessList?: ((path: Buffer, on?: Buffer) => Answer<Buffer | undefined>) | undefined;
}

/** For the process that serves, which must never wait for a disk. */
export function callsInThreads(turns: Pick<DiskTurns, 'at'>, accessList: ReadAccessList | undefined): LookCalls {
  const inTurn =
    <T>(call: (path: Buffer) => Answer<T>) =>
    async (path: Buffer, on = path): Promise<T> =>
      await (await turns.at(on))(async () => await call(path));
  return {
    stat: inTurn<Stats>(promisify(fs.stat)),
    lstat: inTurn<Stats>(promisify(fs.lstat)),
    realpath: inTurn(promisify(realpath)),
    accessList: accessList === undefined ? undefined : inTurn(accessList),
  };
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
