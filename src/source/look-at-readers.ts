/**
 * Looks at who may read a source: at its own mode and access control list, and at those of all folders above it.
 *
 * The folders are those of the real path. Of an open file the kernel tells it (`/proc/self/fd`), so that a symlink, or a
 * folder that has moved since, leads nobody astray. Files in folders of our own state (the pool) may be read as their own
 * mode says: those folders are closed to others whatever the files are.
 */
import fs, { lstat, readlinkSync, type Stats, stat } from 'node:fs';
import { promisify } from 'node:util';
import type { ReadAccessList } from '../native/access-list.ts';
import { isAtOrBelow } from '../native/mountinfo.ts';
import type { OwnMounts } from './own-mounts.ts';
import { bothOf, grantedTo, READ, type Readers } from './readers.ts';
import { Ways } from './ways.ts';

const statAsync = promisify(stat);
const lstatAsync = promisify(lstat);
const realpathAsync = promisify<Buffer, Buffer>((path, done) => {
  fs.realpath.native(path, { encoding: 'buffer' }, done);
});

/** Files remembered at most. All are forgotten when there are more. */
const LIMIT = 50_000;
/** Milliseconds after a change of a file within which another change may have the same ctime. */
const SETTLED_MS = 1000;

export interface ReadersLookOptions {
  readonly ownMounts: OwnMounts;
  /** Absolute paths of the folders of our own state. */
  readonly ownFolders: readonly string[];
  /** Undefined: only modes count. */
  readonly accessList?: ReadAccessList | undefined;
}

export class ReadersLook {
  readonly #ownMounts: OwnMounts;
  readonly #ownFolders: readonly Buffer[];
  readonly #accessList: ReadAccessList | undefined;
  readonly #ways: Ways;
  /** What files grant, by device and inode. `state`: mode, group and ctime, one of which changes with the list. */
  readonly #granted = new Map<string, { readonly state: string; readonly readers: Readers }>();

  constructor({ ownMounts, ownFolders, accessList }: ReadersLookOptions) {
    this.#ownMounts = ownMounts;
    this.#ownFolders = ownFolders.map((folder) => Buffer.from(folder));
    this.#accessList = accessList;
    this.#ways = new Ways(accessList);
  }

  /** Tells who may read the open file `fd`, which was opened as `path`. */
  async atOpen(fd: number, stats: Stats, path: Buffer): Promise<Readers> {
    try {
      const link = Buffer.from(`/proc/self/fd/${fd}`);
      const own = await this.#ofFile(stats, link);
      if (own === 'nobody' || this.#isOwn(path)) return own;
      return bothOf(own, await this.#ways.above(readlinkSync(link, { encoding: 'buffer' })));
    } catch {
      return 'nobody';
    }
  }

  /** Tells who may read the file at `path`. Undefined if it is not there, or cannot be looked at. */
  async atPath(path: Buffer): Promise<Readers | undefined> {
    try {
      await this.#ownMounts.refresh();
      if (this.#ownMounts.holdsPath(path)) return undefined;
      const stats = await lstatAsync(path);
      const real = stats.isSymbolicLink() ? await realpathAsync(path) : path;
      const own = await this.#ofFile(real === path ? stats : await statAsync(real), real);
      return own === 'nobody' || this.#isOwn(path) ? own : bothOf(own, await this.#ways.above(real));
    } catch {
      return undefined;
    }
  }

  #isOwn(path: Buffer): boolean {
    return this.#ownFolders.some((folder) => isAtOrBelow(path, folder));
  }

  /** `reached`: a path by which the system reaches the file now. */
  async #ofFile(stats: Stats, reached: Buffer): Promise<Readers> {
    const byMode = grantedTo(stats, READ);
    if (byMode === 'nobody' || this.#accessList === undefined) return byMode;
    const { dev, ino, mode, gid, ctimeMs } = stats;
    const file = `${dev} ${ino}`;
    const state = `${mode} ${gid} ${ctimeMs}`;
    const known = this.#granted.get(file);
    if (known?.state === state) return known.readers;
    const readers = grantedTo(stats, READ, await this.#accessList(reached));
    // Two changes within one tick of the clock have the same time.
    if (Date.now() - ctimeMs < SETTLED_MS) return readers;
    if (this.#granted.size >= LIMIT) this.#granted.clear();
    this.#granted.set(file, { state, readers });
    return readers;
  }
}
