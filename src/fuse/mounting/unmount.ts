/** Unmounts: with umount2(2) as root, else with fusermount, never through a shell. */
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { AutotorrentError, messageOf } from '../../errors.ts';
import { minorOf } from '../../native/mountinfo.ts';
import type { MountCalls } from '../../native/mounting.ts';
import { mountsAt, realMountPoint } from './mount-point.ts';

const run = promisify(execFile);

/**
 * Removes the topmost mount of a path, if there is one. Nothing waits for programs that have files open: the mount
 * disappears at once, and their calls fail.
 *
 * A mount in use is aborted before it is detached. Detached alone it would live on as long as a file is open, and with it the
 * reads of the device that its server waits in.
 * @throws AutotorrentError('MOUNT')
 */
export async function unmount(path: string, calls: MountCalls): Promise<void> {
  const mountPoint = await realMountPoint(path);
  const before = (await mountsAt(mountPoint)).at(-1);
  if (before === undefined) return;
  const connection = await Connection.of(before.dev);
  const throughHelper = (program: string) => async () => {
    await run(program, ['-u', '-z', mountPoint]);
    await connection?.abort();
  };
  const ways = [
    async () => await calls.unmount?.(mountPoint, false),
    async () => await calls.abort?.(mountPoint),
    async () => await calls.unmount?.(mountPoint, true),
    throughHelper('fusermount'),
    throughHelper('fusermount3'),
  ];
  const failures: string[] = [];
  const isGone = async (): Promise<boolean> => (await mountsAt(mountPoint)).at(-1)?.dev !== before.dev;
  try {
    for (const way of ways) {
      await way().catch((error: unknown) => failures.push(messageOf(error)));
      if (await isGone()) return;
    }
  } finally {
    await connection?.close();
  }
  throw new AutotorrentError('MOUNT', `${mountPoint} cannot be unmounted: ${failures.join('; ')}`, {
    hint: `As root: umount -l ${mountPoint}`,
  });
}

/**
 * A connection of the kernel with a server, as the file system of type fusectl shows it to the user whom the mount belongs to.
 * Opened before the mount goes: a later one may get its number.
 */
class Connection {
  readonly #abort: FileHandle;

  private constructor(abort: FileHandle) {
    this.#abort = abort;
  }

  /** Undefined where fusectl is not mounted, as in most containers. */
  static async of(dev: number): Promise<Connection | undefined> {
    try {
      return new Connection(await open(`/sys/fs/fuse/connections/${minorOf(dev)}/abort`, constants.O_WRONLY));
    } catch {
      return undefined;
    }
  }

  /** Ends it: requests under way fail, and whoever serves it reads ENODEV. Does nothing if it has ended. */
  async abort(): Promise<void> {
    await this.#abort.write('1').catch(() => {});
  }

  async close(): Promise<void> {
    await this.#abort.close();
  }
}
