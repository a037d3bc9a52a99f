/** Taking a mount away: by system call as root, else with fusermount, and never through a shell. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { AutotorrentError, messageOf } from '../../errors.ts';
import type { Libc } from '../../native/libc.ts';
import { mountsAt, realMountPoint } from './mount-point.ts';

const run = promisify(execFile);

/**
 * Removes what is mounted on `mountPoint`, if anything is. Where other programs have files open, the mount disappears
 * for everybody else at once, and for them when they close: nothing waits. Throws AutotorrentError('MOUNT').
 */
export async function unmount(path: string, libc: Libc): Promise<void> {
  const mountPoint = await realMountPoint(path);
  const ways = [
    async () => await libc.unmount?.(mountPoint, false),
    async () => await libc.unmount?.(mountPoint, true),
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
