/**
 * Who else can read or change the configuration. It says what is mounted, where state is written and which client is told,
 * so whoever can change it commands this program, which often runs as root; and it holds passwords.
 *
 * As ssh and git do it: a file that others may write is refused, and so is one of another user that nobody named (it was only
 * found in the working directory). One that was named is obeyed with a warning, since the user may want that. Root's own
 * file is everybody's, and with sudo the caller's own.
 */
import { realpathSync, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { AutotorrentError } from '../errors.ts';
import { isPrivateGroup, isTrustedUser } from '../native/accounts.ts';

export interface ReadFile {
  readonly file: string;
  readonly bytes: Buffer;
  /** Of the opened file. */
  readonly stats: Stats;
  /** The user named it, by `-c` or AUTOTORRENT_CONFIG. */
  readonly named: boolean;
}

const GROUP = { read: 0o040, write: 0o020, search: 0o010 };
const OTHERS = { read: 0o004, write: 0o002, search: 0o001 };
const STICKY = 0o1000;
/** A password of a client, or one in an address; lines that are comments do not count. */
const SECRET = /^[ \t]*(?:pass\w*[ \t]*[=:][ \t]*\S|[^#;\s].*:\/\/[^\s/]*@)/im;

/**
 * Gives warnings for the user.
 * @throws AutotorrentError('CONFIG') for a file that others may change, or of a stranger
 */
export function distrustOf(read: ReadFile, env: Readonly<Record<string, string | undefined>>): string[] {
  const { file, stats, named, bytes } = read;
  // A pipe that the user made (`-c <(…)`).
  if (!stats.isFile()) return [];
  const notices: string[] = [];
  const folders = foldersAbove(file);
  if (othersMay('write', stats, folders)) {
    throw new AutotorrentError('CONFIG', `${file} is refused: other users of this machine may change it`, {
      hint: `Take that right from them: chmod go-w ${file}`,
    });
  }
  const callers = env['SUDO_UID'] !== undefined && isTrustedUser(0) && String(stats.uid) === env['SUDO_UID'];
  if (!isTrustedUser(stats.uid) && !callers) {
    const whose = `${file} belongs to another user (uid ${stats.uid})`;
    if (!named) {
      throw new AutotorrentError(
        'CONFIG',
        `${whose}, and nobody named it: this command would do what that user wants`,
        {
          hint: `If you trust it, name it: -c ${file}`,
        },
      );
    }
    notices.push(`${whose}: this command does what that user writes there. To change that: chown it`);
  }
  const [folder] = folders;
  if (
    folder !== undefined &&
    (folder.stats.mode & STICKY) === 0 &&
    othersMay('write', folder.stats, folders.slice(1))
  ) {
    notices.push(`other users of this machine may replace ${file}: chmod go-w ${folder.path}`);
  }
  if (othersMay('read', stats, folders) && SECRET.test(bytes.toString('latin1'))) {
    notices.push(`other users of this machine may read ${file}, which holds a password: chmod 600 ${file}`);
  }
  return notices;
}

interface Folder {
  readonly path: string;
  readonly stats: Stats;
}

/** The folders on the way to the file itself, the nearest first. */
function foldersAbove(file: string): Folder[] {
  const folders: Folder[] = [];
  try {
    let path = dirname(realpathSync(file));
    for (;;) {
      folders.push({ path, stats: statSync(path) });
      if (path === '/') return folders;
      path = dirname(path);
    }
  } catch {
    return folders; // it was moved meanwhile: the bits of the file itself decide
  }
}

/**
 * A right counts only where its holders can get at the file: everything in a folder of mode 0700 is private. A group that is
 * the owner's alone holds none, also if this is root: the owner may do all that it may.
 */
function othersMay(what: 'read' | 'write', { mode, uid, gid }: Stats, folders: readonly Folder[]): boolean {
  const everybody = (mode & OTHERS[what]) !== 0 && folders.every(({ stats }) => (stats.mode & OTHERS.search) !== 0);
  const reached = ({ stats }: Folder): boolean =>
    (stats.mode & OTHERS.search) !== 0 || ((stats.mode & GROUP.search) !== 0 && stats.gid === gid);
  return everybody || ((mode & GROUP[what]) !== 0 && !isPrivateGroup(gid, uid) && folders.every(reached));
}
