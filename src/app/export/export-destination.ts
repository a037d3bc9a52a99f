/**
 * The destination of an export: `DEST.partial/<info hash>` until the copy is whole, then renamed to `DEST`. The info hash in
 * the name keeps another entry from continuing it.
 *
 * Everything is done by descriptors and single names (`held-folder.ts`), so that no folder on the way can be replaced by a
 * symlink. The folder that `DEST` is made in must be one that no other user can change or lead elsewhere. `DEST.partial` is
 * this user's, and 0700: nobody else reaches what is in it until the copy is whole and gets its modes.
 */
import { lstat, mkdir, readdir, readlink, rename, rmdir, statfs, symlink, unlink } from 'node:fs/promises';
import { basename, dirname, join, posix } from 'node:path';
import { bytesOfName, pathOfName } from '../../bytes/name-text.ts';
import { AutotorrentError, errnoOf } from '../../errors.ts';
import type { HeldFolder } from '../../native/held-folder.ts';
import { OUR_TYPE, readMounts } from '../../native/mountinfo.ts';
import { openTrustedFolder, UntrustedFolder } from '../../native/trusted-folder.ts';
import { bytes } from '../quantities.ts';
import { DestinationError, ofDestination, reasonOf } from './destination-error.ts';
import { FolderTree } from './folder-tree.ts';
import { type Place, shownPlace } from './place.ts';
import { synced } from './synced.ts';

const AT_ONCE = 16;
const PRIVATE = 0o700;
const OTHERS_WRITE = 0o022;
const OTHERS = 0o077;

export class ExportDestination {
  /** Absolute. */
  readonly path: string;
  /** Bits that nothing in the finished copy gets. */
  readonly umask: number;
  readonly #parent: HeldFolder;
  readonly #partial: HeldFolder;
  readonly #infoHash: string;
  readonly #copy: FolderTree;
  /** Folders of the copy, each after the one that it lies in. */
  readonly #folders = new Map<string, readonly string[]>();

