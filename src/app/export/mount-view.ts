/**
 * The entry's folder in the mount, as an export reads it.
 *
 * Programs that may write to the mount can rename its folders and make symlinks. So this too goes from folder to folder by
 * descriptors, never through a symlink, and reads nothing that lies on another file system.
 */
import { lstat, readlink } from 'node:fs/promises';
import { nameOf } from '../../bytes/name-text.ts';
import { AutotorrentError, errnoOf, messageOf } from '../../errors.ts';
import { HeldFolder } from '../../native/held-folder.ts';
import { OUR_TYPE, readMounts } from '../../native/mountinfo.ts';
import { DestinationError } from './destination-error.ts';
import { FolderTree } from './folder-tree.ts';
import type { Place } from './place.ts';

/** Thrown if a path no longer leads into the mount. */
class Gone extends Error {}

/** A mount whose server has gone answers so. */
const GONE: ReadonlySet<string | undefined> = new Set(['ENOTCONN', 'ECONNABORTED', 'ENODEV', 'ESTALE']);

export class MountView {
  readonly #mountPoint: string;
  readonly #device: number;
  readonly #tree: FolderTree;

  private constructor(mountPoint: string, root: HeldFolder, device: number) {
    this.#mountPoint = mountPoint;
    this.#device = device;
    this.#tree = new FolderTree(root, async (parent, name) => {
      const folder = await parent.openFolder(name);
      if ((await folder.handle.stat()).dev === device) return folder;
      await folder.close();
      throw new Gone();
    });
  }

  /** Opens `directory`, the folder of an entry. Close it at the end. @throws AutotorrentError('MOUNT') */
  static async open(mountPoint: string, directory: string): Promise<MountView> {
    const root = await HeldFolder.open(directory).catch((error: unknown) => {
      throw new AutotorrentError('MOUNT', `${directory} cannot be seen: ${messageOf(error)}`, {
        cause: error,
        hint: 'Run this as the user whose mount it is, or let others see it: autotorrent mount --allow-other',
      });
    });
    try {
      const view = new MountView(mountPoint, root, (await root.handle.stat()).dev);
      if (!(await view.isThere())) throw view.goneError(new Gone());
      return view;
    } catch (error) {
      await root.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#tree.close();
  }

  /** Runs `work` with the place of a path below the entry's folder. Throws the disk's errors. */
  async within<T>(below: string, work: (place: Place) => Promise<T>): Promise<T> {
    const names = below.split('/');
    const name = names.pop() ?? '';
    try {
      return await this.#tree.within(names, async (folder) => await work({ folder, name }));
    } catch (error) {
      // One of the folders is no folder any more.
      throw errnoOf(error) === 'ENOTDIR' ? noFile(below, error) : error;
    }
  }

  /** Gives the type of what is at a place. Throws the disk's errors, and for one on another file system. */
  async kind({ folder, name }: Place, below: string): Promise<'file' | 'symlink'> {
    const stats = await lstat(folder.atAny(name));
    if (stats.dev !== this.#device) throw new Gone();
    if (stats.isSymbolicLink()) return 'symlink';
    if (stats.isFile()) return 'file';
    throw noFile(below);
  }

  async readlink(below: string): Promise<string> {
    return await this.within(below, async ({ folder, name }) => nameOf(await readlink(folder.atAny(name), 'buffer')));
  }

  async folder(names: readonly string[]): Promise<{ readonly mode: number; readonly mtimeMs: number } | undefined> {
    try {
      return await this.#tree.within(names, async ({ handle }) => {
        const { mode, mtimeMs } = await handle.stat();
        return { mode, mtimeMs };
      });
    } catch (error) {
      // A client has renamed or replaced it.
      if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '') && (await this.isThere())) return undefined;
      throw error;
    }
  }

  async isThere(): Promise<boolean> {
    const mounts = await readMounts();
    return mounts.some(({ type, dev }) => type === OUR_TYPE && dev === this.#device);
  }

  goneError(cause: unknown): AutotorrentError {
    return new AutotorrentError('MOUNT', `the mount at ${this.#mountPoint} went away while it was being read`, {
      cause,
      hint: 'Start it again (autotorrent mount), then run the same command again: it goes on where it was.',
    });
  }

  /** Says why an export to `partial` failed, where that can be said. */
  async explainedError(error: unknown, partial: string): Promise<unknown> {
    if (error instanceof AutotorrentError) return error;
    if (error instanceof DestinationError) {
      const code = errnoOf(error.cause);
      const full = code === 'ENOSPC' || code === 'EDQUOT';
      const what = full ? 'there is no room left for the copy' : 'the copy cannot be written';
      return new AutotorrentError('EXPORT', `${what}: ${error.message}`, {
        cause: error,
        hint: `${full ? 'Make room' : 'Put that right'}, then run the same command again: it goes on where it was (${partial}).`,
      });
    }
    const code = errnoOf(error);
    if (error instanceof Gone || GONE.has(code)) return this.goneError(error);
    if (code === undefined) return error;
    if (!(await this.isThere())) return this.goneError(error);
    return new AutotorrentError('EXPORT', `a file cannot be read: ${messageOf(error)}`, {
      cause: error,
      hint: 'autotorrent status names the sources that cannot be served; the same command goes on where it was.',
    });
  }
}

function noFile(below: string, cause?: unknown): AutotorrentError {
  return new AutotorrentError('CONFLICT', `${JSON.stringify(below)} is no file any more`, {
    cause,
    hint: 'autotorrent overlay diff shows what a client made of it',
  });
}
