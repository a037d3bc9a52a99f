/**
 * Keeps a folder of state private: it belongs to this user or root, nobody else may enter it (0700), and nobody else may
 * replace it. Everything that opens or makes such a folder comes through here first.
 *
 * - Others may write to it: refused, since what lies in it may be theirs.
 * - Others may only read it (an older version made it so): it is closed, with one line in the log.
 * - Its file system has no modes (exFAT, NTFS, CIFS) and others may read: one warning, with the remedy. A disk that is
 *   mounted so is its administrator's choice, and the state may have no other place.
 * - Other things lie in it, too (`state_path = .`): they may be for others, so only what is ours in it is closed.
 */
import { closeSync, constants, fchmodSync, fstatSync, lstatSync, mkdirSync, openSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { AutotorrentError, type ErrorCode, errnoOf, messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { isTrustedUser, otherWriters, ownUid, shownUser } from '../native/accounts.ts';
import { findPlace, UntrustedPlace } from './place.ts';

export interface FolderOptions {
  /** The code of errors. */
  readonly code: Extract<ErrorCode, 'INDEX' | 'STORE' | 'SERVER'>;
  /** The subject of messages: `the collection index`. */
  readonly what: string;
  /** Makes it, and the folders above it, if it is missing. */
  readonly make: boolean;
  /**
   * `close` (default); `reclaim` closes it also if others could write to it, for a folder of which nothing is believed;
   * `look` changes nothing: it is for programs that open nothing in it.
   */
  readonly open?: 'close' | 'reclaim' | 'look';
  /** The names that state has in it. If there are others, the folder itself is left open. Default: all names are. */
  readonly ours?: RegExp;
  /** Closes files as well (0600), those with the names of `STATE_FILES`. Default: true. */
  readonly files?: boolean;
  readonly logger?: Logger;
}

/** What LevelDB (its doc/impl.md) and this program name their files. */
const STATE_FILES =
  /^(CURRENT|LOCK|LOG|LOG\.old|MANIFEST-\d+|\d+\.(ldb|log|sst|dbtmp)|server\.log|known_daemons|(absence|repair)\.json(\.new)?|ballast|log)$/;
const OTHERS = 0o077;

/** Tells if the folder exists. @throws AutotorrentError of `code` if it cannot be made, or is not to be trusted */
export function keepPrivate(path: string, options: FolderOptions): boolean {
  const { code, what } = options;
  try {
    const folder = options.make ? made(path) : existing(path);
    if (folder === undefined) return false;
    new PrivateFolder(path, options).check(folder);
    return true;
  } catch (error) {
    if (error instanceof UntrustedPlace) {
      throw new AutotorrentError(code, `${what} (${path}) cannot be used: ${error.message}`, { hint: error.remedy });
    }
    if (error instanceof AutotorrentError) throw error;
    const key = code === 'INDEX' ? 'db' : 'state_path';
    throw new AutotorrentError(code, `${what} cannot be ${options.make ? 'made' : 'used'}: ${messageOf(error)}`, {
      cause: error,
      hint: `set ${key} to a folder that this user may write to`,
    });
  }
}

function existing(path: string): string | undefined {
  try {
    const { folder, missing } = findPlace(path);
    return missing.length === 0 ? folder : undefined;
  } catch (error) {
    if (errnoOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

function made(path: string): string {
  for (;;) {
    const { folder, missing } = findPlace(path);
    const [name, ...rest] = missing;
    if (name === undefined) return folder;
    try {
      // Those above it may hold what others need, such as the mount point.
      mkdirSync(join(folder, name), { mode: rest.length === 0 ? 0o700 : 0o755 });
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
  }
}

class PrivateFolder {
  readonly #path: string;
  readonly #options: FolderOptions;

  constructor(path: string, options: FolderOptions) {
    this.#path = path;
    this.#options = options;
  }

  check(folder: string): void {
    const { open = 'close', ours, what, logger, make } = this.#options;
    const stats = lstatSync(folder);
    this.#mustBeOurs(folder, stats);
    // Root's folder in a user's hands: LevelDB says whether it may be used.
    if ((stats.mode & OTHERS) === 0 || open === 'look' || stats.uid !== ownUid()) return;
    const foreign = ours === undefined ? undefined : readdirSync(folder).find((name) => !ours.test(name));
    const isOpen = this.#close(folder, { itself: foreign === undefined, below: ours });
    if (!isOpen) logger?.info(`${what} (${this.#path}) could be read by other users: it is closed to them now (0700)`);
    else if (make && foreign !== undefined) {
      logger?.warn(
        `${what} (${this.#path}) stays open to other users, since other things lie in it (${foreign}): give it a folder of its own`,
      );
    } else if (make) {
      logger?.warn(
        `${what} (${this.#path}) can be read by other users, and its mode cannot be changed: ` +
          `mount its file system with uid=${ownUid()},umask=077, or move it to one that has modes`,
      );
    }
  }

  /**
   * Closes a folder, what is below it first: so a tree that was closed in part is closed again at the next start. Tells if it
   * is still open.
   */
  #close(
    folder: string,
    { itself, below }: { readonly itself: boolean; readonly below?: RegExp | undefined },
  ): boolean {
    const { uid } = lstatSync(folder);
    // Root's folder in this user's: nothing here may change it.
    if (uid === 0 && ownUid() !== 0) return false;
    // By descriptor: what was checked is what is changed, whatever has the name by then.
    const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      const stats = fstatSync(fd);
      this.#mustBeOurs(folder, stats);
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        if (below?.test(entry.name) === false) continue;
        const here = join(folder, entry.name);
        if (entry.isDirectory()) this.#close(here, { itself: true });
        else if (entry.isFile() && this.#options.files !== false && STATE_FILES.test(entry.name)) closeFile(here);
      }
      if (!itself) return true;
      return (stats.mode & OTHERS) !== 0 && stats.uid === ownUid() && !changeMode(fd, 0o700);
    } finally {
      closeSync(fd);
    }
  }

  #mustBeOurs(folder: string, stats: { readonly uid: number; readonly gid: number; readonly mode: number }): void {
    const { code, what, open } = this.#options;
    const named = folder === this.#path ? `${what} (${folder})` : `${folder}, in ${what} (${this.#path}),`;
    if (!isTrustedUser(stats.uid)) {
      throw new AutotorrentError(code, `${named} belongs to ${shownUser(stats.uid)}`, {
        hint: 'run this as that user, or set another path; chown -R gives it to you, if nothing in it is bad',
      });
    }
    const writers = open === 'reclaim' && stats.uid === ownUid() ? undefined : otherWriters(stats);
    if (writers === undefined) return;
    throw new AutotorrentError(code, `${writers} may write to ${named}: what lies in it may be theirs`, {
      hint:
        `look who owns what lies in it, then chmod -R go-w ${folder}. ` +
        `Where modes cannot be changed (exFAT, NTFS, CIFS): mount with uid=${ownUid()},umask=077, or move it`,
    });
  }
}

/** A file with further names is left as it is: it may be somebody else's as well. */
function closeFile(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { uid, nlink, mode } = fstatSync(fd);
    if (uid === ownUid() && nlink === 1 && (mode & OTHERS) !== 0) changeMode(fd, 0o600);
  } finally {
    closeSync(fd);
  }
}

/** Tells if the file has the mode then: a file system without modes may refuse it, or do nothing. */
function changeMode(fd: number, mode: number): boolean {
  try {
    fchmodSync(fd, mode);
  } catch (error) {
    if (errnoOf(error) !== 'EPERM' && errnoOf(error) !== 'EOPNOTSUPP' && errnoOf(error) !== 'EROFS') throw error;
  }
  return (fstatSync(fd).mode & 0o777) === mode;
}
