/** Where a Deluge keeps its settings, and the accounts that it lets in. */
import { join } from 'node:path';

/** Where a Deluge keeps its settings: the user's own, and Debian's service. `configHome` as XDG has it. */
export function delugeFolders(configHome: string, root: string): string[] {
  return [join(configHome, 'deluge'), join(root, 'var/lib/deluged/config')];
}

/** Deluge's own account for this machine in its `auth` file (`user:password:level` a line), or the first that there is. */
export function accountIn(auth: string): { readonly username: string; readonly password: string } | undefined {
  const accounts = auth.split('\n').filter((line) => line.includes(':') && !line.startsWith('#'));
  const account = accounts.find((line) => line.startsWith('localclient:')) ?? accounts[0];
  if (account === undefined) return undefined;
  const [username = '', password = ''] = account.split(':');
  return { username, password };
}
