/**
 * The folder of a database's index process: its socket and its log. It lies beside `db`, as `<db>.process`; where this user
 * may not make it there, in `$XDG_RUNTIME_DIR`, or else in a folder of the user's own under the system's temporary one.
 */
import { createHash } from 'node:crypto';
import { access, chmod, constants, lstat, mkdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { AutotorrentError, errnoOf, messageOf } from '../../../errors.ts';

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
  if (await isPrivate(beside, db)) return beside;
  if (make && (await makePrivate(beside)) === undefined && (await isPrivate(beside, db))) return beside;
  const runtime = await runtimeFolder(env);
  const digest = createHash('sha256').update(db).digest('hex').slice(0, 16);
  const apart = join(runtime, `index-${digest}`);
  if ((await isPrivate(runtime, undefined)) && (await isPrivate(apart, undefined))) return apart;
  if (!make) return undefined;
  const cause = (await makePrivate(runtime)) ?? (await makePrivate(apart));
  if ((await isPrivate(runtime, undefined)) && (await isPrivate(apart, undefined))) return apart;
  const why = cause === undefined ? 'others may write to it' : messageOf(cause);
  throw new AutotorrentError('INDEX', `no folder for the index process can be made (${beside}, ${apart}): ${why}`, {
    cause,
    hint: 'let XDG_RUNTIME_DIR name a folder of this user, with mode 0700',
  });
}

/** The environment's runtime folder if it is private, as the XDG specification demands; else one in the temporary folder. */
async function runtimeFolder(env: NodeJS.ProcessEnv): Promise<string> {
  const given = env['XDG_RUNTIME_DIR'];
  // Its mode is not changed: it may be /tmp itself.
  if (given !== undefined && isAbsolute(given) && (await isPrivate(given, undefined, false))) return given;
  return join(tmpdir(), `autotorrent-${uid()}`);
}

/**
 * Tells if a user is trusted to answer: this user, root, and for root the owner of the database, who decides what is in it.
 * `db`: undefined if its owner does not matter.
 */
export async function isTrusted(owner: number, db: string | undefined): Promise<boolean> {
  if (owner === uid() || owner === 0) return true;
  if (uid() !== 0 || db === undefined) return false;
  return await stat(db).then(
    (stats) => stats.uid === owner,
    () => false,
  );
}

/**
 * Tells if only a trusted user and root can enter the folder, and this process can write there.
 * `close`: takes the others' rights to a folder of this user.
 */
async function isPrivate(folder: string, db: string | undefined, close = true): Promise<boolean> {
  try {
    const stats = await lstat(folder);
    if (!stats.isDirectory() || !(await isTrusted(stats.uid, db))) return false;
    if ((stats.mode & 0o077) !== 0) {
      if (!close || stats.uid !== uid()) return false;
      await chmod(folder, 0o700);
    }
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

const uid = (): number => process.getuid?.() ?? 0;
