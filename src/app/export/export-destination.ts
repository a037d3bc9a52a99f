/**
 * The destination of an export: `DEST.partial/<info hash>` until the copy is whole, then renamed to `DEST`. The info hash in
 * the name keeps another entry from continuing it. Folders are made one by one and checked: a symlink in place of a folder
 * is refused.
 */
import {
  chmod,
  lstat,
  mkdir,
  open,
  readdir,
  readlink,
  realpath,
  rename,
  rmdir,
  statfs,
  symlink,
  unlink,
  utimes,
} from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { AutotorrentError, errnoOf, messageOf } from '../../errors.ts';
import { isAtOrBelow, OUR_TYPE, readMounts } from '../../native/mountinfo.ts';
import { bytes } from '../quantities.ts';
import { DestinationError, ofDestination } from './resumable-copy.ts';

const AT_ONCE = 16;

export class ExportDestination {
  /** Absolute. */
  readonly path: string;
  readonly #partial: string;
  /** The folder that holds the unfinished copy. */
  readonly #copy: string;
  readonly #folders = new Set<string>();

  private constructor(path: string, infoHash: string) {
    this.path = path;
    this.#partial = `${path}.partial`;
    this.#copy = join(this.#partial, infoHash);
  }

  /**
   * Prepares a destination. Refuses an existing one, one in a missing folder, and a disk without room for `length` bytes.
   * @throws AutotorrentError('CONFLICT') or ('EXPORT')
   */
  static async open(path: string, infoHash: string, length: number): Promise<ExportDestination> {
    const destination = new ExportDestination(path, infoHash);
    const begun = await destination.#others();
    if ((await kindOf(path)) !== undefined) {
      throw new AutotorrentError('CONFLICT', `${path} is there already, and is not written over`, {
        hint: 'Give another name, or move it away.',
      });
    }
    const parent = dirname(path);
    if ((await kindOf(parent)) === undefined) {
      throw new AutotorrentError('EXPORT', `the folder ${parent} is not there`, { hint: `mkdir -p ${parent}` });
    }
    await refuseOwnMount(parent);
    if (begun.some((name) => name !== infoHash)) {
      throw new AutotorrentError(
        'CONFLICT',
        `${destination.#partial} holds something else than an export of this entry`,
        {
          hint: 'Delete or move it, or export to another name.',
        },
      );
    }
    if (begun.length === 0) {
      const { bavail, bsize } = await statfs(parent);
      if (bavail * bsize < length) {
        throw new AutotorrentError(
          'EXPORT',
          `there is no room for ${bytes(length)} in ${parent}: ${bytes(bavail * bsize)} are free`,
          {
            hint: 'Make room, or export to another disk.',
          },
        );
      }
    }
    await ofDestination(async () => {
      await mkdir(destination.#partial).catch(ignoreExisting);
      await destination.#mustBeFolder(destination.#partial);
      await mkdir(destination.#copy).catch(ignoreExisting);
      await destination.#mustBeFolder(destination.#copy);
    });
    return destination;
  }

  get partial(): string {
    return this.#partial;
  }

  /** Lists the partial folder; gives nothing if it does not exist. */
  async #others(): Promise<string[]> {
    if ((await kindOf(this.#partial)) === undefined) return [];
    try {
      return await readdir(this.#partial);
    } catch (error) {
      throw new AutotorrentError('CONFLICT', `${this.#partial} is in the way: ${messageOf(error)}`, { cause: error });
    }
  }

  async #mustBeFolder(path: string): Promise<void> {
    if ((await kindOf(path)) !== 'directory') throw new DestinationError(`${path} is no folder`);
  }

  /** Gives the path of a file in the copy, and makes its folders. */
  async place(path: readonly string[]): Promise<string> {
    checkNames(path);
    let folder = this.#copy;
    for (const [i, name] of path.slice(0, -1).entries()) {
      folder = join(folder, name);
      const key = path.slice(0, i + 1).join('/');
      if (this.#folders.has(key)) continue;
      const made = folder;
      await ofDestination(async () => {
        await mkdir(made).catch(ignoreExisting);
        await this.#mustBeFolder(made);
      });
      this.#folders.add(key);
    }
    return join(folder, path.at(-1) ?? '');
  }

  /** Throws AutotorrentError('EXPORT') for a target outside the copy. */
  async link(path: readonly string[], target: string): Promise<void> {
    const place = await this.place(path);
    const reached = posix.join(...path.slice(0, -1), target);
    if (target.startsWith('/') || reached === '..' || reached.startsWith('../')) {
      throw new AutotorrentError(
        'EXPORT',
        `${JSON.stringify(path.join('/'))} is a symlink that leads out of the copy`,
        {
          hint: 'autotorrent overlay diff shows whether a client made it; overlay discard drops it then.',
        },
      );
    }
    await ofDestination(async () => {
      if ((await readlink(place).catch(() => undefined)) === target) return;
      await unlink(place).catch((error: unknown) => {
        if (errnoOf(error) !== 'ENOENT') throw error;
      });
      await symlink(target, place);
    });
  }

  /** Gives the folders of the copy their attributes, syncs everything to the disk, and renames it to its final name. */
  async finish(
    small: readonly string[],
    attributes: (folder: string) => Promise<{ readonly mode: number; readonly mtimeMs: number } | undefined>,
  ): Promise<void> {
    for (let from = 0; from < small.length; from += AT_ONCE) {
      await ofDestination(async () => await Promise.all(small.slice(from, from + AT_ONCE).map(synced)));
    }
    // The deepest first: creating something in a folder changes its time.
    for (const folder of [...this.#folders].toReversed()) {
      const known = await attributes(folder);
      const path = join(this.#copy, folder);
      await ofDestination(async () => {
        await synced(path);
        if (known === undefined) return;
        await utimes(path, known.mtimeMs / 1000, known.mtimeMs / 1000);
        await chmod(path, known.mode & 0o777);
      });
    }
    await ofDestination(async () => {
      await synced(this.#copy);
      // rename(2) replaces an empty folder.
      if ((await kindOf(this.path)) !== undefined) throw new DestinationError(`${this.path} was made meanwhile`);
      await rename(this.#copy, this.path);
      await synced(dirname(this.path));
      await rmdir(this.#partial);
    });
  }
}

async function kindOf(path: string): Promise<'directory' | 'other' | undefined> {
  try {
    return (await lstat(path)).isDirectory() ? 'directory' : 'other';
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw new AutotorrentError('EXPORT', messageOf(error), { cause: error });
  }
}

function ignoreExisting(error: unknown): void {
  if (errnoOf(error) !== 'EEXIST') throw error;
}

async function synced(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

async function refuseOwnMount(folder: string): Promise<void> {
  const real = Buffer.from(await realpath(folder));
  const mounts = await readMounts();
  if (!mounts.some((mount) => mount.type === OUR_TYPE && isAtOrBelow(real, mount.path))) return;
  throw new AutotorrentError(
    'CONFLICT',
    `${folder} lies on a mount of autotorrent: a copy there would be in an overlay`,
    {
      hint: 'Export to a folder of an ordinary disk.',
    },
  );
}

/** Checks components. The server did so when the torrent was added, but here they become paths on somebody's disk. */
function checkNames(path: readonly string[]): void {
  const good = (name: string): boolean => name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name);
  if (path.length > 0 && path.every(good)) return;
  throw new AutotorrentError('EXPORT', `${JSON.stringify(path.join('/'))} is no path of a file in a folder`);
}
