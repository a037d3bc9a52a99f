/**
 * Reads `[disks]` again for a process that runs for long: the user may add a disk while it serves. Nothing else of the file
 * is taken over.
 */
import { stat } from 'node:fs/promises';
import { messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { loadConfig } from './load.ts';

/**
 * Gives a function that tells the disks of the configuration at `file` as it is now. It reads the file only after
 * a change; after a fault in it the disks stay as they were, `disks` at first.
 */
export function disksNow(
  file: string,
  disks: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  logger: Logger,
): () => Promise<readonly string[]> {
  let found = disks;
  let read = '';
  let warned = '';
  const look = async (): Promise<void> => {
    const stats = await stat(file);
    const { dev, ino, size, mtimeMs, ctimeMs } = stats;
    const state = [dev, ino, size, mtimeMs, ctimeMs].join(' ');
    // A pipe gave its configuration to whoever read it first.
    if (state === read || !stats.isFile()) return;
    found = (await loadConfig({ file, cwd: '/', env })).disks;
    read = state;
    warned = '';
  };
  let looking: Promise<void> | undefined;
  return async () => {
    looking ??= look()
      .catch((error: unknown) => {
        const problem = `the disks stay as they were: ${messageOf(error)}`;
        if (problem !== warned) logger.warn(problem);
        warned = problem;
      })
      .finally(() => {
        looking = undefined;
      });
    await looking;
    return found;
  };
}
