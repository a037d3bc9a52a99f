/** The folder of a LevelDB: makes it, and reports if it is missing. Loads no LevelDB. */
import { mkdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AutotorrentError, type ErrorCode, errnoOf, messageOf } from '../errors.ts';

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

/** Makes a folder and those above it. @throws AutotorrentError of the options' code */
export async function makeFolder(path: string, { code, what }: Described): Promise<void> {
  try {
    await makeWithParents(path);
  } catch (cause) {
    const key = code === 'INDEX' ? 'db' : 'state_path';
    throw new AutotorrentError(code, `${what} cannot be made: ${messageOf(cause)}`, {
      cause,
      hint: `set ${key} to a folder that this user may write to`,
    });
  }
}

/** Node's own `recursive` never ends below /proc, where mkdir answers ENOENT although the folder above exists. */
async function makeWithParents(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    if (errnoOf(error) === 'EEXIST' && (await stat(path)).isDirectory()) return;
    if (errnoOf(error) !== 'ENOENT' || dirname(path) === path) throw error;
    if (await exists(dirname(path))) throw error;
    await makeWithParents(dirname(path));
    await mkdir(path);
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
