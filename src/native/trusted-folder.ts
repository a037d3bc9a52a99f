/**
 * Opens a folder to which nobody but this user and root can change the way.
 *
 * A program that writes to `/a/b/c` writes wherever those lead it who may replace `b` or `c` by a symlink: for root, into any
 * folder of the machine. So each folder on the way must belong to this user or to root, and no other may write to it. In a
 * folder with the sticky bit (`/tmp`) everybody may make names, but not replace those of others: there, the next folder or
 * symlink must belong to this user or root. A symlink in a trusted folder is one that the user himself, or root, made.
 */
import type { Stats } from 'node:fs';
import { lstat, readlink } from 'node:fs/promises';
import { errnoOf } from '../errors.ts';
import { isTrustedUser, isUnmapped, otherReplacers } from './accounts.ts';
import { HeldFolder } from './held-folder.ts';

/** As many symlinks as the kernel follows in one path. */
const MAX_LINKS = 40;

/** Thrown for a folder or symlink that others can change. The message is a sentence about `path`. */
export class UntrustedFolder extends Error {
  readonly path: string;
  /** Says what to do. */
  readonly hint: string;

  constructor(path: string, what: string, hint: string) {
    super(`${path} ${what}`);
    this.name = 'UntrustedFolder';
    this.path = path;
    this.hint = hint;
  }
}

/**
 * Opens the folder at an absolute path for reading and syncing.
 * @throws UntrustedFolder; the errors of open(2), such as ENOENT
 */
export async function openTrustedFolder(path: string): Promise<HeldFolder> {
  return await walk(path, refuseUntrusted, async (folder) => await folder.reopened());
}

/**
 * Checks that no symlink of another user leads to the folder at an absolute path. Its folders may belong to anybody.
 * @throws UntrustedFolder; the errors of open(2), such as ENOENT
 */
export async function refuseForeignLinks(path: string): Promise<void> {
  await walk(
    path,
    () => {},
    async () => {},
  );
}

/** Goes to a folder, one component after the other, and gives what `arrived` makes of it. */
async function walk<T>(
  path: string,
  check: (stats: Stats, path: string) => void,
  arrived: (folder: HeldFolder) => Promise<T>,
): Promise<T> {
  let links = 0;
  const names = componentsOf(path).toReversed();
  let folder = await HeldFolder.openRoot();
  try {
    for (;;) {
      check(await folder.handle.stat(), folder.shown);
      const name = names.pop();
      if (name === undefined) return await arrived(folder);
      const target = name === '..' ? undefined : await trustedLink(folder, name);
      if (target === undefined) folder = await replaced(folder, await folder.passThrough(name));
      else {
        if (++links > MAX_LINKS) throw new UntrustedFolder(path, 'leads in a circle', 'Name a folder.');
        names.push(...componentsOf(target).toReversed());
        if (target.startsWith('/')) folder = await replaced(folder, await HeldFolder.openRoot());
      }
    }
  } finally {
    await folder.close();
  }
}

function componentsOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

async function replaced(folder: HeldFolder, next: HeldFolder): Promise<HeldFolder> {
  await folder.close();
  return next;
}

/** Gives the target of a symlink; undefined for anything else. */
async function trustedLink(folder: HeldFolder, name: string): Promise<string | undefined> {
  const at = folder.at(name);
  const stats = await lstat(at);
  if (!stats.isSymbolicLink()) return undefined;
  refuseForeignLink(stats, `${folder.shown}/${name}`);
  try {
    return await readlink(at);
  } catch (error) {
    // It was replaced meanwhile: opening it says by what.
    if (errnoOf(error) === 'EINVAL') return undefined;
    throw error;
  }
}

/** @throws UntrustedFolder for a symlink of anybody but this user and root */
export function refuseForeignLink({ uid }: { readonly uid: number }, path: string): void {
  if (isTrustedUser(uid) || isUnmapped(uid)) return;
  throw new UntrustedFolder(path, `is a symlink of another user (uid ${uid})`, 'Name the folder that it leads to.');
}

function refuseUntrusted({ uid, gid, mode }: Stats, path: string): void {
  if (!isTrustedUser(uid) && !isUnmapped(uid)) {
    throw new UntrustedFolder(
      path,
      `belongs to another user (uid ${uid}), who could lead what is written there elsewhere`,
      'Name a folder of your own, and move it there afterwards; or run this as that user.',
    );
  }
  if (otherReplacers({ mode, gid }) !== undefined) {
    throw new UntrustedFolder(
      path,
      'can be written to by others, who could lead what is written there elsewhere',
      `Take that right from them (chmod go-w ${path}), or let nobody replace what is another's there (chmod +t ${path}), or ` +
        'name another folder. Where modes cannot be changed (exFAT, NTFS, CIFS): mount with umask=022 or dir_mode=0755.',
    );
  }
}
