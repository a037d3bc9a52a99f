/**
 * The folder of a database's index process: its socket and its log. It lies beside `db`, as `<db>.process`; where this user
 * may not make it there, in `$XDG_RUNTIME_DIR`, or else in a folder of the user's own under the system's temporary one.
 */
import { createHash } from 'node:crypto';
import { access, constants, mkdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { AutotorrentError, errnoOf, messageOf } from '../../../errors.ts';
import { ownUid } from '../../../native/accounts.ts';
import { keepPrivate } from '../../../state/private-folder.ts';

/** Beside the database. */
export function processFolder(db: string): string {
  return `${db}.process`;
}

/**
 * Finds the folder: private, and of a trusted user. Undefined if there is none and `make` is false.
 * @throws AutotorrentError('INDEX') if no folder can be made
 */
export async function findFolder(
  db: string,
  make: boolean,
  env: NodeJS.ProcessEnv = process.env,
): Promise<string | undefined> {
  const beside = processFolder(db);
  if (await isPrivate(beside)) return beside;
  if (make && (await makePrivate(beside)) === undefined && (await isPrivate(beside))) return beside;
  const runtime = await runtimeFolder(env);
  const digest = createHash('sha256').update(db).digest('hex').slice(0, 16);
  const apart = join(runtime, `index-${digest}`);
  if ((await isPrivate(runtime)) && (await isPrivate(apart))) return apart;
  if (!make) return undefined;
  const cause = (await makePrivate(runtime)) ?? (await makePrivate(apart));
  if ((await isPrivate(runtime)) && (await isPrivate(apart))) return apart;
  const why = cause === undefined ? "they are not this user's alone" : messageOf(cause);
  throw new AutotorrentError('INDEX', `no folder for the index process can be made (${beside}, ${apart}): ${why}`, {
    cause,
    hint: 'let XDG_RUNTIME_DIR name a folder of this user, with mode 0700',
  });
}

/** The environment's runtime folder if it is private, as the XDG specification demands; else one in the temporary folder. */
async function runtimeFolder(env: NodeJS.ProcessEnv): Promise<string> {
  const given = env['XDG_RUNTIME_DIR'];
  // Its mode is not changed: it may be /tmp itself. After sudo it may be another user's.
  if (given !== undefined && isAbsolute(given) && (await isPrivate(given, false))) return given;
  return join(tmpdir(), `autotorrent-${ownUid()}`);
}

/**
 * Tells if only this user and root can enter the folder, and this process can write there. `close`: takes the others' rights
 * to a folder of this user, of which nothing is believed.
 */
async function isPrivate(folder: string, close = true): Promise<boolean> {
  try {
    const open = close ? 'reclaim' : 'look';
    if (!keepPrivate(folder, { code: 'INDEX', what: 'the folder of the index process', make: false, open }))
      return false;
    if (!close && ((await stat(folder)).mode & 0o077) !== 0) return false;
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Makes a private folder. Returns the error if it could not; undefined if a folder is there. */
async function makePrivate(folder: string): Promise<unknown> {
  try {
    await mkdir(folder, { mode: 0o700 });
    return undefined;
  } catch (error) {
    return errnoOf(error) === 'EEXIST' ? undefined : error;
  }
}
