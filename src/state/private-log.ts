/** Opens a log in a folder of state. The descriptor goes to a program that runs for long, so it must be of the right file. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { AutotorrentError, type ErrorCode, errnoOf, messageOf } from '../errors.ts';
import { ownUid } from '../native/accounts.ts';

const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;

/**
 * Opens the log to append to it, and makes it if it is missing (0600). Follows no symlink, and refuses a file of another user
 * or with a second name.
 * @throws AutotorrentError of `code`
 */
export async function openPrivateLog(path: string, code: ErrorCode): Promise<FileHandle> {
  let file: FileHandle;
  try {
    file = await open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  } catch (cause) {
    const why = errnoOf(cause) === 'ELOOP' ? 'it is a symlink' : messageOf(cause);
    throw refusal(path, why, code, cause);
  }
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw refusal(path, 'it is no file', code);
    if (stats.uid !== ownUid()) throw refusal(path, `it belongs to user ${stats.uid}`, code);
    if (stats.nlink !== 1) throw refusal(path, 'it has a second name elsewhere (a hard link)', code);
    if ((stats.mode & 0o077) !== 0) await file.chmod(0o600).catch(() => {}); // no modes there: the folder's check said so
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

function refusal(path: string, why: string, code: ErrorCode, cause?: unknown): AutotorrentError {
  return new AutotorrentError(code, `the log ${path} cannot be written to: ${why}`, {
    cause,
    hint: 'look who made it, and move it away',
  });
}
