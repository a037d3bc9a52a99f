/**
 * Prepares the directory that a mount goes on.
 *
 * A directory with something in it is refused, since the mount would hide it. While nothing is mounted the directory is not
 * writable (invariant 4), so that a client that starts first fails instead of downloading everything again.
 */
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, readlink, realpath, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { AutotorrentError, errnoOf, messageOf } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { type MountedAt, OUR_TYPE, readMounts } from '../../native/mountinfo.ts';
import { refuseForeignLink, refuseForeignLinks, UntrustedFolder } from '../../native/trusted-folder.ts';
import { within } from '../../within.ts';

const WRITABLE = 0o755;
const NOT_WRITABLE = 0o555;
/** Milliseconds within which the server of an existing mount must answer to count as alive. */
const PROBE_MS = 3000;

/** A symlink that needs more hops leads in a circle. */
const MAX_HOPS = 40;

/** Lists the mounts at exactly this path (of `realMountPoint`), the topmost last. */
export async function mountsAt(mountPoint: string): Promise<MountedAt[]> {
  const path = Buffer.from(mountPoint);
  return (await readMounts()).filter((mount) => mount.path.equals(path));
}

/**
 * Finds the path of a mount point as it is in the mount table, without symlinks, and without touching a mount there. Makes
 * missing folders above it.
 * @throws AutotorrentError('MOUNT')
 */
export async function realMountPoint(mountPoint: string): Promise<string> {
  let path = resolve(mountPoint);
  for (let hop = 0; hop < MAX_HOPS; hop++) {
    let folder: string;
    try {
      await refuseForeignWay(dirname(path));
      await mkdir(dirname(path), { recursive: true });
      folder = await realpath(dirname(path));
    } catch (error) {
      throw cannotMake(dirname(path), error);
    }
    const here = join(folder, basename(path));
    if ((await mountsAt(here)).length > 0) return here;
    let target: string;
    try {
      target = await readlink(here);
    } catch {
      return here;
    }
    try {
      refuseForeignLink(await lstat(here), here);
    } catch (error) {
      throw cannotMake(here, error);
    }
    path = resolve(folder, target);
  }
  throw new AutotorrentError('MOUNT', `${mountPoint} is a symlink that leads in a circle`);
}

/**
 * Refuses a symlink of another user on the way to a folder, as far as that is there: it would let him choose what a mount of
 * root's hides, and whose mount is removed.
 */
async function refuseForeignWay(folder: string): Promise<void> {
  try {
    await refuseForeignLinks(folder);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' || folder === dirname(folder)) throw error;
    await refuseForeignWay(dirname(folder));
  }
}

export interface Preparing {
  /** Removes a mount that a killed server left. */
  readonly detach: (mountPoint: string) => Promise<void>;
  /** The mount point may be a file system of its own: something may be mounted on it that is no FUSE. */
  readonly onFileSystems: boolean;
  readonly logger: Logger;
}

/**
 * Makes sure that `mountPoint` is an empty directory, on which no other server has a mount. Gives a handle of the directory that
 * stays valid when it is mounted over. Removes a mount that a killed server left.
 * @throws AutotorrentError('MOUNT')
 */
export async function prepareMountPoint(
  mountPoint: string,
  { detach, onFileSystems, logger }: Preparing,
): Promise<FileHandle> {
  // This comes before anything touches the path: touching a mount whose server hangs would hang.
  for (;;) {
    const mounted = (await mountsAt(mountPoint)).at(-1);
    if (mounted === undefined || (onFileSystems && !isFuse(mounted))) break;
    await refuseUnlessStale(mountPoint, mounted);
    logger.info(`${mountPoint} still holds the mount of a server that was killed; it is replaced`);
    await detach(mountPoint);
  }
  await makeDirectory(mountPoint);
  // By descriptor, since the name may be a symlink by now: the checked directory must be the one that is mounted on.
  const directory = await open(mountPoint, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const [own, parent] = [await directory.stat(), await stat(dirname(mountPoint))];
    if (!onFileSystems && own.dev !== parent.dev) {
      throw new AutotorrentError(
        'MOUNT',
        `${mountPoint} is a file system of its own (a volume, dataset or subvolume)`,
        {
          hint: `driver fuse-native cannot mount on one: set store_path to a folder below it, such as ${mountPoint}/mount, or driver = kernel.`,
        },
      );
    }
    // ext4 has its own folder at the top.
    const isOwn = (name: string): boolean => name === 'lost+found' && own.dev !== parent.dev;
    if ((await readdir(mountPoint)).some((name) => !isOwn(name))) {
      throw new AutotorrentError('MOUNT', `${mountPoint} is not empty, and mounting would hide what is in it`, {
        hint: 'If this is an old link tree: move it away, or set store_path to another folder. Nothing was changed.',
      });
    }
    return directory;
  } catch (error) {
    await directory.close();
    throw error;
  }
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
    if ((await lstat(path)).isDirectory()) return;
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST' && errnoOf(error) !== 'ENOTDIR') {
      throw cannotMake(path, error);
    }
  }
  throw new AutotorrentError('MOUNT', `${path} is not a directory`, { hint: 'Set store_path to a folder.' });
}

function cannotMake(path: string, error: unknown): AutotorrentError {
  if (error instanceof UntrustedFolder) {
    return new AutotorrentError('MOUNT', `${error.message}, who could lead the mount elsewhere`, {
      hint: error.hint,
      cause: error,
    });
  }
  return new AutotorrentError('MOUNT', `${path} cannot be made: ${messageOf(error)}`, {
    hint: 'Make it as root, and give it to the user who runs the server (chown).',
    cause: error,
  });
}

/** Its server may hang, and whoever touches it. `fuseblk` is one, too. */
const isFuse = ({ type }: MountedAt): boolean => type.startsWith('fuse');

async function refuseUnlessStale(mountPoint: string, mounted: MountedAt): Promise<void> {
  if (mounted.type !== OUR_TYPE) {
    throw new AutotorrentError('MOUNT', `something else (${mounted.type}) is mounted on ${mountPoint}`, {
      hint: 'Unmount it, or set store_path to another folder.',
    });
  }
  if (await isStale(mountPoint)) return;
  throw new AutotorrentError('MOUNT', `another server of autotorrent serves ${mountPoint} already`, {
    hint: 'autotorrent status shows it, autotorrent unmount stops it.',
  });
}

/**
 * Tells if the server of a mount is dead. The mount belongs to another process, so a thread of this one may wait for it. It
 * asks with statfs, for which the kernel asks the server each time: the kernel answers stat from its cache for a second after
 * the server's death.
 */
async function isStale(mountPoint: string): Promise<boolean> {
  const answered = statfs(mountPoint).then(
    () => false,
    (error: unknown) => errnoOf(error) === 'ENOTCONN',
  );
  return (await within(PROBE_MS, answered)) === true;
}

/** Makes the mount point writable, which fusermount demands. */
export async function makeWritable(directory: FileHandle): Promise<void> {
  await directory.chmod(WRITABLE).catch(refuseMode);
}

export async function makeNotWritable(directory: FileHandle): Promise<void> {
  await directory.chmod(NOT_WRITABLE).catch(refuseMode);
}

function refuseMode(error: unknown): never {
  throw new AutotorrentError('MOUNT', `the mode of the mount point cannot be changed: ${messageOf(error)}`, {
    hint: `The mount point must belong to the user who runs the server: as root, give it to user ${process.geteuid?.() ?? 0} (chown).`,
    cause: error,
  });
}
