/** `autotorrent release DISK`: has the server let go of a disk, so that it can be unmounted. */
import { realpath } from 'node:fs/promises';
import { stoppedRebuildsEnd } from '../collection/open.ts';
import type { Config } from '../config/config.ts';
import type { Released } from '../control/served.ts';
import { AutotorrentError, messageOf } from '../errors.ts';
import { silentLogger } from '../logger.ts';
import { openCLibrary } from '../native/c-library.ts';
import { isAtOrBelow, type MountedAt, readMounts } from '../native/mountinfo.ts';
import { openFileSystems } from '../source/file-system.ts';
import { givenFoldersPath, readGivenFolders } from '../source/given-folders.ts';
import { runLater } from '../source/steps.ts';
import { type NamedDisk, namedDisk } from './named-disk.ts';
import { requireServer } from './server-connection.ts';

/** The longest wait for a walk of the disk that the index process does for a healer which the release has ended. */
const WALK_MS = 6000;

/**
 * `disk`: its key in `[disks]`, its id, or a path on it, relative to `cwd`. All mounts of the file system are meant.
 * @throws AutotorrentError('USAGE') if that is no disk, ('CONFLICT') if it cannot be unmounted while the server runs
 */
export async function releaseDisk(config: Config, disk: string, cwd: string): Promise<Released> {
  const server = await requireServer(config);
  const path = await realPathOf(await placeOf(namedDisk(disk, cwd, config)), disk);
  const mounts = await readMounts();
  const mount = mountOf(path, mounts);
  if (mount === undefined || mount.path.equals(Buffer.from('/'))) {
    throw new AutotorrentError('USAGE', `${path.toString()} lies on the root file system, which cannot be unmounted`, {
      hint: 'Give a path on the disk while it is mounted, or its name in [disks].',
    });
  }
  const mountPoints = mounts.filter(({ dev }) => dev === mount.dev).map((one) => one.path);
  const isOnIt = (place: Buffer): boolean => mountOf(place, mounts)?.dev === mount.dev;
  for (const [what, place] of [['state_path', config.statePath] as const, ['db', config.db] as const]) {
    if (!isOnIt(await realpath(place, 'buffer').catch(() => Buffer.from(place)))) continue;
    throw new AutotorrentError('CONFLICT', `${what} (${place}) lies on this disk, and the server needs it`, {
      hint: 'autotorrent unmount ends the server',
    });
  }
  const released = await server.release(mountPoints, await linksTo(config, isOnIt));
  const isWalked = !(await stoppedRebuildsEnd(config, { signal: AbortSignal.timeout(WALK_MS) }));
  return isWalked ? { ...released, open: released.open + 1 } : released;
}

async function placeOf(named: NamedDisk): Promise<string | Buffer> {
  if ('path' in named) return named.path;
  const mounted = await openFileSystems(openCLibrary(silentLogger)).disksMounted();
  const place = mounted.get(named.id)?.[0];
  if (place !== undefined) return place;
  throw new AutotorrentError('USAGE', `there is no disk ${named.id} now`, {
    hint: `mounted are ${[...mounted.keys()].join(', ')}`,
  });
}

async function realPathOf(path: string | Buffer, written: string): Promise<Buffer> {
  try {
    return await realpath(path, 'buffer');
  } catch (cause) {
    throw new AutotorrentError('USAGE', `there is no disk ${written}: ${messageOf(cause)}`, {
      cause,
      hint: 'Give its name in [disks], or a path on it.',
    });
  }
}

function mountOf(path: Buffer, mounts: readonly MountedAt[]): MountedAt | undefined {
  // Of two mounts at one path the later hides the earlier.
  return mounts
    .filter((mount) => isAtOrBelow(path, mount.path))
    .reduce<MountedAt | undefined>(
      (best, one) => (best === undefined || one.path.length >= best.path.length ? one : best),
      undefined,
    );
}

/** Folders of sources that lead to the disk by a link: sources are recorded under these names. */
async function linksTo({ disks, db }: Config, isOnIt: (place: Buffer) => boolean): Promise<Buffer[]> {
  const given = await runLater(readGivenFolders(givenFoldersPath(db))).catch(() => undefined);
  const folders = [...disks.map((disk) => Buffer.from(disk)), ...(Array.isArray(given) ? given : [])];
  const links: Buffer[] = [];
  for (const folder of folders) {
    const real = await realpath(folder, 'buffer').catch(() => undefined);
    if (real !== undefined && !real.equals(folder) && isOnIt(real)) links.push(folder);
  }
  return links;
}
