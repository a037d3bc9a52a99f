/** The folder of a LevelDB: makes it, keeps it private, and reports if it is missing. Loads no LevelDB. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AutotorrentError, type ErrorCode, errnoOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { keepPrivate } from '../state/private-folder.ts';

/** A database, as error messages name it. */
export interface Described {
  /** The code of the errors. */
  readonly code: Extract<ErrorCode, 'INDEX' | 'STORE'>;
  /** The subject of messages: `the collection index`. */
  readonly what: string;
}

/** Tells if the folder holds no LevelDB. False if that cannot be seen: opening it then says why. */
export async function isMissing(location: string): Promise<boolean> {
  try {
    await stat(join(location, 'CURRENT'));
    return false;
  } catch (error) {
    return errnoOf(error) === 'ENOENT';
  }
}

export function missingDatabase(location: string, { code, what }: Described, cause?: unknown): AutotorrentError {
  const hint = { INDEX: 'make it: autotorrent rebuild', STORE: 'start the server: autotorrent mount' }[code];
  return new AutotorrentError(code, `${what} (${location}) does not exist yet`, { cause, hint });
}

/** The names in a LevelDB's folder, for `keepPrivate`. */
const NAMES = /^(CURRENT|LOCK|LOG|LOG\.old|MANIFEST-\d+|\d+\.(ldb|log|sst|dbtmp)|lost|lost\+found)$/;

/**
 * Checks that the folder is this user's alone, and closes it if others may read it. `make`: makes it if it is missing.
 * @throws AutotorrentError of the database's code
 */
export function keepDatabasePrivate(location: string, database: Described, make: boolean, logger?: Logger): void {
  const { code, what } = database;
  keepPrivate(location, { code, what, make, ours: NAMES, ...(logger === undefined ? {} : { logger }) });
}
