/**
 * The overlay's files on the disk: `overlay/<xx>/<ino>` in the state folder, `xx` being the last byte of the inode
 * number in hexadecimal. They belong to the server alone (mode 0600); the inode records the owner of a file of the
 * mount.
 *
 * Most calls are synchronous: the kernel's caches answer them, and the mount's own calls need them in one turn.
 */
import fs from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../../errors.ts';
import { fromNanoseconds, type Timestamp } from '../../native/timestamp.ts';

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

export interface OverlayFileStats {
  readonly size: number;
  /** In units of 512 bytes. */
  readonly blocks: number;
  readonly atime: Timestamp;
  readonly mtime: Timestamp;
  readonly ctime: Timestamp;
}

export interface OverlayFilePlace {
  readonly path: string;
  /** Undefined if the file's name is not ours. */
  readonly ino: number | undefined;
}

export class OverlayFiles {
  readonly folder: string;
  readonly #setAside: string;
  /** Folders in which files were made since they were last synced. */
  readonly #fresh = new Set<string>();
  readonly #syncing = new Map<string, Promise<void>>();
  /** Folders that would survive a power loss themselves. */
  readonly #rooted = new Set<string>();

  constructor(statePath: string) {
    this.folder = join(statePath, 'overlay');
    this.#setAside = join(statePath, 'set-aside');
    fs.mkdirSync(this.folder, { recursive: true, mode: FOLDER_MODE });
  }

  path(ino: number): string {
    return join(this.#shard(ino), `${ino}`);
  }

  #shard(ino: number): string {
    return join(this.folder, (ino % 256).toString(16).padStart(2, '0'));
  }

  /**
   * Makes a new, empty file, open for reading and writing. A file that exists already is emptied: nothing refers to it.
   */
  create(ino: number): number {
    const flags = fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_TRUNC | fs.constants.O_NOFOLLOW;
    let fd: number;
    try {
      fd = openWithoutAtime(this.path(ino), flags);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      fs.mkdirSync(this.#shard(ino), { recursive: true, mode: FOLDER_MODE });
      fd = openWithoutAtime(this.path(ino), flags);
    }
    this.#fresh.add(this.#shard(ino));
    return fd;
  }

  /** Opens a file for reading and writing. @throws file errors of the disk */
  open(ino: number): number {
    return openWithoutAtime(this.path(ino), fs.constants.O_RDWR | fs.constants.O_NOFOLLOW);
  }

  stat(ino: number, fd?: number): OverlayFileStats {
    const stats =
      fd === undefined ? fs.lstatSync(this.path(ino), { bigint: true }) : fs.fstatSync(fd, { bigint: true });
    return {
      size: Number(stats.size),
      blocks: Number(stats.blocks),
      atime: fromNanoseconds(stats.atimeNs),
      mtime: fromNanoseconds(stats.mtimeNs),
      ctime: fromNanoseconds(stats.ctimeNs),
    };
  }

  /** The size in bytes; 0 for a missing file. */
  sizeOf(ino: number): number {
    return fs.lstatSync(this.path(ino), { throwIfNoEntry: false })?.size ?? 0;
  }

  /** Makes the files themselves, not their contents, survive a power loss. */
  async syncNames(inodes: Iterable<number>): Promise<void> {
    const shards = new Set([...inodes].map((ino) => this.#shard(ino)));
    await Promise.all([...shards].map(async (shard) => await this.#syncShard(shard)));
  }

  async #syncShard(shard: string): Promise<void> {
    for (;;) {
      const running = this.#syncing.get(shard);
      if (running === undefined) break;
      await running.catch(() => {});
    }
    // Files that are made from now on are for another sync.
    if (!this.#fresh.delete(shard)) return;
    const work = this.#syncFolders(shard).finally(() => this.#syncing.delete(shard));
    this.#syncing.set(shard, work);
    await work;
  }

  async #syncFolders(shard: string): Promise<void> {
    try {
      await syncFolder(shard);
      if (this.#rooted.has(shard)) return;
      await syncFolder(this.folder);
      this.#rooted.add(shard);
    } catch (error) {
      this.#fresh.add(shard);
      throw error;
    }
  }

  /** Removes a file; a missing one is removed already. */
  async remove(ino: number): Promise<void> {
    // By a thread: freeing a large file takes time.
    await fs.promises.rm(this.path(ino), { force: true });
  }

  /** Moves a file out of the way, for somebody to look at. Returns its new path. */
  setAside(path: string, name: string): string {
    fs.mkdirSync(this.#setAside, { recursive: true, mode: FOLDER_MODE });
    const to = join(this.#setAside, `${name}-${Date.now()}`);
    fs.renameSync(path, to);
    return to;
  }

  /**
   * Lists the folder's files, one shard at a time, with the inode number only if the name is one of ours in its place.
   */
  *list(): Generator<readonly OverlayFilePlace[], void, undefined> {
    for (const shard of fs.readdirSync(this.folder)) {
      if (!/^[0-9a-f]{2}$/.test(shard)) continue;
      const folder = join(this.folder, shard);
      yield fs.readdirSync(folder).map((name) => {
        const ino =
          /^[1-9]\d*$/.test(name) && this.path(Number(name)) === join(folder, name) ? Number(name) : undefined;
        return { path: join(folder, name), ino };
      });
    }
  }
}

/**
 * Opens a file whose access time reads do not change: the mount has none (noatime), but a plain file shows this one.
 */
function openWithoutAtime(path: string, flags: number): number {
  try {
    return fs.openSync(path, flags | fs.constants.O_NOATIME, FILE_MODE);
  } catch (error) {
    // Only the owner and root may ask for it.
    if (errnoOf(error) !== 'EPERM') throw error;
    return fs.openSync(path, flags, FILE_MODE);
  }
}

async function syncFolder(path: string): Promise<void> {
  const handle = await fs.promises.open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
