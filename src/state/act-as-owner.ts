/**
 * Lets root act as the user whom the state belongs to. What root makes in it that user's own commands could not open, and
 * what that user puts there must not act with root's rights.
 *
 * It is done once, after the configuration was read and before anything else is opened. So the configuration may be
 * readable for root alone; torrents, sources and targets are read and written as that user, also by the processes that
 * this one starts.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, lstatSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { AutotorrentError, errnoOf, messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { accountOf, isUnmapped, shownUser } from '../native/accounts.ts';
import { readMountsSync } from '../native/mountinfo.ts';
import { findPlace, UntrustedPlace } from './place.ts';

export interface StateOf {
  readonly db: string;
  readonly statePath: string;
  /** All else that belongs to it: what lies beside `db`, and the mount point. */
  readonly others: readonly string[];
  /** The program's own file, which the user must be able to read. */
  readonly program: string;
}

interface Owned {
  readonly path: string;
  readonly uid: number;
  readonly gid: number;
}

/**
 * Does nothing unless this is root and the state is another user's. State that does not exist yet belongs to the owner of the
 * folder that it will be made in.
 * @throws AutotorrentError('STORE') if its parts belong to different users, or this process may not become that user
 */
export function actAsOwner(of: StateOf, logger: Logger): void {
  const { db, statePath, program } = of;
  if (process.geteuid?.() !== 0 || process.getuid?.() !== 0) return;
  const [index, state] = [ownerOf(db), ownerOf(statePath)];
  if (index.uid !== state.uid) {
    const to = index.uid === 0 ? state : index;
    throw new AutotorrentError(
      'STORE',
      `${index.path} belongs to ${shownUser(index.uid)}, and ${state.path} to ${shownUser(state.uid)}: db and state_path must belong to one user`,
      { hint: `end its server and give all of it to one of them, such as ${givingTo(to, of)}` },
    );
  }
  if (state.uid === 0) {
    refuseUsersFolder(of);
    return;
  }
  become(state);
  mayRun(program, state);
  logger.info(`acting as ${shownUser(state.uid)}, whom ${state.path} belongs to`);
}

/**
 * Refuses root's state in the folder of a user, who could put other state in its place. Versions that did not act as him left
 * such state.
 */
function refuseUsersFolder(of: StateOf): void {
  for (const path of [of.db, of.statePath]) {
    try {
      findPlace(path);
    } catch (error) {
      // Opening it reports all else.
      if (!(error instanceof UntrustedPlace) || error.owner === undefined) continue;
      const to = { path, uid: error.owner, gid: error.owner };
      const user = shownUser(to.uid);
      throw new AutotorrentError('STORE', `the state of root cannot be used: ${error.message}`, {
        cause: error,
        hint:
          `end its server and give all of it to ${user}: ${givingTo(to, of)}. Root's commands act as ${user} then. ` +
          'Or move it, and set db and state_path to folders of root',
      });
    }
  }
}

/** The command that gives a user all that is there, also the mount point. */
function givingTo(user: Owned, { db, statePath, others }: StateOf): string {
  const mounts = readMountsSync();
  const theirs = [db, statePath, ...others].filter((path) => {
    // A mount is never touched: its server may hang.
    if (mounts.some((mount) => mount.path.equals(Buffer.from(path)))) return true;
    const stats = lstatSync(path, { throwIfNoEntry: false });
    return stats !== undefined && stats.uid !== user.uid;
  });
  const paths = theirs.length > 0 ? [...new Set(theirs)] : [user.path];
  return `chown -R ${user.uid}:${primaryGroup(user)} ${paths.join(' ')}`;
}

/** Finds the owner of a path, or of the nearest folder above it that exists. */
function ownerOf(path: string): Owned {
  for (let at = path; ; at = dirname(at)) {
    try {
      const { uid, gid } = statSync(at);
      // Nobody can become one of those, and a volume of a rootless container is often the outer root's.
      return { path: at, uid: isUnmapped(uid) ? 0 : uid, gid };
    } catch (error) {
      const errno = errnoOf(error);
      if ((errno === 'ENOENT' || errno === 'ENOTDIR') && at !== '/') continue;
      throw new AutotorrentError('STORE', `the owner of ${at} cannot be found out: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }
}

/** @types/node does not know it. It takes the supplementary groups of a user, as a log-in does (initgroups(3)). */
const { initgroups } = process as unknown as { initgroups(this: void, user: number, group: number): void };

/** The group nogroup (Linux's overflowgid), which owns nothing. */
const NO_GROUP = 65_534;

/**
 * Finds the group that a log-in gives a user. The folder's is no answer: below a setgid folder it is one that its owner need
 * not be in, and he could take it from the processes that act as him. Containers run users without an account as `1000:1000`.
 */
function primaryGroup({ uid, gid }: Owned): number {
  const account = accountOf(uid);
  if (account !== undefined) return account.gid;
  try {
    // Knows accounts of directory services as well.
    return Number(execFileSync('id', ['-g', `${uid}`], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  } catch {
    return gid === uid ? gid : NO_GROUP;
  }
}

function become(owned: Owned): void {
  const { path, uid } = owned;
  const group = primaryGroup(owned);
  try {
    // The groups first: afterwards this process may not change them any more.
    takeGroups(uid, group);
    process.setgid?.(group);
    process.setuid?.(uid);
  } catch (cause) {
    throw new AutotorrentError(
      'STORE',
      `root cannot become ${shownUser(uid)}, whom ${path} belongs to: ${messageOf(cause)}`,
      {
        cause,
        hint: `run this as that user, or give the state to root: chown -R 0:0 ${path}`,
      },
    );
  }
}

function takeGroups(uid: number, group: number): void {
  try {
    initgroups(uid, group);
  } catch (error) {
    if (errnoOf(error) !== 'ERR_UNKNOWN_CREDENTIAL') throw error;
    process.setgroups?.([group]);
  }
}

function mayRun(program: string, { path, uid }: Owned): void {
  try {
    accessSync(process.execPath, constants.X_OK);
    accessSync(program, constants.R_OK);
  } catch (cause) {
    throw new AutotorrentError(
      'STORE',
      `${shownUser(uid)}, whom ${path} belongs to, may not run this program: ${messageOf(cause)}`,
      { cause, hint: 'install node and autotorrent where every user may read them, such as below /usr/local' },
    );
  }
}
