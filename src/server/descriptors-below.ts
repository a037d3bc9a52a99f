/** Counts what a process has open on a disk, without touching the disk: /proc/PID/fd (proc_pid_fd(5)). */
import { readdir, readlink } from 'node:fs/promises';
import { isAtOrBelow } from '../native/mountinfo.ts';

/** `pid`: a process id, or `self`. 0 for a process that has ended, or that we may not look at. */
export async function descriptorsBelow(pid: string, folders: readonly Buffer[]): Promise<number> {
  const fds = await readdir(`/proc/${pid}/fd`).catch((): string[] => []);
  let count = 0;
  for (const fd of fds) {
    // It may be closed by now.
    const path = await readlink(`/proc/${pid}/fd/${fd}`, 'buffer').catch(() => Buffer.alloc(0));
    if (folders.some((folder) => isAtOrBelow(path, folder))) count++;
  }
  return count;
}
