/**
 * Folders that are held open, and what is in them: the calls of openat(2), mkdirat(2), unlinkat(2) and their like.
 *
 * A path is resolved anew by each call, so whoever may rename a folder of it can lead the next call elsewhere. A descriptor
 * stays at its folder. Node has no calls that take a descriptor and a name, but the kernel resolves `/proc/self/fd/N` to the
 * very folder that is open, and not by its path. So `/proc/self/fd/N/NAME` in any call of Node's does what its `…at` variant
 * does with N and NAME, if NAME is one component: `at` refuses others. No native code is needed for it. The last component is
 * the caller's concern: use calls that do not follow it (lstat, mkdir, unlink, rename, link), O_NOFOLLOW or O_EXCL.
 */

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { isPlainName, pathOfName } from '../bytes/name-text.ts';
import { O_PATH } from './strict-paths.ts';

const FOLDER = constants.O_DIRECTORY | constants.O_NOFOLLOW;

export class HeldFolder {
  /** The path by which it was found. For messages only: it may lead elsewhere by now. */
  readonly shown: string;
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle, shown: string) {
    this.#handle = handle;
    this.shown = shown;
  }

  /** Opens a folder by its path, following symlinks. */
  static async open(path: string): Promise<HeldFolder> {
    return new HeldFolder(await open(path, constants.O_RDONLY | constants.O_DIRECTORY), path);
  }

  /** Opens `/`, where every walk begins. */
  static async openRoot(): Promise<HeldFolder> {
    return new HeldFolder(await open('/', O_PATH | FOLDER), '/');
  }

  /** The folder itself, for calls that take a path. Valid until it is closed. */
  get path(): string {
    return `/proc/self/fd/${this.#handle.fd}`;
  }

  /** A path of what is called `name` in this folder. Valid until it is closed. @throws RangeError for more than one name */
  at(name: string): string {
    if (!isPlainName(name)) throw new RangeError(`${JSON.stringify(name)} is not UTF-8`);
    return this.#below(name);
  }

  /** The same, also for a name that is not UTF-8. */
  atAny(name: string): string | Buffer {
    return pathOfName(this.#below(name));
  }

  #below(name: string): string {
    if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) {
      throw new RangeError(`${JSON.stringify(name)} is not the name of anything in a folder`);
    }
    return `${this.path}/${name}`;
  }

  /**
   * Opens a folder in this one; never through a symlink. `..` is the folder above.
   * @throws ENOTDIR for anything else
   */
  async openFolder(name: string): Promise<HeldFolder> {
    return await this.#open(name, constants.O_RDONLY);
  }

  /** The same for a folder that is only passed through, and need not be readable. Its handle can be neither read nor synced. */
  async passThrough(name: string): Promise<HeldFolder> {
    return await this.#open(name, O_PATH);
  }

  async #open(name: string, access: number): Promise<HeldFolder> {
    const path = name === '..' ? `${this.path}/..` : this.atAny(name);
    return new HeldFolder(await open(path, access | FOLDER), join(this.shown, name));
  }

  /** Opens this folder once more, so that it can be read and synced. */
  async reopened(): Promise<HeldFolder> {
    return new HeldFolder(await open(`${this.path}/.`, constants.O_RDONLY | FOLDER), this.shown);
  }

  /** For the calls that take a descriptor: stat, chmod, utimes, sync. */
  get handle(): FileHandle {
    return this.#handle;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
