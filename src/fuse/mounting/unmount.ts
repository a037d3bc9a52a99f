/** Unmounts: with umount2(2) as root, else with fusermount, never through a shell. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { AutotorrentError, messageOf } from '../../errors.ts';
import type { MountCalls } from '../../native/mounting.ts';
import { mountsAt, realMountPoint } from './mount-point.ts';

const run = promisify(execFile);

/**
 * Removes the topmost mount of a path, if there is one. Nothing waits for programs that have files open: the mount
 * disappears at once for everybody else, and for them when they close.
 * @throws AutotorrentError('MOUNT')
 */
export async function unmount(path: string, calls: MountCalls): Promise<void> {
  const mountPoint = await realMountPoint(path);
  const ways = [
    async () => await calls.unmount?.(mountPoint, false),
    async () => await calls.unmount?.(mountPoint, true),
    async () => await run('fusermount', ['-u', '-z', mountPoint]),
    async () => await run('fusermount3', ['-u', '-z', mountPoint]),
  ];
  const before = (await mountsAt(mountPoint)).at(-1)?.dev;
  const failures: string[] = [];
  for (const way of ways) {
    if ((await mountsAt(mountPoint)).at(-1)?.dev !== before || before === undefined) return;
    await way().catch((error: unknown) => failures.push(messageOf(error)));
  }
  if ((await mountsAt(mountPoint)).at(-1)?.dev !== before) return;
  throw new AutotorrentError('MOUNT', `${mountPoint} cannot be unmounted: ${failures.join('; ')}`, {
    hint: `As root: umount -l ${mountPoint}`,
  });
}
