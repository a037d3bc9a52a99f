/** Resolves `owner = user[:group]` with the system's lists of accounts, and names an owner by them. */

/** The text of `/etc/passwd` and `/etc/group`. */
export interface Accounts {
  readonly passwd: string;
  readonly group: string;
}

const LARGEST_ID = 2 ** 32 - 2;

/**
 * Resolves names or numbers of a user and a group; the default group is the user's own. A string is the reason for a
 * failure.
 */
export function resolveOwner(value: string, accounts: Accounts): { uid: number; gid: number } | string {
  const parts = /^([^:\s]+)(?::([^:\s]+))?$/.exec(value);
  const userName = parts?.[1];
  if (userName === undefined) return 'accepted: user or user:group, names or numbers';
  const groupName = parts?.[2];
  const user = findAccount(userName, accounts.passwd);
  const uid = user === undefined ? idOf(userName) : Number(user[2]);
  if (uid === undefined)
    return `there is no user ${userName} in /etc/passwd; accepted: user or user:group, names or numbers`;
  if (groupName === undefined) {
    if (user === undefined) return `user ${userName} has no group in /etc/passwd; accepted: ${userName}:GROUP`;
    return { uid, gid: Number(user[3]) };
  }
  const group = findAccount(groupName, accounts.group);
  const gid = group === undefined ? idOf(groupName) : Number(group[2]);
  if (gid === undefined) return `there is no group ${groupName} in /etc/group; accepted: user:group, names or numbers`;
  return { uid, gid };
}

/** Names a user and a group, as `owner` in the configuration does; those without a name by their numbers. */
export function namesOf(
  { uid, gid }: { uid: number; gid: number },
  accounts: Accounts,
): { user: string; group: string } {
  const user = findAccount(`${uid}`, accounts.passwd)?.[0];
  const group = findAccount(`${gid}`, accounts.group)?.[0];
  return { user: user ?? `${uid}`, group: group ?? `${gid}` };
}

/** Finds the line of a name or a number and returns its fields: name, password, id, … */
function findAccount(nameOrId: string, list: string): string[] | undefined {
  const rows = list
    .split('\n')
    .map((row) => row.trim().split(':'))
    .filter((fields) => idOf(fields[2] ?? '') !== undefined);
  return rows.find((fields) => fields[0] === nameOrId) ?? rows.find((fields) => fields[2] === nameOrId);
}

function idOf(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) && Number(text) <= LARGEST_ID ? Number(text) : undefined;
}
