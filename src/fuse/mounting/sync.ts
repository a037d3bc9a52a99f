/** What clients changed through mmap, before its mount is taken away. */
import { execFile } from 'node:child_process';
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';

const LIMIT_MS = 20_000;

/**
 * Makes the kernel write what it still keeps of the files on `mountPoint`. It keeps pages that were changed through mmap
 * for half a minute (rTorrent writes so), and throws them away with a mount that nobody serves any more.
 *
 * By a process of its own: what it writes comes to the one that serves the mount, which must not wait for itself. Where
 * that fails, or takes too long, it is told, and the mount goes all the same.
 */
export async function syncMount(mountPoint: string, logger: Logger): Promise<void> {
  await new Promise<void>((resolve) => {
    const failed = (why: string): void => {
      logger.warn(`what clients wrote to ${mountPoint} last may be lost, let them check it: ${why}`);
      resolve();
    };
    // Not `timeout` of execFile, which waits for a process that cannot be killed.
    const limit = setTimeout(() => {
      child.kill('SIGKILL');
      failed(`it was not written within ${LIMIT_MS / 1000} s`);
    }, LIMIT_MS);
    const child = execFile('sync', ['-f', mountPoint], (error) => {
      clearTimeout(limit);
      if (error === null) resolve();
      else failed(messageOf(error));
    });
  });
}
