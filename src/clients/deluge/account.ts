/** Where a Deluge keeps its settings, and the accounts in its `auth` file. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isOwnHost } from '../wire/own-host.ts';

/** Bytes: far more than any `auth` file has. */
export const LARGEST_AUTH_FILE = 1024 * 1024;

export interface DelugeAccount {
  readonly username: string;
  readonly password: string;
}

/** The folders of Deluge's settings: the user's own, and that of Debian's service. */
export function delugeFolders(configHome: string, root: string): string[] {
  return [join(configHome, 'deluge'), join(root, 'var/lib/deluged/config')];
}

/**
 * The `auth` files that may hold an account of the daemon at `host`: a daemon of this machine lets in whoever can read
 * its file, as Deluge's own programs do. None for another machine.
 */
export function ownAuthFiles(host: string): string[] {
  if (!isOwnHost(host)) return [];
  const configHome = process.env['XDG_CONFIG_HOME'] ?? join(homedir(), '.config');
  return delugeFolders(configHome, '/').map((folder) => join(folder, 'auth'));
}

/** Deluge's own account for this machine in an `auth` file (`user:password:level` a line), else the file's first one. */
export function accountIn(auth: string): DelugeAccount | undefined {
  const accounts = auth.split('\n').filter((line) => line.includes(':') && !line.startsWith('#'));
  const account = accounts.find((line) => line.startsWith('localclient:')) ?? accounts[0];
  if (account === undefined) return undefined;
  const [username = '', password = ''] = account.split(':');
  return { username, password };
}
