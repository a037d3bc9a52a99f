/**
 * Looks at who may read a source: at its own mode and access control list, and at those of all folders above it.
 *
 * The folders are those of the real path. Of an open file the kernel tells it (`/proc/self/fd`), so that a symlink, or a
 * folder that has moved since, leads nobody astray. Files in folders of our own state
 * (the pool) may be read as their own mode says: those folders are closed to others whatever the files are. The same holds
 * within our folder on a disk; the folders above it count.
 */
import { type BigIntStats, readlinkSync, type Stats } from 'node:fs';
import type { ReadAccessList } from '../native/access-list.ts';
import { ownUid } from '../native/accounts.ts';
import { isAtOrBelow } from '../native/mountinfo.ts';
import { millisecondsOf } from '../native/timestamp.ts';
import { DiskTurns } from './disk-turns.ts';
import { FileSystems } from './file-system.ts';
import { callsInThreads, type LookCalls } from './look-calls.ts';
import { ownFolderIn } from './own-folder.ts';
import type { OwnMounts } from './own-mounts.ts';
import { bothOf, grantedTo, READ, type Readers } from './readers.ts';
import { ReleasedFolders } from './released-folders.ts';
import { Ways } from './ways.ts';

/** Files remembered at most. All are forgotten when there are more. */
const LIMIT = 50_000;
/** Milliseconds after a change of a file within which another change may have the same ctime. */
const SETTLED_MS = 1000;
const OTHERS = 0o077;

export interface ReadersLookOptions {
  readonly ownMounts: OwnMounts;
  /** Absolute paths of the folders of our own state. */
  readonly ownFolders: readonly string[];
  /** Undefined: only modes count. */
  readonly accessList?: ReadAccessList | undefined;
  /** Disks that are not touched. Default: none. */
  readonly released?: ReleasedFolders;
  /** Default: turns of its own. */
  readonly turns?: Pick<DiskTurns, 'at'>;
  /** Default: calls in threads of libuv, with `accessList`. */
  readonly calls?: LookCalls;
}

/** What of a file's statistics counts. */
type Looked = Pick<Stats, 'dev' | 'ino' | 'mode' | 'gid' | 'ctimeMs'>;

/** The statistics as numbers, as the other calls give them. */
function rounded({ dev, ino, mode, gid, ctimeNs }: BigIntStats): Looked {
  return {
    dev: Number(dev),
    ino: Number(ino),
    mode: Number(mode),
    gid: Number(gid),
    ctimeMs: millisecondsOf(ctimeNs),
  };
}

export class ReadersLook {
  readonly #ownMounts: OwnMounts;
  readonly #ownFolders: readonly Buffer[];
  readonly #calls: LookCalls;
  readonly #ways: Ways;
  readonly released: ReleasedFolders;
  /** What files grant, by device and inode. `state`: mode, group and ctime, one of which changes with the list. */
  readonly #granted = new Map<string, { readonly state: string; readonly readers: Readers }>();

  constructor({ ownMounts, ownFolders, accessList, released, turns, calls }: ReadersLookOptions) {
    this.#ownMounts = ownMounts;
    this.#ownFolders = ownFolders.map((folder) => Buffer.from(folder));
    this.#calls = calls ?? callsInThreads(turns ?? new DiskTurns(new FileSystems()), accessList);
    this.#ways = new Ways(this.#calls);
    this.released = released ?? new ReleasedFolders();
  }

  /** Tells who may read the open file `fd`, which was opened as `path`. */
  async atOpen(fd: number, stats: BigIntStats, path: Buffer): Promise<Readers> {
    try {
      const link = Buffer.from(`/proc/self/fd/${fd}`);
      const own = await this.#ofFile(rounded(stats), link, path);
      if (own === 'nobody' || this.#isOwn(path)) return own;
      return bothOf(own, await this.#above(readlinkSync(link, { encoding: 'buffer' })));
    } catch {
      return 'nobody';
    }
  }

  /** Tells who may read the file at `path`. Undefined if it is not there, or cannot be looked at. */
  async atPath(path: Buffer): Promise<Readers | undefined> {
    return await this.released.during(path, async () => {
      return this.released.holds(path) ? undefined : await this.#atPath(path);
    });
  }

  async #atPath(path: Buffer): Promise<Readers | undefined> {
    try {
      await this.#ownMounts.refresh();
      if (this.#ownMounts.holdsPath(path)) return undefined;
      const stats = await this.#calls.lstat(path);
      const real = stats.isSymbolicLink() ? await this.#calls.realpath(path) : path;
      const own = await this.#ofFile(real === path ? stats : await this.#calls.stat(real), real);
      return own === 'nobody' || this.#isOwn(path) ? own : bothOf(own, await this.#above(real));
    } catch {
      return undefined;
    }
  }

  /** Who may go through the folders above a file: those that are closed whatever is in them do not count. */
  async #above(real: Buffer): Promise<Readers> {
    const own = ownFolderIn(real);
    return await this.#ways.above(own !== undefined && (await this.#isClosed(own)) ? own : real);
  }

  /** Tells if a folder is this user's, and closed to all others: what lies in it is what this program has put there. */
  async #isClosed(folder: Buffer): Promise<boolean> {
    const stats = await this.#calls.lstat(folder);
    return stats.isDirectory() && stats.uid === ownUid() && (stats.mode & OTHERS) === 0;
  }

  /** The folders of our own state, as they were given. */
  get ownFolders(): readonly string[] {
    return this.#ownFolders.map(String);
  }

  #isOwn(path: Buffer): boolean {
    return this.#ownFolders.some((folder) => isAtOrBelow(path, folder));
  }

  /** `reached`: a path by which the system reaches the file now. `on`: one on its disk. */
  async #ofFile(stats: Looked, reached: Buffer, on = reached): Promise<Readers> {
    const byMode = grantedTo(stats, READ);
    if (byMode === 'nobody' || this.#calls.accessList === undefined) return byMode;
    const { dev, ino, mode, gid, ctimeMs } = stats;
    const file = `${dev} ${ino}`;
    const state = `${mode} ${gid} ${ctimeMs}`;
    const known = this.#granted.get(file);
    if (known?.state === state) return known.readers;
    const readers = grantedTo(stats, READ, await this.#calls.accessList(reached, on));
    // Two changes within one tick of the clock have the same time.
    if (Date.now() - ctimeMs < SETTLED_MS) return readers;
    if (this.#granted.size >= LIMIT) this.#granted.clear();
    this.#granted.set(file, { state, readers });
    return readers;
  }
}
