/**
 * Resolves the path of a folder of state, and checks each folder above it: whoever may write there could put another folder
 * in its place, after any check of the folder itself.
 */
import { lstatSync, readlinkSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { isTrustedUser, isUnmapped, otherReplacers, shownUser } from '../native/accounts.ts';

export interface Place {
  /** The folder; if `missing` names any, the deepest one that exists. Without symlinks. */
  readonly folder: string;
  /** The names below it that do not exist. */
  readonly missing: readonly string[];
}

/** A folder or symlink on the way is another user's, or others may write to it. */
export class UntrustedPlace extends Error {
  readonly remedy: string;
  /** The user whose folder it is, if it is another user's. */
  readonly owner: number | undefined;

  constructor(message: string, remedy: string, owner?: number) {
    super(message);
    this.remedy = remedy;
    this.owner = owner;
  }
}

/** As the kernel (path_resolution(7)). */
const MOST_SYMLINKS = 40;

/**
 * Follows a path as the kernel does. Symlinks are followed if this user or root made them.
 * @throws UntrustedPlace; file errors of the disk
 */
export function findPlace(path: string): Place {
  const names = namesIn(resolve(path));
  let folder = '/';
  let symlinks = 0;
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    if (name === '..') {
      folder = dirname(folder);
      continue;
    }
    checkAbove(folder, path);
    const here = join(folder, name);
    const stats = lstatSync(here, { throwIfNoEntry: false });
    if (stats === undefined) return { folder, missing: [name, ...names] };
    if (!stats.isSymbolicLink()) {
      if (!stats.isDirectory()) {
        throw Object.assign(new Error(`ENOTDIR: ${here} is not a folder`), { code: 'ENOTDIR' });
      }
      folder = here;
      continue;
    }
    if (!isTrustedUser(stats.uid)) {
      throw new UntrustedPlace(`${here} is a symlink of ${shownUser(stats.uid)}`, 'look where it leads, and delete it');
    }
    if (++symlinks > MOST_SYMLINKS) throw new UntrustedPlace(`${here} leads in a circle`, 'delete the symlink');
    const target = readlinkSync(here);
    names.unshift(...namesIn(target));
    if (target.startsWith('/')) folder = '/';
  }
  return { folder, missing: [] };
}

function checkAbove(folder: string, path: string): void {
  const stats = statSync(folder);
  if (!isTrustedUser(stats.uid) && !isUnmapped(stats.uid)) {
    throw new UntrustedPlace(
      `${folder} belongs to ${shownUser(stats.uid)}, who could put something else in the place of ${path}`,
      `give ${path} to that user (chown -R) and run this as that user, or set db or state_path to a path whose folders belong to you or root`,
      stats.uid,
    );
  }
  const writers = otherReplacers(stats);
  if (writers === undefined) return;
  throw new UntrustedPlace(
    `${writers} may write to ${folder}, and could put something else in the place of ${path}`,
    `chmod go-w ${folder}, or, if they need it, chmod +t ${folder}: then nobody may replace what is another's there. ` +
      'Where modes cannot be changed (exFAT, NTFS, CIFS): mount with umask=022 or dir_mode=0755, or set db or state_path to another path',
  );
}

function namesIn(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}
