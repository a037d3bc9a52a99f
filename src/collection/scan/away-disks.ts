/**
 * Disks that are away: their folders are in the index, and what was mounted there is not mounted now. Their records are kept, so that
 * nothing vanishes from the index because a disk is not there.
 *
 * A rebuild notes at which mount points the folders of each root lay. A folder is away if nothing is mounted at its mount point now,
 * and fewer than half of some files that the index has below it are there: the mount point is empty, or gone, or has a few files that
 * were written into it meanwhile. (With half of them there it counts as there: its content was moved to the disk below.) Another disk
 * that is mounted at the same place takes the place of the first. The folder of a disk that is gone is away, too; one that
 * is empty while its file system is mounted was emptied. All paths here are byte strings.
 */
import { lstat, readdir, stat } from 'node:fs/promises';
import { errnoOf } from '../../errors.ts';
import { silentLogger } from '../../logger.ts';
import { openCLibrary } from '../../native/c-library.ts';
import { readMounts } from '../../native/mountinfo.ts';
import { type FileSystems, openFileSystems } from '../../source/file-system.ts';
import { isInside } from './mounts.ts';
import { rebase } from './scan-roots.ts';

/** A mount on which folders of a root lie. */
export interface RootMount {
  /** The highest folder of the root that lies on it, under the name by which the user knows the root. */
  readonly path: string;
  /** Where it is mounted: a real path, the same folder or one above the root. */
  readonly point: string;
  /** As sources record it: `uuid:…`, or `mount:TYPE:SOURCE`. */
  readonly disk?: string;
}

/** What is known of a root. */
export interface MountedRoot {
  readonly path: string;
  readonly real: string;
  /** Absent in an index of an older version. */
  readonly mounts?: readonly RootMount[];
}

/** A folder that is away, with all that is below it. */
export interface AwayFolder {
  /** A root, or a folder below one: the mount point, or the highest folder above it that is gone. */
  readonly path: string;
  readonly root: string;
  readonly disk?: string;
}

/** Gives some of the files that the index has at or below a folder, by its path: their paths relative to it. */
export type FilesInIndex = (path: string) => Promise<readonly string[]>;

/** Their content does not outlive them. */
const PASSING: ReadonlySet<string> = new Set(['tmpfs', 'ramfs', 'overlay', 'squashfs', 'iso9660', 'udf']);

/** Notes the mounts at and below a root. */
export async function mountsOf({ path, real }: MountedRoot, fileSystems = openedNow()): Promise<RootMount[]> {
  const mounts = (await readMounts()).map(({ path: at, type }) => ({
    at: at.toString('latin1'),
    type,
  }));
  const holding = mounts
    .filter(({ at }) => isInside(real, at))
    .reduce<(typeof mounts)[number] | undefined>(
      (a, b) => (a !== undefined && a.at.length > b.at.length ? a : b),
      undefined,
    );
  const files = new Set((await fileSystems.mountsBelow(bytes(real))).map((at) => at.toString('latin1')));
  const below = mounts.filter(({ at }) => at !== real && files.has(at));
  const found: RootMount[] = [];
  for (const { at, type } of [...(holding === undefined ? [] : [holding]), ...below]) {
    if (PASSING.has(type)) continue;
    const isAbove = isInside(real, at);
    const disk = await fileSystems.diskOf(bytes(isAbove ? real : at));
    found.push({ path: isAbove ? path : rebase(at, real, path), point: at, ...(disk === undefined ? {} : { disk }) });
  }
  // Of two mounts at one place the later hides the earlier.
  return found.filter(({ point }, i) => !found.some((other, j) => j > i && other.point === point));
}

/**
 * Finds the folders of some roots that are away now, the highest of each branch. What is mounted is not touched, but for the
 * roots themselves.
 */
export async function findAway(roots: readonly MountedRoot[], filesInIndex: FilesInIndex): Promise<AwayFolder[]> {
  const found: AwayFolder[] = [];
  for (const root of roots) {
    const mounts = root.mounts ?? [];
    if (!(await isFolder(root.real))) {
      found.push({ path: root.path, root: root.path, ...diskOf(mounts.find(({ path }) => path === root.path)) });
      continue;
    }
    const away: AwayFolder[] = [];
    for (const mount of mounts) {
      if (away.some(({ path }) => isInside(mount.path, path))) continue;
      const path = await awayAt(mount, root, filesInIndex);
      if (path !== undefined) away.push({ path, root: root.path, ...diskOf(mount) });
    }
    found.push(...away);
  }
  return found;
}

const diskOf = (mount: RootMount | undefined): { disk?: string } =>
  mount?.disk === undefined ? {} : { disk: mount.disk };

/** The folder that is away with a mount; undefined if it is there. */
async function awayAt(mount: RootMount, root: MountedRoot, filesInIndex: FilesInIndex): Promise<string | undefined> {
  const realOf = (path: string): string => rebase(path, root.path, root.real);
  if (await isMountPoint(mount.point)) return undefined;
  const files = await filesInIndex(mount.path);
  if (files.length === 0) return undefined;
  const real = realOf(mount.path);
  if (!(await isFolder(real))) return await highestGone(mount.path, root.path, realOf);
  // Whoever opens the folder has an automounter mount it.
  await readdir(bytes(real)).catch(() => {});
  if (await isMountPoint(mount.point)) return undefined;
  let there = 0;
  for (const file of files) if (await isThere(`${real}/${file}`)) there++;
  return there * 2 >= files.length ? undefined : mount.path;
}

async function highestGone(path: string, root: string, realOf: (path: string) => string): Promise<string> {
  let gone = path;
  for (;;) {
    const above = gone.slice(0, gone.lastIndexOf('/'));
    if (above.length <= root.length || (await isFolder(realOf(above)))) return gone;
    gone = above;
  }
}

async function isMountPoint(path: string): Promise<boolean> {
  return (await readMounts()).some(({ path: at }) => at.toString('latin1') === path);
}

/** What may not be seen counts as there. */
async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(bytes(path))).isDirectory();
  } catch (error) {
    return errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR';
  }
}

async function isThere(path: string): Promise<boolean> {
  return await lstat(bytes(path)).then(
    () => true,
    () => false,
  );
}

const bytes = (path: string): Buffer => Buffer.from(path, 'latin1');

function openedNow(): Pick<FileSystems, 'mountsBelow' | 'diskOf'> {
  return openFileSystems(openCLibrary(silentLogger));
}
