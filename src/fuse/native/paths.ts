/**
 * Resolves paths to inodes: libfuse 2 names everything by path, the vfs by inode. Remembers the directories on the way.
 *
 * A *hidden* name is what libfuse gives to an open file that was deleted: `.fuse_hidden` and 16 hexadecimal digits, in the
 * file's folder. No directory of the vfs holds it; it leads to the inode until libfuse deletes it.
 */
import { PosixError } from '../../errors.ts';
import { isLonger, SHOWN_NAME_BYTES } from '../../name-limits.ts';
import { type MaybePromise, type PathAbility, ROOT_INO } from '../../vfs/operations.ts';

/** Directories remembered at most. All are forgotten when it is full: filling it again is cheap. */
const LIMIT = 10_000;
const HIDDEN = /\/(\.fuse_hidden[0-9a-f]{16})$/;

export class Paths {
  readonly #operations: Pick<PathAbility, 'find' | 'treeVersion'>;
  readonly #directories = new Map<string, number>();
  /** Hidden name to inode: libfuse never gives a name twice. */
  readonly #hidden = new Map<string, number>();
  #version: number;

  constructor(operations: Pick<PathAbility, 'find' | 'treeVersion'>) {
    this.#operations = operations;
    this.#version = operations.treeVersion;
  }

  /**
   * Resolves `path`, absolute below the mount point, as the kernel writes it.
   * @throws ENOENT, ENOTDIR, ENAMETOOLONG
   */
  resolve(path: string): MaybePromise<number> {
    if (path === '/') return ROOT_INO;
    if (this.#hidden.size > 0) {
      const ino = this.#hidden.get(HIDDEN.exec(path)?.[1] ?? '');
      if (ino !== undefined) return ino;
    }
    const { parent, name } = this.place(path);
    if (typeof parent === 'number') return this.#operations.find(parent, name);
    return parent.then((ino) => this.#operations.find(ino, name));
  }

  /** Splits a path into its directory and a name, which need not exist. @throws ENOENT, ENOTDIR, ENAMETOOLONG */
  place(path: string): { parent: MaybePromise<number>; name: string } {
    const slash = path.lastIndexOf('/');
    const name = path.slice(slash + 1);
    // The kernel leaves the limit to the file system.
    if (isLonger(name, SHOWN_NAME_BYTES)) throw new PosixError('ENAMETOOLONG');
    return { parent: this.#directory(slash === 0 ? '/' : path.slice(0, slash)), name };
  }

  #directory(path: string): MaybePromise<number> {
    if (path === '/') return ROOT_INO;
    const version = this.#operations.treeVersion;
    if (version !== this.#version) {
      this.#directories.clear();
      this.#version = version;
    }
    const known = this.#directories.get(path);
    if (known !== undefined) return known;
    const found = this.resolve(path);
    if (typeof found === 'number') return this.#remember(path, found, version);
    return found.then((ino) => this.#remember(path, ino, version));
  }

  #remember(path: string, ino: number, version: number): number {
    if (this.#directories.size >= LIMIT) this.#directories.clear();
    if (version === this.#operations.treeVersion) this.#directories.set(path, ino);
    return ino;
  }

  /** Tells if a rename to `path` is libfuse's way to delete an open file. */
  hides(path: string): boolean {
    return HIDDEN.test(path);
  }

  hide(path: string, ino: number): void {
    const name = HIDDEN.exec(path)?.[1];
    if (name !== undefined) this.#hidden.set(name, ino);
  }

  /** Forgets a hidden name that libfuse deletes. False for any other name. */
  unhide(path: string): boolean {
    return this.#hidden.delete(HIDDEN.exec(path)?.[1] ?? '');
  }
}
