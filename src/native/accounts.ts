/** The users and groups of this machine, as /etc/passwd and /etc/group list them; and whom state is trusted to. */
import { readFileSync } from 'node:fs';

/** getpwuid(3), with the fields that are needed here. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export const ownUid = (): number => process.geteuid?.() ?? 0;

/** Tells if a user may own what this process believes: this user and root. */
export function isTrustedUser(uid: number): boolean {
  return uid === ownUid() || uid === 0;
}

/**
 * Tells if nobody but `owner`, this user and root is in a group: then what it may write to is as good as closed. Systems with
 * the umask 002 give each user such a group. A list without the owner's account proves nothing.
 */
export function isPrivateGroup(gid: number, owner: number = ownUid()): boolean {
  if (gid === 0) return true;
  const accounts = readAccounts();
  if (accounts.find(({ uid }) => uid === owner)?.gid !== gid) return false;
  const trusted = (uid: number): boolean => uid === owner || isTrustedUser(uid);
  if (accounts.some((other) => other.gid === gid && !trusted(other.uid))) return false;
  const names = new Set(accounts.filter(({ uid }) => trusted(uid)).map(({ name }) => name));
  const [, , , members = ''] = linesOf('/etc/group').find(([, , id]) => Number(id) === gid) ?? [];
  return members.split(',').every((name) => name === '' || names.has(name));
}

/** The permission bits and the group of a folder. */
interface Modes {
  readonly mode: number;
  readonly gid: number;
}

/** Tells who besides this user and root may write to a folder with these modes; undefined if nobody may. */
export function otherWriters({ mode, gid }: Modes): string | undefined {
  if ((mode & 0o002) !== 0) return 'every user';
  return (mode & 0o020) !== 0 && !isPrivateGroup(gid) ? `the group ${gid}` : undefined;
}

const STICKY = 0o1000;

/**
 * Tells who besides this user and root may replace what is in such a folder. In a sticky one, such as /tmp, only its owner
 * and the owner of a name may rename or delete it.
 */
export function otherReplacers(modes: Modes): string | undefined {
  return (modes.mode & STICKY) === 0 ? otherWriters(modes) : undefined;
}

export function accountOf(uid: number): Account | undefined {
  return readAccounts().find((account) => account.uid === uid);
}

/** Names a user for a sentence: `media (1000)`. */
export function shownUser(uid: number): string {
  const name = accountOf(uid)?.name;
  return name === undefined ? `user ${uid}` : `${name} (${uid})`;
}

/**
 * Tells if a file's owner may be root or anybody, because this process is in a user namespace that does not map every user
 * (user_namespaces(7)).
 */
export function isUnmapped(uid: number): boolean {
  const [map] = linesOf('/proc/self/uid_map', /\s+/);
  if (map === undefined || map.at(-1) === '4294967295') return false;
  return uid === Number(linesOf('/proc/sys/kernel/overflowuid')[0]?.[0] ?? 65_534);
}

function readAccounts(): Account[] {
  return linesOf('/etc/passwd').flatMap(([name, , uid, gid]) =>
    name === undefined || name === '' || gid === undefined ? [] : [{ name, uid: Number(uid), gid: Number(gid) }],
  );
}

/** The fields of each line; none if the file cannot be read, as in a bare container. */
function linesOf(file: string, separator: string | RegExp = ':'): string[][] {
  try {
    const lines = readFileSync(file, 'latin1').split('\n');
    return lines.filter((line) => line !== '').map((line) => line.trim().split(separator));
  } catch {
    return [];
  }
}
