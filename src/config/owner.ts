/** `owner = user[:group]`, resolved with the system's own lists of accounts. */

/** What `/etc/passwd` and `/etc/group` hold. */
export interface Accounts {
  readonly passwd: string;
  readonly group: string;
}

const LARGEST_ID = 2 ** 32 - 2;

/**
 * Names or numbers of a user and a group. Without a group it is the user's own one.
 * A string is the reason why it does not resolve.
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

/** The fields of the line of a name or a number: name, password, id, … */
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
