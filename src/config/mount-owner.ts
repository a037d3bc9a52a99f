/**
 * Whose the files in the mount are: what `owner` says; else the user as whom the clients run, if all whose user is known agree;
 * else the server's own. Root and the server's user are no reason for another one.
 *
 * Only the owner and root may write in the mount, and read files that are not open to everybody.
 */
import { shownUser } from '../native/accounts.ts';
import type { Config } from './config.ts';
import { localAccounts } from './load.ts';
import { namesOf } from './owner.ts';

export interface MountOwner {
  readonly uid: number;
  readonly gid: number;
  /** `configuration`: it is set; `client`: learnt from the clients; `server`: neither is so. */
  readonly from: 'configuration' | 'client' | 'server';
}

/** A client of this machine and the user whom it runs as. */
export interface RunningClient {
  /** As people call it. */
  readonly client: string;
  readonly user: { readonly uid: number; readonly gid: number };
}

/** This process acts as the server's user. */
export function mountOwner({ owner }: Pick<Config, 'owner'>, clients: readonly RunningClient[]): MountOwner {
  if (owner !== undefined) return { ...owner, from: 'configuration' };
  const users = clients.map(({ user }) => user).filter(({ uid }) => uid !== 0);
  const [first] = users;
  const self = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  if (first === undefined || first.uid === self.uid || users.some(({ uid }) => uid !== first.uid)) {
    return { ...self, from: 'server' };
  }
  return { uid: first.uid, gid: first.gid, from: 'client' };
}

/**
 * Says which clients cannot write in the mount, and what to do: one sentence or none. `file`: the configuration.
 */
export function shutOut(owner: MountOwner, clients: readonly RunningClient[], file: string): string[] {
  const mayMatter = clients.filter(({ user: { uid } }) => uid !== 0);
  const out = mayMatter.filter(({ user: { uid } }) => uid !== owner.uid);
  const [first] = out;
  if (first === undefined) return [];
  const runs = out.map(({ client, user }) => `${client} runs as ${shownUser(user.uid)}`).join(', ');
  const set = owner.from === 'configuration' ? ', as owner says' : '';
  const remedy = mayMatter.every(({ user: { uid } }) => uid === first.user.uid)
    ? `Set owner = ${shownOwner(first.user)} in ${file}, and start the server again`
    : `The clients run as different users, and only one can write: owner = USER:GROUP in ${file} names it`;
  return [
    `${runs}, and the files in the mount belong to ${shownUser(owner.uid)}${set}. Where bytes are missing, another user cannot ` +
      `write them, and he reads only what is open to everybody. ${remedy}`,
  ];
}

/** As `owner` takes it: names where this machine has them. */
export function shownOwner(owner: { readonly uid: number; readonly gid: number }): string {
  const { user, group } = namesOf(owner, localAccounts());
  return `${user}:${group}`;
}
