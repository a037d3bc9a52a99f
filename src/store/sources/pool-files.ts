/**
 * The pool: files that clients have completed, beside the index, for all stores that share it (`docs/overlay.md`).
 *
 * A file of the pool never changes: it is a source like any other. Each store that uses one has a hard link of its own,
 * in `pooled` in its state folder, named by the file's inode number. So the link count is the number of users, and a
 * store's files outlive the pool's folder. If the two are on different file systems, nothing can be linked: completed
 * files stay in the overlay, and the files of other stores lie in the pool alone.
 */
import { randomUUID } from 'node:crypto';
import { chmod, chown, link, lstat, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../errors.ts';
import type { PlanSource } from '../../plan/plan.ts';
import type { Readers } from '../../source/readers.ts';

/** A file in the pool. */
export interface Pooled {
  /** The path in the pool. */
  readonly pooled: string;
  /** The store's own link. */
  readonly source: string;
}

/** `kept`: the reason why the file is not in the pool. */
export type Pooling = Pooled | { readonly kept: string };

/** How the mount shows a file that goes to the pool. */
export interface Shown {
  /** Permission bits. */
  readonly mode: number;
  readonly gid: number;
}

/** Who may read a file of the pool: as many as could read it in the mount. */
export function readersInPool({ mode, gid }: Shown): Readers {
  if ((mode & 0o040) === 0) return 'nobody';
  return (mode & 0o004) === 0 ? { group: gid } : 'everyone';
}

export class PoolFiles {
  readonly folder: string;
  readonly #own: string;

  constructor(folder: string, statePath: string) {
    this.folder = folder;
    this.#own = join(statePath, 'pooled');
  }

  /**
   * Puts a file into the pool, as `place` below its folder, until `giveBack`. Once sealed, it must not be written to.
   * @throws file errors of the disk
   */
  async take(path: string, place: readonly string[]): Promise<Pooling> {
    const pooled = join(this.folder, ...place);
    const { ino } = await lstat(path, { bigint: true });
    const source = join(this.#own, `${ino}`);
    await mkdir(this.#own, { recursive: true, mode: 0o700 });
    await mkdir(join(pooled, '..'), { recursive: true, mode: 0o700 });
    await linkAgain(path, source);
    // Other stores use the same names: link it under a name of its own first, then rename it in one step.
    const fresh = `${pooled}.${randomUUID()}.new`;
    try {
      await link(path, fresh);
      try {
        // Another store may have completed the same file: the newer one takes its name, and links keep the bytes of the
        // other.
        await rename(fresh, pooled);
      } finally {
        // rename(2) keeps the old name if both names were of one file already.
        await rm(fresh, { force: true });
      }
    } catch (error) {
      await rm(source, { force: true });
      if (errnoOf(error) !== 'EXDEV' && errnoOf(error) !== 'EPERM' && errnoOf(error) !== 'EMLINK') throw error;
      return { kept: `${this.folder} is on another file system than the overlay, or takes no hard links` };
    }
    return { pooled, source };
  }

  /**
   * Makes a file that has become a source read-only, for those who may read it in the mount: no other store may show it to
   * more. Uses our own link: by now the name in the pool may be another store's.
   */
  async seal({ source }: Pooled, shown: Shown): Promise<void> {
    const readers = readersInPool(shown);
    if (readers === 'everyone') return await chmod(source, 0o444);
    const forGroup = readers !== 'nobody' && (await this.#belongsTo(source, readers.group));
    await chmod(source, forGroup ? 0o440 : 0o400);
  }

  /** Gives a file to a group. False if we may not. */
  async #belongsTo(path: string, group: number): Promise<boolean> {
    const { uid, gid } = await lstat(path);
    if (gid === group) return true;
    return await chown(path, uid, group).then(
      () => true,
      () => false,
    );
  }

  /**
   * Takes back a file that did not become a source, and will be written to again. A pool name of another store stays.
   */
  async giveBack({ pooled, source }: Pooled): Promise<void> {
    if (await isSameFile(pooled, source)) await rm(pooled, { force: true });
    await rm(source, { force: true });
  }

  /** Replaces a source of a plan that lies in the pool by the store's own link; returns any other as it is. */
  async share(source: PlanSource): Promise<PlanSource> {
    const folder = Buffer.from(`${this.folder}/`);
    if (!source.path.subarray(0, folder.length).equals(folder)) return source;
    const own = join(this.#own, `${source.ino}`);
    try {
      await mkdir(this.#own, { recursive: true, mode: 0o700 });
      await linkAgain(source.path, own);
    } catch {
      return source;
    }
    // Each link changes the ctime, also those of other stores.
    return { ...source, path: Buffer.from(own), ctimeNs: undefined };
  }

  isOwn(path: Buffer): boolean {
    const folder = Buffer.from(`${this.#own}/`);
    return path.subarray(0, folder.length).equals(folder);
  }

  /** Deletes the store's link to a file that it no longer uses. */
  async release(path: Buffer): Promise<void> {
    await rm(path, { force: true });
  }

  /** Lists the store's own links. */
  async list(): Promise<string[]> {
    const names = await readdir(this.#own).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return [];
      throw error;
    });
    return names.map((name) => join(this.#own, name));
  }
}

/** Links like link(2), and replaces a file that has the name. */
async function linkAgain(from: string | Buffer, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    if (await isSameFile(from, to)) return;
    await rm(to);
    await link(from, to);
  }
}

/** Reports whether two paths are one file; false also if one does not exist. */
async function isSameFile(one: string | Buffer, other: string | Buffer): Promise<boolean> {
  try {
    const [a, b] = [await lstat(one, { bigint: true }), await lstat(other, { bigint: true })];
    return a.ino === b.ino && a.dev === b.dev;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}
