/** Makes the list of folders that were given to `rebuild`, where the version that made the index kept none. */
import { lstat } from 'node:fs/promises';
import { openCollection } from '../collection/open.ts';
import type { Config } from '../config/config.ts';
import { errnoOf, messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { givenFoldersPath } from '../source/given-folders.ts';

/** An index process of another build may have to end first. */
const WAIT_MS = 60_000;

export interface ListingOptions {
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * Has the index process list them, for the server, which does not open the index. If that fails, the log says what is not
 * served; the server starts all the same.
 */
export async function listGivenFolders({ db }: Pick<Config, 'db'>, { logger, signal }: ListingOptions): Promise<void> {
  if ((await isThere(givenFoldersPath(db))) || !(await isThere(db))) return;
  try {
    const waiting = AbortSignal.any([signal, AbortSignal.timeout(WAIT_MS)]);
    const index = await openCollection({ db }, { logger, signal: waiting }).openIndex();
    await index.close();
  } catch (error) {
    signal.throwIfAborted();
    logger.warn(
      `files in folders that were given to rebuild are not served: the index cannot be asked for them: ${messageOf(error)}`,
    );
  }
}

async function isThere(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    (error: unknown) => errnoOf(error) !== 'ENOENT',
  );
}