  private constructor(path: string, parent: HeldFolder, partial: HeldFolder, copy: HeldFolder, infoHash: string) {
    this.path = path;
    this.umask = process.umask();
    this.#parent = parent;
    this.#partial = partial;
    this.#infoHash = infoHash;
    this.#copy = new FolderTree(copy, async (folder, name, names) => {
      const made = await ofDestination(`${folder.shown}/${name}`, async () => await makeFolder(folder, name));
      this.#folders.set(names.join('/'), names);
      return made;
    });
  }

  /**
   * Prepares a destination. Refuses an existing one, one in a missing folder or in one that others can change, and a disk
   * without room for `length` bytes. Close it at the end.
   * @throws AutotorrentError('CONFLICT') or ('EXPORT')
   */
  static async open(path: string, infoHash: string, length: number): Promise<ExportDestination> {
    if (path === '/') throw isThere(path);
    const parent = await openParent(dirname(path));
    const opened: HeldFolder[] = [parent];
    try {
      const name = basename(path);
      if ((await kindOf({ folder: parent, name })) !== undefined) {
        throw isThere(path);
      }
      const begun = await openPartial(parent, name);
      if (begun !== undefined) opened.push(begun);
      const names = begun === undefined ? [] : await readdir(begun.path);
      if (names.some((other) => other !== infoHash)) {
        throw new AutotorrentError('CONFLICT', `${path}.partial holds something else than an export of this entry`, {
          hint: 'Delete or move it, or export to another name.',
        });
      }
      if (names.length === 0) await refuseWithoutRoom(parent, length);
      return await ofDestination(`${path}.partial`, async () => {
        const partial = begun ?? (await makeFolder(parent, `${name}.partial`));
        if (begun === undefined) opened.push(partial);
        const copy = await makeFolder(partial, infoHash);
        return new ExportDestination(path, parent, partial, copy, infoHash);
      });
    } catch (error) {
      for (const folder of opened) await folder.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#copy.close();
    await this.#partial.close();
    await this.#parent.close();
  }

  /** Makes the folders of a file of the copy, and runs `work` with its place. */
  async within<T>(path: readonly string[], work: (place: Place) => Promise<T>): Promise<T> {
    checkNames(path);
    const name = path.at(-1) ?? '';
    return await this.#copy.within(path.slice(0, -1), async (folder) => await work({ folder, name }));
  }

  /** Throws AutotorrentError('EXPORT') for a target outside the copy. */
  async link(path: readonly string[], target: string): Promise<void> {
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
    await this.within(path, async (place) => {
      const at = place.folder.at(place.name);
      await ofDestination(shownPlace(place), async () => {
        const before = await readlink(at, 'buffer').catch(() => undefined);
        if (before?.equals(bytesOfName(target)) === true) return;
        await unlink(at).catch((error: unknown) => {
          if (errnoOf(error) !== 'ENOENT') throw error;
        });
        await symlink(pathOfName(target), at);
      });
    });
  }

  /**
   * Syncs the files of `small`, gives the folders of the copy their attributes, syncs everything to the disk, and renames it
   * to its final name.
   */
  async finish(
    small: readonly (readonly string[])[],
    attributes: (folder: readonly string[]) => Promise<{ readonly mode: number; readonly mtimeMs: number } | undefined>,
  ): Promise<void> {
    for (let from = 0; from < small.length; from += AT_ONCE) {
      await Promise.all(small.slice(from, from + AT_ONCE).map(async (path) => await this.within(path, synced)));
    }
    // The deepest first: creating something in a folder changes its time.
    for (const names of [...this.#folders.values()].toReversed()) {
      const known = await attributes(names);
      await this.#copy.within(names, async ({ shown, handle }) => {
        await ofDestination(shown, async () => {
          await handle.sync();
          if (known !== undefined) await handle.utimes(known.mtimeMs / 1000, known.mtimeMs / 1000);
          await handle.chmod((known?.mode ?? 0o777) & 0o777 & ~this.umask);
        });
      });
    }
    await ofDestination(this.path, async () => await this.#publish());
  }

  async #publish(): Promise<void> {
    const name = basename(this.path);
    const { handle } = this.#copy.root;
    await handle.chmod(0o777 & ~this.umask);
    await handle.sync();
    // rename(2) replaces an empty folder. Only this user, root, or in a sticky folder others could make one since.
    if ((await kindOf({ folder: this.#parent, name })) !== undefined) {
      throw new DestinationError(`${this.path} was made meanwhile`);
    }
    await rename(this.#partial.at(this.#infoHash), this.#parent.at(name));
    await this.#parent.handle.sync();
    await rmdir(this.#parent.at(`${name}.partial`));
  }
}

function isThere(path: string): AutotorrentError {
  return new AutotorrentError('CONFLICT', `${path} is there already, and is not written over`, {
    hint: `Give another name, such as ${join(path, 'NAME')}, or move it away.`,
  });
}

async function openParent(path: string): Promise<HeldFolder> {
  try {
    const parent = await openTrustedFolder(path);
    return await unlessOwnMount(parent);
  } catch (error) {
    if (error instanceof UntrustedFolder) {
      throw new AutotorrentError('EXPORT', error.message, { hint: error.hint, cause: error });
    }
    if (errnoOf(error) === 'ENOENT') {
      throw new AutotorrentError('EXPORT', `the folder ${path} is not there`, {
        hint: `mkdir -p ${path}`,
        cause: error,
      });
    }
    if (error instanceof AutotorrentError) throw error;
    throw new AutotorrentError('EXPORT', `${path} cannot be opened: ${reasonOf(error)}`, {
      hint: 'Name a folder that this user may enter.',
      cause: error,
    });
  }
}

/** Opens what an interrupted export left; undefined if there is none. Only a folder that was always this user's is continued. */
async function openPartial(parent: HeldFolder, destination: string): Promise<HeldFolder | undefined> {
  const name = `${destination}.partial`;
  const shown = `${parent.shown}/${name}`;
  const inTheWay = (what: string, cause?: unknown): AutotorrentError =>
    new AutotorrentError('CONFLICT', `${shown} is in the way: ${what}`, {
      cause,
      hint: 'Look at what it is; then delete it, or export to another name.',
    });
  let partial: HeldFolder;
  try {
    partial = await parent.openFolder(name);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw inTheWay(errnoOf(error) === 'ENOTDIR' ? 'it is no folder' : reasonOf(error), error);
  }
  try {
    const { uid, mode } = await partial.handle.stat();
    if (uid !== process.geteuid?.()) throw inTheWay(`it belongs to another user (uid ${uid})`);
    if ((mode & OTHERS_WRITE) !== 0) throw inTheWay('others may write to it, and what is in it may be theirs');
    // Earlier versions made it with the umask.
    if ((mode & OTHERS) !== 0) await partial.handle.chmod(PRIVATE);
    return partial;
  } catch (error) {
    await partial.close();
    throw error;
  }
}

/** Makes a folder that only this user reaches, or opens one that an earlier run made. @throws DestinationError */
async function makeFolder(folder: HeldFolder, name: string): Promise<HeldFolder> {
  await mkdir(folder.at(name), PRIVATE).catch((error: unknown) => {
    if (errnoOf(error) !== 'EEXIST') throw error;
  });
  const shown = `${folder.shown}/${name}`;
  const made = await folder.openFolder(name).catch((error: unknown) => {
    throw errnoOf(error) === 'ENOTDIR' ? new DestinationError(`${shown} is no folder`, { cause: error }) : error;
  });
  const { uid } = await made.handle.stat();
  if (uid === process.geteuid?.()) return made;
  await made.close();
  throw new DestinationError(`${shown} belongs to another user (uid ${uid})`);
}

async function kindOf({ folder, name }: Place): Promise<'directory' | 'other' | undefined> {
  try {
    return (await lstat(folder.at(name))).isDirectory() ? 'directory' : 'other';
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw new AutotorrentError('EXPORT', `${folder.shown}/${name}: ${reasonOf(error)}`, { cause: error });
  }
}

async function refuseWithoutRoom(parent: HeldFolder, length: number): Promise<void> {
  const { bavail, bsize } = await statfs(parent.path);
  if (bavail * bsize >= length) return;
  throw new AutotorrentError(
    'EXPORT',
    `there is no room for ${bytes(length)} in ${parent.shown}: ${bytes(bavail * bsize)} are free`,
    {
      hint: 'Make room, or export to another disk.',
    },
  );
}

/** Gives the folder back, unless it is ours to serve. */
async function unlessOwnMount(folder: HeldFolder): Promise<HeldFolder> {
  const { dev } = await folder.handle.stat();
  const mounts = await readMounts();
  if (!mounts.some((mount) => mount.type === OUR_TYPE && mount.dev === dev)) return folder;
  await folder.close();
  throw new AutotorrentError(
    'CONFLICT',
    `${folder.shown} lies on a mount of autotorrent: a copy there would be in an overlay`,
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
