/** libfuse 2 names everything by path; the vfs by inode. Directories that were walked are remembered. */
import { PosixError } from '../../errors.ts';
import { type MaybePromise, type Operations, ROOT_INO } from '../../vfs/operations.ts';

/** Directories remembered. All are forgotten when it is full: filling it again is cheap. */
const LIMIT = 10_000;

export class Paths {
  readonly #operations: Pick<Operations, 'lookup' | 'treeVersion'>;
  readonly #directories = new Map<string, number>();
  #version: number;

  constructor(operations: Pick<Operations, 'lookup' | 'treeVersion'>) {
    this.#operations = operations;
    this.#version = operations.treeVersion;
  }

  /** `path` is absolute below the mount point, as the kernel writes it. @throws ENOENT, ENOTDIR, ENAMETOOLONG */
  resolve(path: string): MaybePromise<number> {
    if (path === '/') return ROOT_INO;
    const slash = path.lastIndexOf('/');
    const name = path.slice(slash + 1);
    // The kernel sends longer names, too: a FUSE file system has its own limit. UTF-8 has up to 3 bytes a UTF-16 unit.
    if (name.length > 85 && Buffer.byteLength(name) > 255) throw new PosixError('ENAMETOOLONG');
    const parent = this.#directory(slash === 0 ? '/' : path.slice(0, slash));
    if (typeof parent === 'number') return this.#operations.lookup(parent, name);
    return parent.then((ino) => this.#operations.lookup(ino, name));
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
}
