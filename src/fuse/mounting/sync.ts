/** Flushes mmap writes before an unmount. */
import { execFile } from 'node:child_process';
import { messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';

const LIMIT_MS = 20_000;

/**
 * Makes the kernel write its dirty pages of the files on `mountPoint`. It keeps pages that were changed through mmap for
 * half a minute (rTorrent writes so), and drops them with a mount that nobody serves any more.
 *
 * A process of its own does this, since the pages come to the process that serves the mount, which must not wait for itself.
 * If it fails or takes too long, the log says so, and the unmount goes on.
 */
export async function syncMount(mountPoint: string, logger: Logger): Promise<void> {
  await new Promise<void>((resolve) => {
    const failed = (why: string): void => {
      logger.warn(`the last writes of clients to ${mountPoint} may be lost, let them check: ${why}`);
      resolve();
    };
    // `timeout` of execFile would wait for a process that cannot be killed.
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
